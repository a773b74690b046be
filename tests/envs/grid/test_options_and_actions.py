import warnings

import gymnasium
import numpy as np
import pytest
from grid_rooms_by_hand import (
    EAST,
    NICHE,
    NORTH,
    ROOM,
    SOUTH,
    START,
    TO_THE_KEY,
    begin,
    begin_many,
    pose_in,
)

from langrl.envs.grid.env import GridGoToEnv, GridGoToVectorEnv
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL, level_of, parse
from langrl.envs.grid.rooms import DONE, LEFT, RIGHT, is_free
from langrl.errors import InstructionError, LangRLError, LayoutError, ShapeError

# -- options -------------------------------------------------------------------------------------


def test_reset_takes_the_room_the_pose_and_the_instruction():
    env = GridGoToEnv()
    options = {"room": ROOM, "pose": (2, 3, NORTH), "instruction": "Go to the KEY, please!"}
    observation, _ = env.reset(seed=0, options=options)
    np.testing.assert_array_equal(observation["observation"][..., :2], ROOM)
    np.testing.assert_array_equal(env.room, ROOM)
    assert pose_in(observation["observation"]) == (2, 3, NORTH)
    assert observation["instruction"] == "Go to the KEY, please!"
    observation, _ = env.reset()  # the options are for that episode only
    assert not np.array_equal(env.room, ROOM)
    assert observation["instruction"] != "Go to the KEY, please!"


def test_room_alone_gets_an_instruction_that_fits():
    envs = GridGoToVectorEnv(30, levels=("full", "colour"))
    observations, infos = envs.reset(seed=0, options={"room": ROOM.tolist()})
    np.testing.assert_array_equal(
        observations["observation"][..., :2], np.tile(ROOM, (30, 1, 1, 1))
    )
    assert {level_of(parse(text)) for text in observations["instruction"]} == {"full", "colour"}
    assert (infos["ambiguity_bits"] <= 1).all()  # there are two red objects
    assert (infos["shortest_steps"] >= 3 + 1).all()


def test_instruction_alone_gets_a_room_where_it_denotes_something():
    envs = GridGoToVectorEnv(50)
    observations, infos = envs.reset(seed=0, options={"instruction": "the purple key"})
    is_key = (observations["observation"][..., :2] == (TYPES["key"], COLOURS["purple"])).all(-1)
    assert is_key.any((1, 2)).all()
    np.testing.assert_allclose(infos["ambiguity_bits"], np.log2(is_key.sum((1, 2))))


def test_instruction_that_fits_no_room_of_the_world_is_refused():
    with pytest.raises(InstructionError, match="door' denotes nothing"):
        GridGoToEnv("goto").reset(seed=0, options={"instruction": "the red door"})


def test_room_where_no_instruction_fits_is_refused():
    with pytest.raises(InstructionError, match="add 'any' to the levels"):
        GridGoToEnv(levels=("relation",)).reset(seed=0, options={"room": NICHE})


def test_vector_reset_takes_one_option_for_all_or_one_for_each():
    envs = GridGoToVectorEnv(2)
    poses = [(3, 1, NORTH), (1, 1, EAST)]
    options = {"room": ROOM, "pose": poses, "instruction": ("the key", "the box")}
    observations, infos = envs.reset(options=options)
    assert [pose_in(seen) for seen in observations["observation"]] == poses
    assert observations["instruction"] == ("the key", "the box")
    np.testing.assert_array_equal(infos["shortest_steps"], [2 + 1, 11 + 1])
    options = {"room": ROOM, "pose": START, "instruction": np.array(["the key", "the box"])}
    observations, infos = envs.reset(options=options)
    assert [pose_in(seen) for seen in observations["observation"]] == [START, START]
    np.testing.assert_array_equal(infos["shortest_steps"], [3 + 1, 11 + 1])


def changed(*cells, size=8):
    """The hand-made room with other numbers in some cells."""
    room = ROOM[:size].astype(np.int64)
    for row, column, kind in cells:
        room[row, column] = kind
    return room


GREY = COLOURS["grey"]
WALLED_OFF = changed((1, 2, (WALL, GREY)), (2, 1, (WALL, GREY)))
WRONG_OPTIONS = [
    ({"level": "full"}, InstructionError, "no reset option 'level'"),
    ({"instruction": ""}, InstructionError, "is empty"),
    ({"instruction": 5}, InstructionError, "int"),
    ({"instruction": b"the key"}, InstructionError, "bytes"),
    ({"instruction": "a\x00b"}, InstructionError, r"U\+0000"),
    ({"instruction": ["the key"] * 3}, ShapeError, "instructions, got 3"),
    ({"room": ROOM, "instruction": "the purple key"}, InstructionError, "denotes nothing"),
    ({"pose": START}, LayoutError, "needs the option 'room'"),
    ({"room": ROOM, "pose": (4, 1, EAST)}, LayoutError, "in a wall or on an object"),
    ({"room": WALLED_OFF, "pose": START}, LayoutError, "hang together"),
    ({"room": ROOM, "pose": (0, 1, EAST)}, ShapeError, "outside the walls"),
    ({"room": ROOM, "pose": (1, 1, 4)}, ShapeError, r"\[1, 1, 4\]"),
    ({"room": ROOM, "pose": (1.5, 1, 0)}, ShapeError, "whole numbers"),
    ({"room": ROOM, "pose": (np.nan, 1, 0)}, ShapeError, "whole numbers"),
    ({"room": ROOM[:7]}, LayoutError, r"\[8, 8, 2\] \(type, colour\), got \[7, 8, 2\]"),
    ({"room": ROOM[..., 0]}, LayoutError, r"got \[8, 8\]"),
    ({"room": "goto"}, LayoutError, r"got \[\]"),
    ({"room": changed((0, 3, (EMPTY, 0)))}, LayoutError, "walls all around"),
    ({"room": changed((0, 3, (TYPES["door"], 0)))}, LayoutError, "walls all around"),
    ({"room": changed((3, 3, (3, 0)))}, LayoutError, "no type or colour"),
    ({"room": changed((3, 3, (EMPTY, 6)))}, LayoutError, "no type or colour"),
    ({"room": changed((3, 3, (-1, 0)))}, LayoutError, "no type or colour"),
    ({"room": changed((3, 3, (257, 0)))}, LayoutError, "no type or colour"),
    ({"room": np.full((8, 8, 2), np.nan)}, LayoutError, "no type or colour"),
    ({"room": np.full((8, 8, 2), (WALL, GREY))}, LayoutError, "free cells"),
]


UNCLEAR = [
    ({"room": ROOM, "pose": (1, 2)}, "pose"),
    ({"room": ROOM, "pose": 1}, "pose"),  # not (1, 1, 1)
    ({"room": ROOM, "pose": [START] * 3}, "pose"),
    ({"room": ROOM, "pose": "here"}, "pose"),
    ({"room": ROOM, "pose": (np.inf, 1, 0)}, "whole numbers"),
    ({"room": [[1], [1, 2]]}, "room"),
]


@pytest.mark.parametrize("count", [None, 2])
@pytest.mark.parametrize(("options", "error", "says"), WRONG_OPTIONS)
def test_wrong_reset_option_is_refused(options, error, says, count):
    env = GridGoToEnv() if count is None else GridGoToVectorEnv(count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=says) as refusal:
            env.reset(seed=0, options=options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("count", [None, 2])
@pytest.mark.parametrize(("options", "says"), UNCLEAR)
def test_wrong_reset_option_is_refused_in_our_words(options, says, count):
    env = GridGoToEnv() if count is None else GridGoToVectorEnv(count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LangRLError, match=says):
            env.reset(seed=0, options=options)


def test_refused_reset_leaves_the_agent_where_it_can_stand():
    for seed in range(20):
        env, _ = begin("the key", (6, 4, EAST), seed=seed)
        with pytest.raises(InstructionError):
            env.reset(options={"room": NICHE, "instruction": "the purple door"})
        row, column, _ = pose_in(env.step(LEFT)[0]["observation"])
        assert is_free(env.room)[row, column]


# -- actions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action", [-1, 4, 255, 1.0, np.float32(2), True, "left", None, [0], [0, 1]]
)
def test_action_that_is_none_is_refused(action):
    env, _ = begin("the key")
    with pytest.raises(ShapeError, match="left, right, forward, done") as refusal:
        env.step(action)
    assert "\n" not in str(refusal.value)
    assert pose_in(env.step(RIGHT)[0]["observation"]) == (1, 1, SOUTH)  # nothing has happened


@pytest.mark.parametrize(
    "actions", [0, [0], [0, 1, 2, 3], [[0, 1, 2]], [0, 1, 4], [0, -1, 1], [0.0, 1.0, 2.0]], ids=str
)
def test_actions_of_another_shape_or_range_are_refused(actions):
    envs, _ = begin_many(3, "the key")
    with pytest.raises(ShapeError, match="left, right, forward, done"):
        envs.step(np.array(actions))
    assert pose_in(envs.step(np.full(3, RIGHT))[0]["observation"][0]) == (1, 1, SOUTH)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_actions_may_be_of_any_whole_number_type(dtype):
    env, _ = begin("the key")
    envs, _ = begin_many(4, "the key")
    for action in TO_THE_KEY:
        env.step(dtype(action))
    assert env.step(dtype(DONE))[1] == 1
    observations, *_ = envs.step(np.arange(4, dtype=dtype))
    poses = [pose_in(seen) for seen in observations["observation"]]
    assert poses == [(1, 1, NORTH), (1, 1, SOUTH), (1, 2, EAST), (1, 1, EAST)]


@pytest.mark.parametrize("env", [GridGoToEnv(), gymnasium.make("langrl/GridGoTo-v0")], ids=str)
def test_step_before_reset_is_refused(env):
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(LEFT)


def test_step_of_many_before_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        GridGoToVectorEnv(2).step(np.full(2, LEFT))
