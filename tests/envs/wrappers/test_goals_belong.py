"""Goals belong to observations: wrappers between that change these are refused."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import (
    DelayObservation,
    DtypeObservation,
    FilterObservation,
    FlattenObservation,
    FrameStackObservation,
    OrderEnforcing,
    RecordEpisodeStatistics,
    RescaleAction,
    RescaleObservation,
    TimeAwareObservation,
    TimeLimit,
    TransformObservation,
    TransformReward,
)
from wrapped_environments import (
    GRID,
    TEXTS,
    RowLanguage,
    cart,
    encode,
    place_goals,
    refused,
    small_maze,
    text_cart,
)

from langrl.envs.goals import BoxGoals
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction
from langrl.errors import GroundingError, ShapeError
from langrl.evaluation.rollouts import follow
from langrl.grounding.candidates import ListedCandidates, SampledCandidates
from langrl.grounding.instruction_to_goal import InstructionToGoal

OPEN = "......\n......\n......\n......"


class Line(gymnasium.Env):
    """A place on a line that an action moves; the environment says what its goals are."""

    observation_space = spaces.Box(0, 8, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)
    goals = BoxGoals([0], [8], 0.6)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.uniform(0, 8)
        return self._observe(), {}

    def step(self, action):
        self.at = float(np.clip(self.at + action[0], 0, 8))
        return self._observe(), 0.0, False, False, {}

    def _observe(self):
        return np.float32([self.at, 0])


def line():
    return TimeLimit(Line(), 20)


class Halved(gymnasium.ObservationWrapper):
    """Changes what is observed, and not the space."""

    def observation(self, observation):
        return observation / 2


def rescaled(env):
    return RescaleObservation(env, np.zeros(2, np.float32), np.ones(2, np.float32))


CHANGES = {
    "rescaled": rescaled,
    "cropped": lambda env: TransformObservation(
        env, lambda seen: seen[1:], spaces.Box(0, 8, (1,), np.float32)
    ),
    "stacked": lambda env: FrameStackObservation(env, 2),
    "cast": lambda env: TransformObservation(env, np.float64, spaces.Box(0, 8, (2,), np.float64)),
    "with the time": TimeAwareObservation,
    "halved within the space": lambda env: TransformObservation(env, lambda seen: seen / 2, None),
    "halved by a class": Halved,
}
KEEPS = {
    "a time limit": lambda env: TimeLimit(env, 5),
    "order": OrderEnforcing,
    "statistics": RecordEpisodeStatistics,
    "rewards": lambda env: TransformReward(env, lambda reward: 2 * reward),
    "actions": lambda env: RescaleAction(env, np.float32(-2), np.float32(2)),
    "a delay": lambda env: DelayObservation(env, 1),
    "flat already": FlattenObservation,
    "the same numbers": lambda env: DtypeObservation(env, np.float32),
    "several": lambda env: RecordEpisodeStatistics(OrderEnforcing(TimeLimit(env, 5))),
}


def is_right(goals, text):
    return goals[:, 0] > 4 if text in TEXTS else None


def followed(env, goals=None):
    places = ListedCandidates(np.float32([[1], [7]]))
    return InstructionToGoal(AddInstruction(env, TEXTS), RowLanguage(), "max_goal", places, goals)


TAKES = {
    "GoalEnv": GoalEnv,
    "AddInstruction with a denotation": lambda env, goals=None: AddInstruction(
        env, TEXTS, goals, is_right
    ),
    "InstructionToGoal": followed,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("wrapper", TAKES)
def test_goals_of_other_observations_are_refused(wrapper, change):
    env = CHANGES[change](line())
    refused(
        lambda: TAKES[wrapper](env),
        GroundingError,
        f"the goals for {wrapper} belong to observations Box.*wrappers that change its"
        " observations outside, or pass goals=",
    )


@pytest.mark.parametrize(
    "change", [name for name in CHANGES if name not in ("with the time", "stacked")]
)
@pytest.mark.parametrize("wrapper", TAKES)
def test_goals_made_for_the_observations_here_are_taken(wrapper, change):
    env = TAKES[wrapper](CHANGES[change](line()), BoxGoals([0], [1], 0.1))
    env.reset(seed=0)
    assert env.step(np.float32([1]))[0] in env.observation_space


@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("wrapper", TAKES)
def test_wrappers_that_leave_observations_as_they_are_pass(wrapper, keeps):
    env = TAKES[wrapper](KEEPS[keeps](line()))
    env.reset(seed=0)
    assert env.step(np.float32([1]))[0] in env.observation_space


def instructed(change):
    """A wrapper of a world with instructions that changes its positions."""

    def wrap(env, space):
        told = spaces.Dict({**env.observation_space.spaces, "observation": space})
        return TransformObservation(
            env, lambda seen: seen | {"observation": change(seen["observation"])}, told
        )

    return wrap


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (spaces.Box(0, 1, (2,), np.float32), "and those of"),
        (small_maze().observation_space["observation"], "TransformObservation may have changed"),
    ],
)
@pytest.mark.parametrize("wrapper", ["GoalEnv", "InstructionToGoal"])
def test_positions_in_other_units_are_refused_with_the_goals_of_a_maze(wrapper, space, says):
    env = instructed(lambda position: position / 8)(small_maze(), space)
    world = env.unwrapped.world

    def wrap():
        if wrapper == "GoalEnv":
            return GoalEnv(env)
        candidates = SampledCandidates(world.sample_states, 6)
        return InstructionToGoal(env, RowLanguage(), "max_goal", candidates)

    refused(wrap, GroundingError, f"the goals for {wrapper} belong to.*{says}")


def test_a_room_that_is_cropped_is_refused_with_the_goals_of_a_grid_world():
    crop = instructed(lambda room: room[1:-1, 1:-1])
    world = gymnasium.make(GRID)
    size = world.observation_space["observation"].shape[0] - 2
    env = crop(world, spaces.Box(0, 255, (size, size, 3), np.uint8))
    refused(lambda: GoalEnv(env), GroundingError, "the goals for GoalEnv belong to")
    goals = world.unwrapped.goals  # which say so themselves
    refused(lambda: GoalEnv(env, goals), GroundingError, "the goals for GoalEnv belong to")


def test_wrappers_of_text_change_no_goals():
    env = GoalEnv(EmbedInstruction(small_maze(), encode))
    assert env.reset(seed=0)[0] in env.observation_space
    told = AddInstruction(
        FlattenObservation(FilterObservation(GoalEnv(line()), ["observation"])), TEXTS
    )
    env = InstructionToGoal(told, RowLanguage(), "max_goal", ListedCandidates(np.float32([[1]])))
    assert env.reset(seed=0)[0] in env.observation_space


def test_goals_that_were_given_further_in_belong_to_the_observations_there():
    told = text_cart(goals=place_goals())
    space = spaces.Box(-1, 1, (4,), np.float32)
    env = instructed(lambda seen: seen / 5)(told, space)
    refused(
        lambda: InstructionToGoal(
            env, RowLanguage(), "max_goal", ListedCandidates(np.float32([[0.5]]))
        ),
        GroundingError,
        "the goals for InstructionToGoal belong to",
    )


class Straight:
    """A policy that walks straight to the goal, in whatever units."""

    def predict(self, observation, deterministic=True):
        way = observation["desired_goal"] - observation["achieved_goal"]
        return way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6), None


class MiddleOfRow(RowLanguage):
    """A language for mazes: "row 3" is the middle of that row."""

    def score(self, goals, texts):
        return super().score(goals[..., :1], texts[..., :1] + 0.5)


def shrunk(env):
    """Positions in another unit, around the goals of the world."""
    inner = env.observation_space
    space = spaces.Dict({**inner.spaces, "observation": spaces.Box(0, 1, (2,), np.float32)})
    return TransformObservation(
        env, lambda seen: seen | {"observation": seen["observation"] / 8}, space
    )


def test_in_the_other_order_goals_are_reached():
    task = partial(gymnasium.make, "langrl/StreetMaze-v0", layout=OPEN, max_episode_steps=30)
    result = follow(Straight(), lambda: shrunk(GoalEnv(task())), episodes=40, seed=0)
    assert result.success.mean() == 1.0

    def told():
        env = task(kinds=("row",))
        candidates = SampledCandidates(env.unwrapped.world.sample_states, 100)
        return shrunk(InstructionToGoal(env, MiddleOfRow(), "max_goal", candidates))

    assert follow(Straight(), told, episodes=20, seed=0).success.mean() == 1.0


# -- numbers that are goals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda goals: GoalEnv(cart(), goals),
        lambda goals: text_cart(goals=goals),
        lambda goals: text_cart(goals=goals, denotation=is_right),
        lambda goals: InstructionToGoal(
            text_cart(), RowLanguage(), "max_goal", ListedCandidates(np.zeros((1, 1))), goals
        ),
    ],
)
@pytest.mark.parametrize(
    ("goals", "numbers"),
    [
        (BoxGoals([0], [1], 0.1, columns=[4]), r"\[4\]"),
        (BoxGoals([0, 0], [1, 1], 0.1, columns=[0, -5]), r"\[0, -5\]"),
        (BoxGoals([0] * 5, [1] * 5, 0.1), r"\[0, 1, 2, 3, 4\]"),
    ],
)
def test_numbers_that_an_observation_has_not_are_refused_when_made(wrap, goals, numbers):
    says = f"the numbers {numbers} of vectors, and an observation is .4.; give it other columns"
    refused(lambda: wrap(goals), ShapeError, says)


@pytest.mark.parametrize(("name", "shape"), [("FrozenLake-v1", r"\[\]"), (GRID, r"\[8, 8, 3\]")])
def test_observations_that_are_no_vectors_are_refused_when_made(name, shape):
    env = gymnasium.make(name)
    says = f"an observation is {shape}.*FlattenObservation"
    refused(lambda: GoalEnv(env, BoxGoals([0], [1], 0.1)), ShapeError, says)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([0.5, 1], "columns of whole ones"),
        (["0", "1"], "columns of whole ones"),
        ("01", "columns of whole ones"),
        ([1, 1], r"columns are \[1, 1\]; name each number once"),
        ([0], r"a number for each of a goal's, got \[2\], \[2\] and \[1\]"),
    ],
)
def test_columns_that_are_none_are_refused(columns, says):
    refused(lambda: BoxGoals([0, 0], [1, 1], 0.1, columns), ShapeError, says)


def test_a_number_that_is_named_from_both_ends_is_refused_when_made():
    goals = BoxGoals([0, 0], [1, 1], 0.1, columns=[0, -4])
    refused(lambda: GoalEnv(cart(), goals), ShapeError, r"\[0, -4\] of vectors of 4; name each")


def test_goals_of_ones_own_read_what_they_like_within_their_own_bounds():
    class Brightness(BoxGoals):
        def __init__(self):
            super().__init__([0.2], [0.8], 0.1, columns=[7])
            self.space = gymnasium.spaces.Box(0, 1, (1,), np.float32)

        def achieved(self, observations, actions=None):
            return np.abs(observations[:, :1]).clip(0, 1).astype(self.space.dtype)

    env = GoalEnv(cart(), Brightness())
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert env.goals.as_dtype(np.float64).space == gymnasium.spaces.Box(0, 1, (1,), np.float64)


def test_the_last_numbers_can_be_goals():
    goals = BoxGoals([-0.2, -1], [0.2, 1], 0.1, columns=[-2, np.int64(0)])
    observation, _ = GoalEnv(cart(), goals).reset(seed=0)
    seen = observation["observation"]
    assert observation["achieved_goal"].tolist() == [seen[2], seen[0]]
