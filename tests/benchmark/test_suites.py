import dataclasses
import re
from collections import Counter

import pytest

from langrl.benchmark.level_world import LEVELS
from langrl.benchmark.suites import SUITES, Suite, hash_tasks, suite_named
from langrl.benchmark.tasks import WORLDS, draw_tasks
from langrl.errors import ConfigError, UnknownNameError

SUITE, SECOND = (SUITES[f"langrl/AmbiguousInstructions-v{n}"] for n in (1, 2))
VERSION = "8d300d9d5d2a1b07b2bd2643513c8d713c2494d2601911a9c7f1a483027c809d"
SECOND_VERSION = "27e5371091d8691343f1e0797e396b7a20ae7e7b32ad3424b19159592c06a8b8"


def test_the_versions_are_the_committed_ones():
    assert SUITE.version_hash == VERSION
    assert SECOND.version_hash == SECOND_VERSION
    assert list(SUITES) == [SUITE.name, SECOND.name]
    assert SECOND.worlds == tuple(WORLDS)


def test_the_second_version_has_the_tasks_of_the_first_and_those_of_levels():
    shared = {world: SECOND.digests[world] for world in SUITE.worlds}
    assert shared == SUITE.digests
    assert (SECOND.seed, SECOND.pairs) == (SUITE.seed, SUITE.pairs)
    assert set(SECOND.worlds) - set(SUITE.worlds) == set(LEVELS)


@pytest.mark.parametrize("world", SECOND.worlds)
def test_tasks_are_those_of_the_version(world):
    assert SECOND.digest(world) == SECOND.digests[world]
    for mode in WORLDS[world].modes:
        tasks = SECOND.tasks(world, mode)
        assert len(tasks) == 288
        assert {task.mode for task in tasks} == {mode}
        levels = WORLDS[world].levels
        shares = Counter((task.level, task.phrasing) for task in tasks if not task.twin)
        assert set(shares) == {
            (level, phrasing) for level in levels for phrasing in ("seen", "held_out", "noisy")
        }
        assert set(shares.values()) == {144 // (3 * len(levels))}


def test_names_are_unlike_in_the_whole_suite():
    worlds = ("street-blank", "street-slit")
    names = [
        t.name for world in worlds for mode in ("any", "hidden") for t in SUITE.tasks(world, mode)
    ]
    assert len(set(names)) == len(names)


def test_callers_may_change_the_list_that_they_got():
    SUITE.tasks("street-blank", "any").clear()
    assert len(SUITE.tasks("street-blank", "any")) == 288


def test_the_hash_is_over_every_field_of_every_task():
    tasks = draw_tasks("street-blank", 2, 0)
    first = hash_tasks(tasks)
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert hash_tasks(tasks[:-1]) != first
    assert hash_tasks(tasks[::-1]) != first
    for field in dataclasses.fields(tasks[0]):
        changed = dataclasses.replace(tasks[0], **{field.name: None})
        if getattr(tasks[0], field.name) is not None:
            assert hash_tasks([changed, *tasks[1:]]) != first


def test_tasks_of_another_numpy_are_refused():
    suite = Suite("other", 17, 2, {"street-blank": "0" * 64})
    with pytest.raises(ConfigError, match=r"draws other tasks in street-blank .* constraints\.txt"):
        suite.tasks("street-blank", "any")
    assert suite.version_hash != SUITE.version_hash


def test_minigrid_is_named_where_it_draws_other_tasks():
    suite = Suite("other", 17, 1, {"level-goto-local": "0" * 64})
    with pytest.raises(ConfigError, match=r"with minigrid \S+ draws other tasks in level-goto"):
        suite.tasks("level-goto-local", "any")


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'street-fork'"):
        SUITE.tasks("street-fort", "any")
    with pytest.raises(UnknownNameError, match="no mode named 'hiden'"):
        SUITE.tasks("street-fork", "hiden")
    with pytest.raises(UnknownNameError, match="did you mean 'langrl/AmbiguousInstructions-v"):
        suite_named("langrl/AmbiguousInstructions-v3")
    assert suite_named(SUITE.name) is SUITE
