"""The parts of ``langrl reproduce words``: a text tower's language scored, and agents that follow.

Axes: ``N`` episodes, ``R`` rows, ``C`` columns, ``H`` and ``W`` of a room.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.random import Generator

from langrl.agents.grounded import GroundedAgent
from langrl.data.word_sets import (
    WRITTEN_GROUPS,
    WrittenText,
    denoted_cells,
    denoted_objects,
    read_meaningless,
    read_written,
)
from langrl.envs.draws import pick_each
from langrl.envs.grid import grammar
from langrl.envs.grid.env import MAX_STEPS
from langrl.envs.grid.episodes import far_starts
from langrl.envs.grid.meanings import draw_meanings
from langrl.envs.grid.rooms import (
    GRID_WORLDS,
    Rooms,
    ahead,
    draw_rooms,
    facing,
    is_free,
    pose_distances,
    read_observation,
)
from langrl.envs.maze.world import StreetMaze
from langrl.envs.phrasing import PHRASINGS
from langrl.evaluation.image_text import RoomSample, sample_rooms, sample_written
from langrl.evaluation.rollouts import run_episodes
from langrl.models.critics.maze import LanguageCritic
from langrl.models.language_image.model import load_language_image_model
from langrl.protocols import Mask
from langrl.reproduce.common import train_timed, with_given
from langrl.reproduce.word_scores import (
    Row,
    ScoredText,
    score_cells,
    score_rooms,
    summarise_levels,
    summarise_understood,
    summarise_words,
)
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.loading import AgentMaker, agents_of
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config

MAZE = "blank"  # ten rows and columns: what the hand-written texts are about
WORLDS = ("goto", "crowded", "rooms", "relations")
STRATEGIES = ("log_sum_exp", "nearest_goal")
TOWERS: dict[str, dict[str, dict[str, Any]]] = {
    "compact": {},
    "table": {"text": {"words": "distilled"}},
    "texts": {"data": {"paraphrases": 0.8}, "learner": {"denotations": True}},
    "table+texts": {
        "text": {"words": "distilled"},
        "data": {"paraphrases": 0.8},
        "learner": {"denotations": True},
    },
    "exclusions": {},
}
"""Text towers of the maze and how they are trained, by what differs from the preset."""
_PRESETS = {"exclusions": "street-words"}  # where it is not that of the maze
_TEXTS_PER_KIND = 60  # of a grammar, in a maze
_COMMAND = "langrl reproduce words"


class Told(NamedTuple):
    """A text, its level, and what it denotes: cells [R, C], or a function of rooms."""

    text: str
    level: str
    denoted: Any


def score_maze(
    folder: Path, tower: str, seed: int, steps: int | None, episodes: int
) -> dict[str, list[Row]]:
    """Train an agent of the maze with a text tower, unless it is there; score its language."""
    config = load_config(_PRESETS.get(tower, f"street-{MAZE}"), MazeRunConfig)
    config = with_given(config, world=with_given(config.world, layout=MAZE))
    for field, changes in TOWERS.get(tower, {"text": {"model": tower}}).items():
        config = with_given(config, **{field: with_given(getattr(config, field), **changes)})
    config = with_given(config, seed=seed, learner=with_given(config.learner, steps=steps))
    run = folder / f"{MAZE}-{Path(tower).name}-{seed}"
    train_timed(config, run, f"{tower}, seed {seed}", _COMMAND)
    agents, world = agents_of(run), StreetMaze(MAZE)
    agent = agents()
    assert isinstance(agent, GroundedAgent)
    language = agent.language
    assert isinstance(language, LanguageCritic)
    goals = torch.from_numpy(world.layout.free_cells.astype(np.float32) + 0.5)  # row by row

    def score(told: Sequence[Told]) -> list[ScoredText]:
        cells = world.layout.free_cells
        matches = np.stack([each.denoted[tuple(cells.T)] for each in told])
        texts, levels = [each.text for each in told], [each.level for each in told]
        return score_cells(language, goals, texts, levels, matches)

    labels = {"world": f"street-{MAZE}", "tower": tower, "seed": seed}
    tables: dict[str, list[Row]] = {"levels": [], "words": [], "understood": []}
    for phrasing, told in maze_texts(world, seed).items():
        scored = score(told)
        follow = partial(follow_in_maze, agents, world, told, episodes, seed)
        rows = summarise_levels(scored)
        if episodes:
            _add_success(rows, follow())
        tables["levels"] += [labels | {"phrasing": phrasing} | row for row in rows]
        if phrasing in WRITTEN_GROUPS:
            nothing = score(meaningless_texts(phrasing, world.walls.shape))
            row = summarise_understood(scored, nothing)
            tables["understood"].append(labels | {"phrasing": phrasing} | row)
    return tables


def score_grid(
    folder: Path, world: str, tower: str, seed: int, rooms: int, steps: int | None, episodes: int
) -> dict[str, list[Row]]:
    """Score a language-image model in a grid world; with episodes, agents that follow it too."""
    model = load_language_image_model(tower)
    generator = partial(np.random.default_rng, [seed, sorted(GRID_WORLDS).index(world)])
    agents = grid_agents(folder, tower, seed, steps) if episodes else None
    labels = {"world": f"grid-{world}", "tower": tower, "seed": seed}
    tables: dict[str, list[Row]] = {"levels": [], "words": [], "understood": []}
    for phrasing, draw in _drawn(world, rooms).items():
        scored = score_rooms(model, draw(generator()))
        rows = summarise_levels(scored)
        here = labels | {"phrasing": phrasing}
        if agents is not None:
            told = grid_texts(world, phrasing, episodes, seed)
            _add_success(rows, follow_in_rooms(agents, world, told, episodes, seed))
        tables["levels"] += [here | row for row in rows]
        if phrasing != "blind":  # of blind texts, totals of their groups alone
            tables["words"] += [here | row for row in summarise_words(scored)]
        if phrasing in WRITTEN_GROUPS:
            nothing = sample_written([world], rooms, read_meaningless(phrasing), generator())
            row = summarise_understood(scored, score_rooms(model, nothing))
            tables["understood"].append(here | row)
    return tables


def _drawn(world: str, rooms: int) -> dict[Any, Callable[[Generator], list[RoomSample]]]:
    """Return what draws rooms with texts, by phrasing."""
    draws: dict[Any, Callable[[Generator], list[RoomSample]]] = {
        phrasing: partial(sample_rooms, [world], rooms, partial(grammar.write, phrasing=phrasing))
        for phrasing in PHRASINGS
    }
    for group in WRITTEN_GROUPS:
        draws[group] = partial(sample_written, [world], rooms, read_written("grid", group))
    return draws


def _add_success(rows: list[Row], followed: dict[str, dict[str, float]]) -> None:
    """Add each strategy's success to the rows of levels, and the best one's as ``success``."""
    for row in rows:
        by_strategy = {name: levels.get(row["level"]) for name, levels in followed.items()}
        known = [value for value in by_strategy.values() if value is not None]
        row.update(by_strategy, success=max(known, default=None))


# -- texts ---------------------------------------------------------------------------------


def maze_texts(world: StreetMaze, seed: int) -> dict[str, list[Told]]:
    """Return texts of a maze and the cells that they denote, by phrasing."""
    generator, maze = np.random.default_rng([seed, 1]), world.grammar
    found: dict[str, list[Told]] = {}
    for phrasing in PHRASINGS:
        meanings = [
            (kind, maze.draw_meaning(generator, (kind,)))
            for kind in maze.kinds
            for _ in range(_TEXTS_PER_KIND)
        ]
        found[phrasing] = [
            Told(maze.write(meaning, generator, phrasing), kind, maze.mask(meaning))
            for kind, meaning in meanings
            if not maze.mask(meaning).all()
        ]
    for group in WRITTEN_GROUPS:
        found[group] = [
            Told(each.text, each.group, _cells_of(each, world.walls.shape))
            for each in read_written("maze", group)
        ]
    return found


def meaningless_texts(group: Any, shape: Sequence[int]) -> list[Told]:
    """Return texts that denote no cell."""
    nothing = np.zeros(tuple(shape), bool)
    return [Told(each.text, each.group, nothing) for each in read_meaningless(group)]


def _cells_of(written: WrittenText, shape: Sequence[int]) -> Mask:
    assert written.denotation is not None
    return denoted_cells(written.denotation, shape)


def grid_texts(world: str, phrasing: Any, count: int, seed: int) -> list[tuple[Told, Rooms]]:
    """Return ``count`` texts of each level, with a room [H, W, 2] where they denote something."""
    generator = np.random.default_rng([seed, 2, *map(ord, world + phrasing)])
    if phrasing in WRITTEN_GROUPS:
        return _written_in_rooms(world, read_written("grid", phrasing), count, generator)
    found = []
    for level in GRID_WORLDS[world].levels:
        rooms = draw_rooms(GRID_WORLDS[world], 4 * count, generator)
        meanings, masks = draw_meanings(rooms, generator, (level,))
        drawn = [n for n, meaning in enumerate(meanings) if meaning is not None][:count]
        for n in drawn:
            text = grammar.write(meanings[n], generator, phrasing)  # type: ignore[arg-type]
            found.append((Told(text, level, masks[n]), rooms[n]))
    return found


def _written_in_rooms(
    world: str, written: Sequence[WrittenText], count: int, generator: Generator
) -> list[tuple[Told, Rooms]]:
    rooms = draw_rooms(GRID_WORLDS[world], 200, generator)
    groups: dict[str, list[tuple[Told, Rooms]]] = {}
    for each in written:
        assert each.denotation is not None
        masks = denoted_objects(each.denotation, rooms)
        every = masks.any((1, 2)) & (masks.sum((1, 2)) < (rooms[..., 0] > grammar.WALL).sum((1, 2)))
        groups.setdefault(each.group, [])
        for n in generator.permutation(np.flatnonzero(every))[:count]:
            groups[each.group].append((Told(each.text, each.group, masks[n]), rooms[n]))
    return [
        listed[n] for listed in groups.values() for n in generator.permutation(len(listed))[:count]
    ]


# -- following -----------------------------------------------------------------------------


def follow_in_maze(
    agents: AgentMaker, world: StreetMaze, told: Sequence[Told], episodes: int, seed: int
) -> dict[str, dict[str, float]]:
    """Return each strategy's success by level: the agent comes into a denoted cell in time.

    The texts of a level take turns; starts are uniform over what they do not denote.
    """
    generator = np.random.default_rng([seed, 3])
    levels = dict.fromkeys(each.level for each in told)
    chosen = [
        listed[n % len(listed)]
        for level in levels
        for listed in [[each for each in told if each.level == level]]
        for n in range(episodes)
    ]
    cells = [np.argwhere(~each.denoted & ~world.walls) for each in chosen]
    starts = [pool[generator.integers(len(pool))] + generator.uniform(0.05, 0.95, 2)
              for pool in cells]  # fmt: skip
    options = {
        "instruction": [each.text for each in chosen],
        "position": np.array(starts, np.float32),
        "noise_seed": np.arange(len(chosen)),
    }

    def make() -> Any:
        return gym.make_vec("langrl/StreetMaze-v0", num_envs=len(chosen), layout=MAZE,
                            angle_noise=20.0, autoreset_mode=AutoresetMode.DISABLED)  # fmt: skip

    def arrived(n: int, path: Any) -> bool:
        return bool(world.inside(path, np.broadcast_to(chosen[n].denoted, world.walls.shape)).any())

    return _follow(agents, make, options, [each.level for each in chosen], arrived, seed)


def grid_agents(folder: Path, tower: str, seed: int, steps: int | None) -> AgentMaker:
    """Train an agent of grid worlds, unless it is there, and return what makes it."""
    config = load_config("grid-all", GridRunConfig)
    learner = with_given(config.learner, steps=steps)
    config = with_given(config, seed=seed, learner=learner, language=tower)
    run = folder / f"grid-{Path(tower).name}-{seed}"
    train_timed(config, run, f"{tower}, seed {seed}", _COMMAND)
    return agents_of(run)


def follow_in_rooms(
    agents: AgentMaker, world: str, told: Sequence[tuple[Told, Rooms]], episodes: int, seed: int
) -> dict[str, dict[str, float]]:
    """Return each strategy's success by level: the agent says done before a denoted object."""
    rooms = np.stack([room for _, room in told])
    denoted = np.stack([each.denoted for each, _ in told])
    free, generator = is_free(rooms), np.random.default_rng([seed, 3])
    distances = pose_distances(free, facing(denoted, free))
    far = far_starts(distances, free).reshape(len(rooms), -1)
    starts = np.stack(np.unravel_index(pick_each(far, generator), distances.shape[1:]), 1)
    options = {"instruction": [each.text for each, _ in told], "room": rooms, "pose": starts}

    def make() -> Any:
        return gym.make_vec("langrl/GridGoTo-v0", num_envs=len(told), world=world,
                            autoreset_mode=AutoresetMode.DISABLED)  # fmt: skip

    def arrived(n: int, path: Any) -> bool:
        said_done = len(path) - 1 < MAX_STEPS  # else the time was over
        return said_done and bool(denoted[n][ahead(read_observation(path[-1:])[1])][0])

    levels = [each.level for each, _ in told]
    return _follow(agents, make, options, levels, arrived, seed)


def _follow(
    agents: AgentMaker,
    make: Callable[[], Any],
    options: dict[str, Any],
    levels: Sequence[str],
    arrived: Callable[[int, Any], bool],
    seed: int,
) -> dict[str, dict[str, float]]:
    """Return success by level and strategy; what success is, is read from paths.

    The environments cannot read most hand-written texts, and know no success of these.
    """
    found = {}
    for strategy in STRATEGIES:
        with closing(make()) as env:
            done = run_episodes(env, agents(strategy=strategy), seed, options)
        success = np.array([arrived(n, path) for n, path in enumerate(done.paths)])
        found[strategy] = {
            level: float(success[[of == level for of in levels]].mean())
            for level in dict.fromkeys(levels)
        }
    return found
