import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from langrl.data.recordings.recording import Recording, achieved_goals, check_recording
from langrl.envs.goal_engine import GoalSpaces
from langrl.errors import LangRLError, ShapeError, TrajectoryError

STATES = 6
LAST = np.array([0, 0, 1, 0, 0, 1], bool)


def recording(width=3, actions=None, **changes):
    observations = np.arange(STATES * width, dtype=np.float32).reshape(STATES, width)
    if actions is None:
        actions = np.full((STATES, 2), 0.5, np.float32)
    return Recording("ogbench", observations, actions, LAST, np.zeros(STATES, bool), **changes)


def spaces(observation=3, goal=3, action=2):
    def box(shape, bound=np.inf):
        shape = (shape,) if isinstance(shape, int) else shape
        return Box(-bound, bound, shape, np.float32)

    move = box(action, 1.0) if isinstance(action, int) else action
    return GoalSpaces(observation=box(observation), goal=box(goal), action=move)


def test_without_recorded_goals_the_whole_observation_is_the_goal_if_sizes_are_equal():
    found = recording()
    check_recording(found, spaces())
    assert achieved_goals(found, spaces()) is found.observations


def test_recorded_goals_come_before_observations():
    goals = np.ones((STATES, 3), np.float32)
    found = recording(achieved=goals)
    assert achieved_goals(found, spaces()) is goals


def test_goal_columns_come_first():
    found = recording(achieved=np.ones((STATES, 2), np.float32))
    goals = achieved_goals(found, spaces(goal=2), (2, 0))
    assert np.array_equal(goals, found.observations[:, [2, 0]])
    assert np.array_equal(check_recording(found, spaces(goal=2), (2, 0)).achieved, goals)


def test_discrete_actions_fit_choices():
    choices = np.array([0, 2, 9, 1, 2, 9])  # those at last states are not used
    found = recording(actions=choices)
    assert found.discrete
    fitted = check_recording(found, spaces(action=Discrete(3)))
    assert fitted.actions.tolist() == [0, 2, 0, 1, 2, 0]
    with pytest.raises(TrajectoryError, match=r"actions\[0\] is 0, and .* takes 1 to 3 \(1 such"):
        check_recording(found, spaces(action=Discrete(3, start=1)))


def test_bounds_allow_for_rounding_and_leave_out_last_states():
    actions = np.full((STATES, 2), 1.00001, np.float32)
    actions[LAST] = np.nan
    check_recording(recording(actions=actions), spaces())


def test_what_is_learned_from_has_goals_and_actions_in_units_of_the_bounds():
    actions = np.array([[0, -2], [4, 2], [np.nan, 0], [1, 1], [2, -1], [9, 9]], np.float32)
    bounds = Box(np.array([0, -2], np.float32), np.array([4, 2], np.float32))
    found = recording(actions=actions)
    fitted = check_recording(found, spaces(action=bounds))
    expected = [[-1, -1], [1, 1], [0, 0], [-0.5, 0.5], [0, -0.5], [0, 0]]
    assert np.array_equal(fitted.actions, np.array(expected, np.float32))
    assert fitted.achieved is found.observations
    assert found.achieved is None
    assert found.actions[1].tolist() == [4, 2]


@pytest.mark.parametrize(
    ("found", "wanted", "columns", "message"),
    [
        (
            {"width": 4},
            {},
            None,
            "observations have 4 numbers, and those of the environment have 3",
        ),
        (
            {},
            {"action": 1},
            None,
            "actions have 2 numbers, and those of the environment have 1 num",
        ),
        ({}, {"action": Discrete(4)}, None, "actions have 2 numbers, and .* have 4 choices"),
        (
            {"actions": np.zeros(STATES, np.int64)},
            {},
            None,
            "actions have choices, and those of the environment have 2 numbers",
        ),
        (
            {"actions": np.full((STATES, 2), -1.5, np.float32)},
            {},
            None,
            r"actions\[0\] is \[-1.5 -1.5\], and the environment takes -1 to 1 \(4 such actions\)",
        ),
        (
            {},
            {"goal": 2},
            None,
            "no achieved goals, .* have 2 numbers, the observations 3 numbers; say with goal_col",
        ),
        (
            {"achieved": np.ones((STATES, 4), np.float32)},
            {"goal": 2},
            None,
            "goals have 4 numbers, and those of the environment have 2 numbers",
        ),
        ({}, {"goal": 2}, (0,), "goals have 1 number, and those of the environment have 2 numbers"),
        ({}, {"goal": 2}, (0, 3), r"goal_columns \[0, 3\]: observations have 3 numbers; name some"),
        ({}, {"observation": (3, 3, 1)}, None, "3 numbers, and .* have 3 x 3 x 1 pixels"),
    ],
)
def test_what_does_not_fit_is_named_with_both_sizes(found, wanted, columns, message):
    with pytest.raises(LangRLError, match=message):
        check_recording(recording(**found), spaces(**wanted), columns)


def test_goal_columns_of_images_are_refused():
    images = np.zeros((STATES, 4, 4, 3), np.uint8)
    found = Recording("ogbench", images, np.zeros(STATES, np.int64), LAST, np.zeros(STATES, bool))
    with pytest.raises(ShapeError, match="goal_columns are for observations of numbers"):
        achieved_goals(found, spaces(observation=(4, 4, 3)), (0,))
    same = spaces(observation=(4, 4, 3), goal=(4, 4, 3))
    assert achieved_goals(found, same) is images
