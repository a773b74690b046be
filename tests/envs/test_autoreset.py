from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from langrl.envs.autoreset import Autoreset
from langrl.envs.grid.rooms import DONE
from langrl.errors import ConfigError, InstructionError, LangRLError, ShapeError

MAZE, GRID = "langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0"
WORLDS = [MAZE, GRID]
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED]
TURN = 0  # to the left
NOBODY = np.zeros(3, bool)


def make(name, count=3, mode=AutoresetMode.DISABLED, **settings):
    return gymnasium.make_vec(name, num_envs=count, autoreset_mode=mode, **settings)


def stay(envs):
    """Actions that end no episode."""
    if envs.single_action_space.shape:
        return np.zeros((envs.num_envs, 2), np.float32)
    return np.full(envs.num_envs, TURN)


# -- which rows start anew, and when ---------------------------------------------------------


def test_with_next_step_whoever_is_over_starts_anew_by_itself():
    clock = Autoreset(3, 10, AutoresetMode.NEXT_STEP)
    assert clock.renew().tolist() == []
    clock.count(clock.renew(), np.array([False, True, False]))
    assert clock.renew().tolist() == [1]
    clock.count(clock.renew(), NOBODY)
    assert clock.renew().tolist() == []


def test_when_disabled_whoever_is_over_waits_for_a_reset():
    clock = Autoreset(3, 10, "Disabled")
    clock.count(clock.renew(), np.array([False, True, True]))
    with pytest.raises(ResetNeeded, match=r"environment 1 is over.*reset_mask"):
        clock.renew()
    clock.begin(np.array([1]))
    with pytest.raises(ResetNeeded, match="environment 2 is over"):
        clock.renew()
    clock.begin(np.array([2]))
    assert clock.renew().tolist() == []


def test_the_last_step_is_cut_off_even_if_it_ends_by_itself():
    clock = Autoreset(2, 2, "NextStep")
    assert clock.count(clock.renew(), np.zeros(2, bool)).tolist() == [False, False]
    assert clock.count(clock.renew(), np.array([True, False])).tolist() == [True, True]
    assert clock.renew().tolist() == [0, 1]


def test_success_in_the_last_step_ends_and_cuts_off_as_a_single_world():
    told = {"instruction": "row 1", "position": (0.7, 5.0)}
    single = gymnasium.make("langrl/StreetMaze-Blank-v0", max_episode_steps=1)
    envs = gymnasium.make_vec("langrl/StreetMaze-Blank-v0", num_envs=1, max_episode_steps=1)
    single.reset(seed=0, options=told)
    envs.reset(seed=0, options=told)
    down = np.array([1.0, 0.0], np.float32)
    _, *alone, _ = single.step(down)
    _, *rows, _ = envs.step(down[None])
    assert alone == [1.0, True, True]
    assert [value[0] for value in rows] == alone


@pytest.mark.parametrize("seed", range(3))
def test_next_step_counts_as_each_environment_by_itself(seed):
    generator, count, limit = np.random.default_rng(seed), 4, 5
    clock = Autoreset(count, limit, "NextStep")
    elapsed, over = [0] * count, [False] * count
    for _ in range(60):
        renewed = clock.renew()
        assert renewed.tolist() == [n for n in range(count) if over[n]]
        ended = generator.random(count) < 0.1
        ended[renewed] = False
        truncated = clock.count(renewed, ended)
        for n in range(count):
            elapsed[n] = 0 if over[n] else elapsed[n] + 1
            assert truncated[n] == (elapsed[n] >= limit)
            over[n] = bool(ended[n] or truncated[n])


def test_without_a_mask_every_row_starts_and_other_options_are_kept():
    clock = Autoreset(3, 10, "NextStep")
    assert clock.read(None)[0].tolist() == [0, 1, 2]
    options = {"instruction": "row 1", "reset_mask": np.array([True, False, True])}
    rows, rest = clock.read(options)
    assert rows.tolist() == [0, 2]
    assert rest == {"instruction": "row 1"}
    assert "reset_mask" in options  # the caller's own options are as they were


def test_a_mask_may_be_a_list():
    assert Autoreset(2, 10, "Disabled").read({"reset_mask": [False, True]})[0].tolist() == [1]


@pytest.mark.parametrize(
    "mask",
    [
        [True],
        [True] * 4,
        [1, 0, 1],
        [False] * 3,
        True,
        "all",
        [[True, False, True]],
        [[True], [True, False], []],
        np.array([2, 0, 1]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("world", [None, *WORLDS])
def test_wrong_mask_is_refused(mask, world):
    envs = None if world is None else make(world)
    read = Autoreset(3, 10, "Disabled").read if envs is None else partial(envs.reset, seed=0)
    with pytest.raises(ShapeError, match=r"'reset_mask' is bool \[3\], True at least once"):
        read(options={"reset_mask": mask})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((3, 10, "disabled"), "autoreset_mode is NextStep or Disabled, got 'disabled'"),
        ((3, 10, AutoresetMode.SAME_STEP), "got 'SameStep'"),
        ((3, 10, None), "got 'None'"),
        ((0, 10, "NextStep"), "num_envs"),
        ((3, 0, "NextStep"), "max_episode_steps"),
        ((2.0, 10, "NextStep"), "whole numbers"),
        ((3, None, "NextStep"), "got 3 and None"),
    ],
)
def test_wrong_mode_count_or_limit_is_refused(arguments, says):
    with pytest.raises(ConfigError, match=says) as caught:
        Autoreset(*arguments)
    assert "\n" not in str(caught.value)


# -- the worlds ------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
def test_worlds_start_anew_at_the_next_step_unless_told_otherwise(world):
    assert gymnasium.make_vec(world).metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    for mode in MODES:
        assert make(world, mode=mode).metadata["autoreset_mode"] is mode
        assert make(world, mode=mode.value).metadata["autoreset_mode"] is mode


def test_worlds_with_different_modes_may_live_side_by_side():
    one, two = make(MAZE), make(MAZE, mode="NextStep")
    assert one.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert two.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("mode", ["SameStep", "never", AutoresetMode.SAME_STEP])
def test_unknown_mode_of_a_world_is_refused(world, mode):
    with pytest.raises(ConfigError, match="autoreset_mode is NextStep or Disabled"):
        make(world, mode=mode)


@pytest.mark.parametrize("world", WORLDS)
def test_a_disabled_world_that_is_over_is_not_stepped(world):
    envs = make(world, max_episode_steps=2)
    envs.reset(seed=0)
    envs.step(stay(envs))
    observations, _, _, truncated, _ = envs.step(stay(envs))
    assert truncated.all()
    with pytest.raises(ResetNeeded, match="environment 0 is over"):
        envs.step(stay(envs))
    again, *_ = envs.reset(options={"reset_mask": np.array([False, False, True])})
    assert np.array_equal(again["observation"][:2], observations["observation"][:2])
    with pytest.raises(ResetNeeded, match="environment 0 is over"):
        envs.step(stay(envs))
    envs.reset(options={"reset_mask": np.array([True, True, False])})
    assert not envs.step(stay(envs))[3].any()


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_mask_starts_those_anew_and_leaves_the_others_alone(world, mode):
    envs, mask = make(world, mode=mode, max_episode_steps=4), np.array([False, True, False])
    envs.reset(seed=0)
    before, *_, info = envs.step(stay(envs))
    after, told = envs.reset(options={"reset_mask": mask})
    for n in (0, 2):
        assert np.array_equal(after["observation"][n], before["observation"][n])
        assert after["instruction"][n] == before["instruction"][n]
        assert told["shortest_steps"][n] == info["shortest_steps"][n]
    assert not np.array_equal(after["observation"][1], before["observation"][1])
    for expected in ([False] * 3, [False] * 3, [True, False, True]):  # steps 2, 3 and 4
        _, _, _, truncated, _ = envs.step(stay(envs))
        assert truncated.tolist() == expected


@pytest.mark.parametrize("world", WORLDS)
def test_the_others_go_on_as_if_nobody_had_started_anew(world):
    mask = np.array([True, False, False])
    one, two = make(world), make(world)
    one.reset(seed=3)
    two.reset(seed=3)
    one.step(stay(one))
    two.step(stay(two))
    two.reset(options={"reset_mask": mask})
    for _ in range(5):
        here, there = one.step(stay(one)), two.step(stay(two))
        assert np.array_equal(here[0]["observation"][1:], there[0]["observation"][1:])
        assert here[0]["instruction"][1:] == there[0]["instruction"][1:]


def test_a_mask_takes_instructions_for_those_that_start():
    envs = make(MAZE)
    before, _ = envs.reset(seed=0)
    mask = np.array([False, True, False])
    after, _ = envs.reset(options={"reset_mask": mask, "instruction": "row 1"})
    assert after["instruction"] == (before["instruction"][0], "row 1", before["instruction"][2])
    after, _ = envs.reset(options={"reset_mask": ~mask, "instruction": ["row 2", "row 3", "row 4"]})
    assert after["instruction"] == ("row 2", "row 1", "row 4")


@pytest.mark.parametrize(
    ("world", "options", "error"),
    [
        (MAZE, {"instruction": ""}, InstructionError),
        (MAZE, {"instruction": ["row 1"]}, ShapeError),
        (MAZE, {"instruction": ["row 1", "row 2", None]}, InstructionError),
        (MAZE, {"instruction": "row 99"}, InstructionError),
        (MAZE, {"position": (0.5, 99)}, LangRLError),
        (MAZE, {"colour": "red"}, InstructionError),
        (MAZE, {"reset_mask": [True]}, ShapeError),
        (GRID, {"instruction": "x" * 1001}, InstructionError),
        (GRID, {"instruction": "go to the red ball or to row\x00"}, InstructionError),
        (GRID, {"pose": (1, 1, 0)}, LangRLError),
        (GRID, {"reset_mask": [False] * 3}, ShapeError),
    ],
)
@pytest.mark.parametrize("mask", [None, [False, True, True]], ids=["all", "some"])
def test_a_refused_reset_leaves_the_running_episodes_alone(world, options, error, mask):
    envs, same = make(world, max_episode_steps=4), make(world, max_episode_steps=4)
    if mask is not None:
        options = {"reset_mask": mask} | options
    for each in (envs, same):
        each.reset(seed=0)
        each.step(stay(each))
    with pytest.raises(error):
        envs.reset(options=options)
    for _ in range(3):
        here, there = envs.step(stay(envs)), same.step(stay(same))
        assert np.array_equal(here[0]["observation"], there[0]["observation"])
        assert here[0]["instruction"] == there[0]["instruction"]
        assert np.array_equal(here[3], there[3])
    assert here[3].all()  # the clocks went on, too


def test_episodes_are_the_same_however_they_are_started_anew():
    actions = np.random.default_rng(0).integers(0, 4, 200)
    told, alone = make(GRID, 1), make(GRID, 1, "NextStep")
    one, _ = told.reset(seed=5)
    two, _ = alone.reset(seed=5)
    episodes = 0
    for action in actions:
        assert np.array_equal(one["observation"], two["observation"])
        assert one["instruction"] == two["instruction"]
        one, reward, terminated, truncated, info = told.step(np.array([action]))
        two, *others, info_two = alone.step(np.array([action]))
        assert [reward, terminated, truncated] == others
        assert info["is_success"] == info_two["is_success"]
        if terminated | truncated:
            episodes += 1
            one, _ = told.reset(options={"reset_mask": np.array([True])})
            two, *_ = alone.step(np.array([DONE]))  # does not count
    assert episodes > 10


def test_a_grid_world_that_said_done_is_the_only_one_to_wait():
    envs = make(GRID)
    envs.reset(seed=0)
    actions = stay(envs)
    actions[1] = DONE
    _, _, terminated, _, _ = envs.step(actions)
    assert terminated.tolist() == [False, True, False]
    with pytest.raises(ResetNeeded, match="environment 1 is over"):
        envs.step(stay(envs))
    envs.reset(options={"reset_mask": terminated})
    assert not envs.step(stay(envs))[2].any()


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("mode", MODES)
def test_a_reset_without_a_mask_starts_every_clock_anew(world, mode):
    envs = make(world, mode=mode, max_episode_steps=2)
    envs.reset(seed=0)
    envs.step(stay(envs))
    assert envs.step(stay(envs))[3].all()
    envs.reset()
    assert not envs.step(stay(envs))[3].any()
    assert envs.step(stay(envs))[3].all()
