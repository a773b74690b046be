"""``langrl push``: shares a run's agent on the Hugging Face Hub, or writes what it would send."""

import re
import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from langrl.benchmark.hub import write_eval_results
from langrl.checkpoint import find_checkpoint, read_checkpoint, write_atomically
from langrl.cli.arguments import PushArguments
from langrl.cli.flags import parse
from langrl.cli.folders import check_folder, find_run
from langrl.errors import ConfigError, NothingToDoError, check_extra, quoted
from langrl.plots.base import save
from langrl.plots.grid import save_film
from langrl.tasks.agent_card import agent_card, measured, public_command, read_run_results
from langrl.tasks.hub import check_repository, upload
from langrl.tasks.loading import agents_of_run
from langrl.tasks.registry import TASKS, config_beside, run_of
from langrl.tasks.sharing import CARD, check_new_folder, copy_picture, gather, write_list
from langrl.tasks.suite import suite_of
from langrl.training.jobs import flushed_subnormals
from langrl.training.logs import console

_POSTERIOR, _REPLAY = "figures/posterior.png", "replay"
_LICENCE = re.compile("[a-z0-9][a-z0-9.-]{0,60}")


def run(arguments: list[str]) -> None:
    """Read the flags of ``langrl push`` and do what they say."""
    given: PushArguments = parse(PushArguments, arguments, "langrl push")
    check_repository(given.repository)
    if not _LICENCE.fullmatch(given.licence):
        raise ConfigError(
            f"--licence {quoted(given.licence)}: give its short name on the hub, such as mit"
        )
    source = find_run(given.run)
    find_checkpoint(source)  # says what is wrong, if there is none
    share(**given.model_dump(exclude={"run"}), run=source)


def share(run: Path, repository: str, dry_run: Path | None, private: bool, licence: str) -> None:
    """Share the agent of a run, or write what would be sent.

    Args:
        run: a run folder, or a checkpoint in one.
        repository: user/name.
        dry_run: a new folder; nothing is sent if it is given.
        private: whether a new repository is for its owner alone.
        licence: of the weights.

    Raises:
        LangRLError: if the run cannot be shared, or the hub does not take it.
    """
    if dry_run is None:
        check_extra("huggingface_hub", "hub")
    else:
        check_new_folder(check_folder(dry_run, "--dry-run"))
    with tempfile.TemporaryDirectory() as folder:
        size = write_shared(run, repository, Path(folder), licence)
        if dry_run is not None:
            shutil.copytree(folder, dry_run, dirs_exist_ok=True)
            said = f"{dry_run} holds what would be sent: {size}; nothing was sent"
        else:
            said = f"shared as hf:{repository}, {size}: "
            said += upload(Path(folder), repository, private)
    console.print(said)


@flushed_subnormals()
def write_shared(run: Path, repository: str, out: Path, licence: str) -> str:
    """Write everything that is shared of a run to a folder, and say how much it is.

    Args:
        run: a run folder, or a checkpoint in one.
        repository: user/name.
        out: an empty folder.
        licence: of the weights.

    Raises:
        LangRLError: if the run has no checkpoint, or needs what is not shared.
    """
    config = gather(run, out)
    owner, results = run_of(run) or run, read_run_results(run_of(run) or run)
    agents = agents_of_run(run, config_beside(run))
    suite = suite_of(config_beside(run)).for_agents(agents)
    strategy: Any = getattr(getattr(config, "grounding", None), "strategy", None)
    method: str = strategy if strategy in suite.groundings else suite.groundings[0]
    replay = _draw_replay(suite, agents, method, out)
    pictures = [_draw_posterior(owner, suite, agents, out), *replay]
    named: list[dict[str, Any]] = [  # of the agent, without the baselines
        row | {"entrant": "-".join(each for each in row.values() if isinstance(each, str))}
        for row in measured(results)
        if row.get("method", method) in suite.groundings
    ]
    if named:
        notes = f"trained by {public_command(results)}"
        write_eval_results(out, named, ("success", "spl"), f"langrl {suite.name}", notes)
    state = read_checkpoint(find_checkpoint(run)).documents.get("state", {})
    shown = [name for name in pictures if not name.endswith(".mp4")]
    loads = not hasattr(TASKS[config.task].module("agent"), "load_run")
    card = agent_card(repository, config, state, results, licence, shown, loads)
    write_atomically(out / CARD, card)
    write_list(out)
    sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"


def _draw_posterior(run: Path, suite: Any, agents: Any, out: Path) -> str:
    """Take the picture of beliefs that the run has, or draw one; return its name."""
    if not copy_picture(run / _POSTERIOR, out / _POSTERIOR):
        save(suite.draw_posteriors(agents), out / _POSTERIOR)
    return _POSTERIOR


def _draw_replay(suite: Any, agents: Any, method: str, out: Path) -> list[str]:
    """Film how the agent follows an instruction, where the world has films; return their names."""
    one = suite.settings.model_copy(update={"episodes": 1})
    with closing(suite.tasks(one)) as tasks:
        try:
            seen, _ = tasks.reset(seed=one.seed)
        except NothingToDoError:  # every start satisfies what is drawn
            return []
        text = str(seen["instruction"][0])
    results = suite.follow(suite.agents(agents, [method]), one, text)
    films = suite.draw_instruction(agents, text, results).films
    frames: Any = next(iter(films.values()), ())
    return [path.name for path in save_film(frames, out / _REPLAY)] if len(frames) else []
