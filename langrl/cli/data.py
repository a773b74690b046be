"""``langrl data``: says what is in a file of trajectories, and makes published data sets anew."""

from pathlib import Path
from typing import TYPE_CHECKING

from langrl.cli.arguments import DescribeDataArguments, MakeDataArguments
from langrl.cli.flags import parse, subcommand
from langrl.cli.folders import check_folder, check_results_folder, clear_figures, new_folder
from langrl.errors import LangRLError

if TYPE_CHECKING:
    from langrl.data.recordings.recording import Recording

DESCRIPTIONS = Path("runs") / "data"
_SHOWN = 24  # rows of numbers on the terminal; results.json has all
_TABLE = {
    "describe": "what is in a file of recorded trajectories, and whether it fits an environment",
    "make": "make a published data set anew by its recipe",
}


def run(arguments: list[str], command: str) -> None:
    """Read the flags of ``langrl data`` and do what they say.

    Args:
        arguments: what comes after ``data``.
        command: what the user typed, for the record.
    """
    name, rest = subcommand(arguments, _TABLE, "langrl data")
    if name == "make":
        made = parse(MakeDataArguments, rest, "langrl data make")
        make(**made.model_dump())
    else:
        given = parse(DescribeDataArguments, rest, "langrl data describe")
        describe(**given.model_dump(), command=command)


def describe(
    file: Path,
    env: str | None,
    goal_columns: tuple[int, ...] | None,
    out: Path | None,
    command: str,
) -> None:
    """Say what is in a file of trajectories; print, and write to ``out``.

    Args:
        file: what ``read_recording`` takes.
        env: id of an environment that the trajectories must fit, if given.
        goal_columns: which numbers of an observation are the goal, where none is recorded.
        out: folder of results.json and figures; a new one in runs/data if not given.
        command: what the user typed, for the record.

    Raises:
        LangRLError: if the file cannot be read, or does not fit the environment.
    """
    from langrl.data.recordings.reading import read_recording
    from langrl.data.recordings.summary import COLUMNS, number_rows, summary_rows
    from langrl.plots.base import save
    from langrl.plots.recordings import lengths_figure, visits_figure
    from langrl.training.logs import console, print_table, write_results

    if out is not None:
        check_results_folder(out)
    recording = read_recording(file)
    rows, numbers = summary_rows(recording), number_rows(recording)
    if env is not None:
        _check_fit(file, recording, env, goal_columns)
        rows.append({"measure": "fits the environment", "value": env})
    title = file.resolve().name
    print_table(title, [_shown(row) for row in rows], ("measure", "value"))
    if numbers:
        left = len(numbers) - _SHOWN
        more = f"; {left} more in results.json" if left > 0 else ""
        print_table(f"numbers{more}", numbers[:_SHOWN], COLUMNS)
    out = out or new_folder(DESCRIPTIONS, file.resolve().stem)
    clear_figures(out)
    config = {"file": str(file), "env": env, "goal_columns": goal_columns}
    results = write_results(out, command, config, rows, numbers=numbers)
    figures = {"lengths": lengths_figure(recording.lengths, title)}
    if recording.observations.ndim == 2 and recording.observations.shape[1] > 1:
        figures["visits"] = visits_figure(recording.observations[:, :2], title)
    for name, figure in figures.items():
        save(figure, out / "figures" / f"{name}.png")
    console.print(f"results: {results}; figures: {out / 'figures'}")


def _shown(row: dict[str, object]) -> dict[str, object]:
    value = row["value"]
    return row | {"value": f"{value:.4g}" if isinstance(value, float) else str(value)}


def _check_fit(
    file: Path, recording: "Recording", env: str, goal_columns: tuple[int, ...] | None
) -> None:
    from langrl.data.recordings.recording import check_recording
    from langrl.envs.goal_worlds import make_goal_env, spaces_of

    world = make_goal_env(env, 1)  # any limit: nothing is done in it
    try:
        check_recording(recording, spaces_of(world), goal_columns)
    except LangRLError as error:
        raise type(error)(f"{file} does not fit {env}: {error}") from error
    finally:
        world.close()


def make(name: str, out: Path, episodes: int | None, seed: int, workers: int | None) -> None:
    """Make a published data set anew: the same distribution, not the same bits.

    Args:
        name: of ``langrl.data.recordings.pointmaze.RECIPES``.
        out: the .npz file; validation episodes go beside it, to a file with ``-val`` in its name.
        episodes: for training, the published number by default.
        seed: of all episodes.
        workers: processes, one per core if None.

    Raises:
        LangRLError: naming the argument and the repair.
    """
    from langrl.data.recordings.making import check_request, make_recording
    from langrl.training.logs import console, print_table

    check_request(name, out)
    check_folder(out.parent)
    try:
        made = make_recording(name, out, episodes=episodes, seed=seed, workers=workers)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on with the episodes that are made")
        raise
    rows = [
        {
            "file": str(each.path),
            "trajectories": each.trajectories,
            "states": each.states,
            "goals reached in each": each.goals,
        }
        for each in made
    ]
    print_table(f"{name}, seed {seed}", rows, [*rows[0]])
    console.print(
        "By the published recipe: the same distribution as the published files, not the same bits."
        f" langrl data describe {out} shows what is in it."
    )
