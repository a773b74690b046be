import gymnasium
import numpy as np
import pytest
import torch
from wrapped_environments import (
    GRID,
    TEXTS,
    PlaceLanguage,
    RowLanguage,
    cart,
    drawn_cart,
    encode,
    encode_images,
    equal,
    follow_cart,
    follow_maze,
    place_goals,
    refused,
    small_maze,
    text_cart,
)

from langrl.envs.goals import FrameGoals
from langrl.envs.grid.rooms import DONE
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import AddInstruction
from langrl.errors import (
    DomainError,
    GroundingError,
    InstructionError,
    ShapeError,
    UnknownNameError,
)
from langrl.grounding.candidates import ListedCandidates, ReachablePoses, SampledCandidates
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.strategies import LogSumExp, MaxGoal
from langrl.tasks.grid.agent import image_language


def test_the_goal_is_the_candidate_that_fits_best():
    env = follow_cart()
    for text, place in (("go right", 0.5), ("go left", -0.5)):
        observation, info = env.reset(seed=0, options={"instruction": text})
        assert observation["desired_goal"] == pytest.approx([place])
        assert info["instruction"] == text
        assert info["candidates"].shape == (9, 1)
        assert info["posterior"].sum() == pytest.approx(1, abs=1e-5)
        best = info["candidates"][info["posterior"].argmax()]
        assert np.array_equal(best, observation["desired_goal"])


def test_a_sampled_goal_follows_the_posterior():
    env = follow_cart("sampled_goal")
    _, info = env.reset(seed=0, options={"instruction": "go right"})
    drawn = [env.reset(options={"instruction": "go right"})[0]["desired_goal"] for _ in range(400)]
    places = info["candidates"].ravel()
    share = [(np.ravel(drawn) == place).mean() for place in places]
    fit = np.exp(4 * places) / np.exp(4 * places).sum()
    assert info["posterior"] == pytest.approx(fit, abs=1e-5)
    assert share == pytest.approx(fit, abs=0.08)


def test_sharpness_multiplies_the_fit():
    places = ListedCandidates(np.float32([[-0.5], [0.5]]))
    env = InstructionToGoal(
        text_cart(goals=place_goals()),
        PlaceLanguage(),
        MaxGoal(),
        places,
        language_weight=0.5,
    )
    _, info = env.reset(seed=0, options={"instruction": "go right"})
    assert info["posterior"] == pytest.approx(np.exp([-1, 1]) / np.exp([-1, 1]).sum(), abs=1e-5)


def test_reward_and_end_are_the_worlds_and_info_says_whether_the_goal_is_reached():
    goals = ListedCandidates(np.float32([[0.5, 2.5], [2.5, 0.5]]))
    env = InstructionToGoal(small_maze(), RowLanguage(), "max_goal", goals)
    options = {"instruction": "row 2", "position": (0.5, 0.5)}
    observation, info = env.reset(seed=0, options=options)
    assert observation["desired_goal"].tolist() == [2.5, 0.5]
    assert not info["is_success"]
    for reward in (0.0, 0.0, 1.0):
        observation, told, terminated, _, info = env.step(np.float32([1, 0]))
        assert told == reward
        assert terminated == info["is_success"] == bool(reward)
        assert info["goal_reached"] is bool(reward)
    env.reset(seed=0, options={"instruction": "column 1", "position": (0.5, 0.5)})
    for _ in range(2):
        _, reward, terminated, _, info = env.step(np.float32([0, 1]))
    assert (reward, terminated, info["goal_reached"]) == (1.0, True, False)


def test_observations_are_those_of_goal_env():
    assert follow_maze().observation_space == GoalEnv(small_maze()).observation_space


@pytest.mark.parametrize("strategy", ["max_goal", "sampled_goal"])
def test_a_trained_critics_language_chooses_goals(make_critics, world, strategy):
    _, language = make_critics()
    env = InstructionToGoal(
        small_maze(), language, strategy, SampledCandidates(world.sample_states, 16)
    )
    observation, info = env.reset(seed=0, options={"instruction": "row 3"})
    assert info["posterior"].sum() == pytest.approx(1, abs=1e-5)
    assert (info["candidates"] == observation["desired_goal"]).all(1).any()
    assert equal(env.reset(seed=0, options={"instruction": "row 3"}), (observation, info))


@pytest.fixture(scope="module")
def follow_grid():
    language = image_language("bundled", "cpu")
    candidates = ReachablePoses(said_done=True)
    return InstructionToGoal(
        gymnasium.make(GRID), language, "max_goal", candidates, language_weight=6.0
    )


@pytest.mark.parametrize("text", ["go to the red ball", "go to the blue key", "find the green box"])
def test_the_bundled_model_chooses_goals_that_a_clear_instruction_denotes(follow_grid, text):
    for seed in range(3):
        observation, info = follow_grid.reset(seed=seed, options={"instruction": text})
        pose = observation["desired_goal"]
        assert pose[3] == 1
        assert follow_grid.unwrapped.denotation(pose[None, :3], text).tolist() == [True]
        assert info["posterior"].sum() == pytest.approx(1, abs=1e-5)
        rooms = follow_grid.unwrapped.denotation(info["candidates"][:, :3], text)
        assert info["posterior"][rooms].sum() > 0.9


def test_a_policy_that_does_what_the_goal_says_succeeds(follow_grid):
    env = InstructionToGoal(
        gymnasium.make(GRID), follow_grid._chooser.language, "max_goal", ReachablePoses(True)
    )
    text = "go to the red ball"
    observation, _ = env.reset(seed=0, options={"instruction": text})
    room, pose = env.unwrapped.room, observation["desired_goal"][:3].astype(int)
    options = {"instruction": text, "room": room, "pose": pose}
    observation, _ = env.reset(seed=1, options=options)
    _, reward, terminated, _, info = env.step(DONE)
    assert (reward, terminated, info["is_success"]) == (1.0, True, True)
    assert info["goal_reached"] == np.array_equal(pose, observation["desired_goal"][:3])


def test_images_are_goals_of_instructions_too():
    base = cart(render_mode="rgb_array")
    goals = FrameGoals(base, encode_images)
    candidates = ListedCandidates(
        np.stack([goals.draw(np.zeros((1, 1)), np.random.default_rng(n))[0] for n in range(4)])
    )
    language = PlaceLanguage()
    language.encode_text = lambda texts: torch.ones(len(texts), 1, 8)
    env = InstructionToGoal(AddInstruction(base, TEXTS), language, "max_goal", candidates, goals)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert equal(env.observation_space, drawn_cart().observation_space)


@pytest.mark.parametrize("strategy", ["log_sum_exp", "nearest_goal", "direct"])
def test_strategies_that_need_a_critic_are_refused_by_name(strategy):
    name = strategy.title().replace("_", "")
    refused(
        lambda: follow_cart(strategy),
        GroundingError,
        f"{name} needs a critic.*use one of: sampled_goal, max_goal",
    )


def follow_with(**changed):
    parts = {
        "language": PlaceLanguage(),
        "grounding": "max_goal",
        "candidates": ListedCandidates(np.zeros((2, 1), np.float32)),
        "goals": place_goals(),
    }
    InstructionToGoal(text_cart(), **parts | changed).reset(seed=0)


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"language": encode}, GroundingError, "embed_goals, encode_text, score, got function"),
        ({"language": "bundled"}, GroundingError, "language of InstructionToGoal"),
        ({"language": PlaceLanguage}, GroundingError, "got the class PlaceLanguage"),
        ({"grounding": "max_gaol"}, UnknownNameError, "did you mean 'max_goal'"),
        ({"grounding": None}, GroundingError, "grounding of InstructionToGoal has needs, ground"),
        ({"grounding": LogSumExp()}, GroundingError, "use one of: sampled_goal, max_goal"),
        ({"candidates": np.zeros((3, 1))}, GroundingError, "has draw, got ndarray"),
        (
            {"candidates": ListedCandidates(np.zeros((3, 2), np.float32))},
            ShapeError,
            r"candidates are .*\[1, 3, 2\] and goals \[1\]",
        ),
        ({"goals": None}, GroundingError, "InstructionToGoal needs to know what a goal is"),
        ({"language_weight": np.nan}, DomainError, "language_weight"),
        ({"language_weight": -1}, DomainError, "at least 0, got -1"),
    ],
)
def test_wrong_parts_of_following_are_refused(changed, error, says):
    refused(lambda: follow_with(**changed), error, says)


def test_candidates_out_of_bounds_are_refused():
    goals = ListedCandidates(np.float32([[9.5, 0.5]]))
    env = InstructionToGoal(small_maze(), RowLanguage(), "max_goal", goals)
    refused(lambda: env.reset(seed=0), ShapeError, "a candidate is .* out of the bounds of goals")


def test_candidates_of_poses_without_done_are_refused():
    env = InstructionToGoal(gymnasium.make(GRID), RoomLanguage(), "max_goal", ReachablePoses())
    refused(lambda: env.reset(seed=0), ShapeError, r"and goals \[4\].*said_done=True")


class RoomLanguage(PlaceLanguage):
    """A language for poses: the nearest to the corner."""

    def embed_goals(self, observations, goals):
        return -goals[..., :1].float()


def test_a_text_that_no_world_takes_is_refused():
    env = follow_maze()
    refused(lambda: env.reset(options={"instruction": "x" * 1001}), InstructionError, "shorten it")


def test_it_is_not_said_whether_the_start_satisfies_a_text_that_is_not_known():
    env = follow_maze()
    _, info = env.reset(seed=0, options={"instruction": "sing a song"})
    assert np.isnan(info["shortest_steps"])
    assert "started_satisfied" not in info
    assert "started_satisfied" in env.reset(options={"instruction": "go to row 0"})[1]
