"""Situations and texts in levels of BabyAI, for the benchmark.

Layouts and starts are those that the level draws. Tasks are said in BabyAI's own grammar: a verb,
and objects by colour or type or both, in some levels also by where they lie from the start. Of two
red balls, no such text denotes one alone, so that only layouts are taken in which each object that
an ambiguous text denotes has a text of its own: its twin.

Axes: ``n`` objects of a layout, ``D`` denoted ones, ``H`` rows, ``W`` columns.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.benchmark.drawing import (
    Situation,
    choose_intended,
    level_of,
    spread_choices,
    take_in_turns,
    write_readable,
)
from langrl.envs.grid import grammar
from langrl.envs.grid.rooms import DOOR, facing, is_object, read_observation
from langrl.envs.minigrid_levels.layouts import draw_layouts
from langrl.envs.minigrid_levels.places import PLACES, cells_of_places
from langrl.envs.minigrid_levels.planning import steps_to
from langrl.envs.minigrid_levels.reading import ACTIONS, DONE, Cells, as_rooms, make_level
from langrl.envs.minigrid_levels.tasks import Task, denoted_by, read_task, task_of, write_task
from langrl.envs.phrasing import Meaning, TaskPhrasing
from langrl.errors import ConfigError
from langrl.protocols import Integers, Mask

_LAYOUTS = 50  # drawn together
_ROUNDS = 2000  # of drawing before a level of ambiguity is called impossible


class _Said(NamedTuple):
    """Something that can be said in a layout: its type, what it asks for, and objects, bool [n]."""

    kind: str
    task: Task
    objects: Mask


class _Instruction(NamedTuple):
    """An ambiguous text in a layout [H, W, 3].

    Args:
        said: the text.
        layout: with the agent at its start.
        cells: of what it denotes [D, 2].
        steps: to each of them [D].
        twins: what denotes each of them alone, D lists.
    """

    said: _Said
    layout: Cells
    cells: Integers
    steps: NDArray[np.float64]
    twins: list[list[_Said]]


def draw_situations(
    env_id: str, levels: Sequence[int], places: bool, count: int, generator: Generator
) -> dict[int, list[Situation]]:
    """Return ``count`` situations of each level of ambiguity; types of instruction take turns.

    Args:
        env_id: of a level whose missions are about one object.
        levels: of ambiguity.
        places: whether texts may say where an object lies.
        count: of each level of ambiguity.
        generator: source of randomness.

    Raises:
        ConfigError: if a level of ambiguity cannot be had.
    """
    level = make_level(env_id)
    own = task_of(level)
    if own is None:
        raise ConfigError(f"missions of {env_id} are not about one object; choose another level")
    pools: dict[int, dict[str, list[_Instruction]]] = {each: {} for each in levels}
    for _ in range(_ROUNDS):
        missing = [n for n, pool in pools.items() if sum(map(len, pool.values())) < count]
        if not missing:
            break
        for layout in draw_layouts(level, _LAYOUTS, generator, env_id):
            for number, each in _instructions(layout, own.acts, places, missing, generator):
                pools[number].setdefault(each.said.kind, []).append(each)
    else:
        raise ConfigError(f"{env_id} has too few tasks; leave a level of ambiguity out")
    return {
        number: _situations(take_in_turns(pool, count, generator), generator)
        for number, pool in pools.items()
    }


def _instructions(
    layout: Cells,
    acts: tuple[int, ...],
    places: bool,
    wanted: Sequence[int],
    generator: Generator,
) -> Iterator[tuple[int, _Instruction]]:
    """Yield an ambiguous text of each level of ambiguity that is wanted, where there is one."""
    cells, said = _sayings(layout, acts, places)
    counts = np.array([each.objects.sum() for each in said])
    alone: list[list[_Said]] = [[] for _ in cells]
    for each, number in zip(said, counts, strict=True):
        if number == 1:
            alone[int(each.objects.argmax())].append(each)
    has_twin = np.array([bool(each) for each in alone])
    for level in wanted:
        fit: dict[str, list[_Said]] = {}
        for each, number in zip(said, counts, strict=True):
            if number > 1 and level_of(number) == level and has_twin[each.objects].all():
                fit.setdefault(each.kind, []).append(each)
        if not fit:
            continue
        kind = sorted(fit)[int(generator.integers(len(fit)))]
        chosen = fit[kind][int(generator.integers(len(fit[kind])))]
        denoted = cells[chosen.objects]
        steps = _steps(layout, denoted, acts)
        if np.isfinite(steps).all():
            twins = [alone[n] for n in np.flatnonzero(chosen.objects)]
            yield level, _Instruction(chosen, layout, denoted, steps, twins)


def _sayings(layout: Cells, acts: tuple[int, ...], places: bool) -> tuple[Integers, list[_Said]]:
    """Return the objects of a layout [n, 2], and all that the grammar says of some of them."""
    room = as_rooms(layout[None])[0]
    cells = np.argwhere(is_object(room))
    types, colours = room[cells[:, 0], cells[:, 1], :2].T
    inside: dict[str | None, Mask] = {None: np.ones(len(cells), bool)}
    if places:
        there = cells_of_places(layout[None])[0][:, cells[:, 0], cells[:, 1]]
        inside |= dict(zip(PLACES, there, strict=True))
    usable = (types != DOOR) | (DONE in acts)  # doors are not picked up
    hues: dict[str | None, Mask] = {None: np.ones(len(cells), bool)}
    hues |= {colour: colours == number for colour, number in grammar.COLOURS.items()}
    names: dict[str | None, Mask] = {None: np.ones(len(cells), bool)}
    names |= {name: types == number for name, number in grammar.TYPES.items()}
    said = []
    for place, here in inside.items():
        for colour, of_colour in hues.items():
            for name, of_type in names.items():
                objects = here & of_colour & of_type
                if (colour or name) and objects.any() and usable[objects].all():
                    task = Task(acts, ("thing", colour, name), place)
                    said.append(_Said(_kind_of(task), task, objects))
    return cells, said


def _kind_of(task: Task) -> str:
    """Return the instruction type of a task: "type", "colour", "full", or "place"."""
    return "place" if task.place is not None else grammar.level_of(task.meaning)


def _steps(layout: Cells, cells: Integers, acts: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the fewest steps to do what is asked for with each of some objects [D, 2].

    They are inf for what cannot be reached, or is faced at the start already.
    """
    start, free = _start_of(layout), np.ones((1, *layout.shape[:2]), bool)
    away = np.zeros(len(cells))
    for n, (row, column) in enumerate(cells.tolist()):
        one = np.zeros_like(free)
        one[0, row, column] = True
        away[n] = steps_to(layout, facing(one, free)[0])[start]
    away[away == 0] = np.inf
    return away if DONE in acts else away + 1  # to face is enough where an object is gone to


def _start_of(layout: Cells) -> tuple[int, ...]:
    _, poses = read_observation(as_rooms(layout[None]))
    return tuple(poses[0].tolist())


def _situations(instructions: list[_Instruction], generator: Generator) -> list[Situation]:
    """Return a situation for each instruction, with what is meant."""
    found, choices = [], spread_choices(len(instructions), generator)
    for each, choice in zip(instructions, choices, strict=True):
        intended = choose_intended(each.steps, choice, generator)
        twins = each.twins[intended]
        simple = [twin for twin in twins if twin.task.place is None] or twins
        twin = simple[int(generator.integers(len(simple)))]
        found.append(
            Situation(
                each.said.kind,
                each.said.task,
                _start_of(each.layout),
                each.layout,
                each.cells,
                intended,
                each.steps,
                twin.kind,
                twin.task,
            )
        )
    return found


# -- texts -------------------------------------------------------------------------------------


class _Words:
    """The grammar of levels."""

    def write(self, meaning: Meaning, generator: Generator, phrasing: TaskPhrasing) -> str:
        """Return a text for a task."""
        return write_task(Task(*meaning), generator, phrasing)

    def parse(self, text: str) -> Meaning | None:
        """Return the task of a text; None if it cannot be read."""
        return read_task(text)


def write(meaning: Meaning, layout: Cells, phrasing: TaskPhrasing, generator: Generator) -> str:
    """Return a text for a task, one that is read back the same in a layout [H, W, 3].

    Raises:
        ConfigError: if there is no such text.
    """
    return write_readable(_Words(), meaning, partial(_denote, layout), phrasing, generator)


def _denote(layout: Cells, meaning: Meaning) -> Mask:
    """Return what a task denotes in a layout [H, W, 3], by what is done: bool [actions, H, W]."""
    denoted = denoted_by(Task(*meaning), as_rooms(layout[None])[0, ..., :2], layout)
    found = np.zeros((len(ACTIONS), *layout.shape[:2]), bool)
    found[list(denoted.acts)] = denoted.cells
    return found
