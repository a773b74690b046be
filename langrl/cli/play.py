"""``langrl play`` and ``langrl render``: a trained run in the browser, or an episode as a file."""

import signal
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from langrl.cli.arguments import PlayArguments, RenderArguments
from langrl.cli.flags import parse
from langrl.cli.folders import check_folder, find_run
from langrl.errors import check_extra, lookup
from langrl.tasks.hub import is_on_hub
from langrl.tasks.registry import demos, load_run_config
from langrl.training import interrupts
from langrl.training.logs import console

if TYPE_CHECKING:
    from langrl.play.playground import Playground


def play(arguments: list[str]) -> None:
    """Serve a run, or that of the demo, until Ctrl-C."""
    given = parse(PlayArguments, arguments, "langrl play")
    for module in ("starlette", "uvicorn"):
        check_extra(module, "web")
    from langrl.play.serving import address_of, bind, serve
    from langrl.training.jobs import one_thread

    bound = bind(given.host, given.port)
    with bound:
        playground = _open(given.run, given.world, given.env)
        address, port = address_of(bound), bound.getsockname()[1]
        if given.port not in (0, port):
            console.print(f"port {given.port} is in use; this is the next free one")
        console.print(f"{playground.title}: open {address} in a browser; Ctrl-C stops")
        if given.browser:
            webbrowser.open(address)
        try:
            with one_thread():
                serve(playground, bound, given.host)
        except interrupts.Stopped as stopped:
            if stopped.number != signal.SIGINT:
                raise
            console.print("stopped")  # as every server of a page is: nothing has failed


def render(arguments: list[str]) -> None:
    """Write an episode of a run as a page or a film."""
    given = parse(RenderArguments, arguments, "langrl render")
    from langrl.play.rendering import check_target, play_episode, write_episode
    from langrl.training.jobs import one_thread

    check_target(given.out)
    check_folder(given.out.parent)
    with one_thread():
        playground = _open(given.run, None, given.env)
        session = play_episode(playground, given.instruction, given.strategies or (), given.seed)
        name = playground.title if is_on_hub(playground.title) else Path(playground.title).name
        write_episode(given.out, session, f"langrl, {name}")
    for walk in session.walks:
        ends = {True: "success in", False: "failure after", None: "ended after"}[walk.success]
        steps = len(walk.path) - 1
        console.print(f"{walk.strategy}: {ends} {steps} step{'' if steps == 1 else 's'}")
    console.print(f"written: {given.out}")


def _open(run: str | None, world: str | None, env: str | None) -> "Playground":
    """Return the playground of a run; of the demo's, which is trained first, where none is named.

    Args:
        run: a run folder, or a shared agent on the hub.
        world: of the demo.
        env: a level to act in; the run's own world if not given.

    Raises:
        LangRLError: if the run is none, or damaged.
    """
    from langrl.play.playground import open_run

    if run is not None and is_on_hub(run):
        return open_run(run, env)
    folder = _demo_run(world or "street") if run is None else find_run(Path(run))
    return open_run(folder, env)


def _demo_run(world: str) -> Path:
    """Return the run folder of a demo; trains it if it is not there."""
    task, demo = lookup(demos(), world, "world with a demo")
    from langrl.tasks.run import is_trained, train_or_resume

    config = load_run_config(demo.preset, task)
    folder = check_folder(Path("runs") / demo.folder) / "run"
    if not is_trained(folder, config):
        console.print(f"no RUN was named: the demo's agent is trained, in {folder}")
        train_or_resume(config, folder, "train")
    return folder
