import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from wrapped_environments import (
    ENVS,
    GRID,
    TEXTS,
    CellGoals,
    cart,
    drawn_cart,
    encode_images,
    equal,
    follow_maze,
    place_goals,
    refused,
    small_maze,
    text_cart,
)

from langrl.envs.goals import NO_TASK, BoxGoals
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.rooms import DONE
from langrl.envs.wrappers.goals import GoalEnv, RenderedGoals
from langrl.envs.wrappers.instructions import AddInstruction
from langrl.errors import DomainError, GroundingError, ShapeError

# -- GoalEnv -------------------------------------------------------------------------------------


def goal_maze(start, goal, **settings):
    """A small maze with a start and a goal."""
    env = GoalEnv(small_maze(), **settings)
    return env, *env.reset(seed=0, options={"position": start, "desired_goal": goal})


def test_an_observation_says_what_is_achieved_and_what_is_desired():
    env, observation, info = goal_maze((0.5, 0.5), (0.5, 3.5))
    assert observation["observation"].tolist() == [0.5, 0.5]
    assert observation["achieved_goal"].tolist() == [0.5, 0.5]
    assert observation["desired_goal"].tolist() == [0.5, 3.5]
    assert info["is_success"] is False
    observation, *_ = env.step(np.float32([0, 1]))
    assert observation["achieved_goal"].tolist() == [0.5, 1.0]
    assert observation["desired_goal"].tolist() == [0.5, 3.5]


@pytest.mark.parametrize("cost", [0, 0.25, 1])
def test_an_episode_ends_at_the_goal_and_every_step_has_its_cost(cost):
    env, _, _ = goal_maze((0.5, 0.5), (0.5, 2.5), step_cost=cost)
    told = [env.step(np.float32([0, 1]))[1:] for _ in range(3)]
    assert [step[0] for step in told] == [-cost, -cost, 1 - cost]
    assert [step[1] for step in told] == [False, False, True]
    assert [step[3]["is_success"] for step in told] == [False, False, True]


def test_a_grid_goal_is_reached_by_saying_done_there():
    env = GoalEnv(gymnasium.make(GRID))
    observation, _ = env.reset(seed=0)
    here = observation["achieved_goal"]
    assert here[3] == 0
    observation, _ = env.reset(seed=0, options={"desired_goal": [*here[:3], 1]})
    _, reward, terminated, _, info = env.step(DONE)
    assert (reward, terminated, info["is_success"]) == (1.0, True, True)
    env.reset(seed=0, options={"desired_goal": [*here[:2], (here[2] + 1) % 4, 1]})
    _, reward, terminated, _, info = env.step(DONE)
    assert (reward, terminated, info["is_success"]) == (0.0, True, False)


@pytest.mark.parametrize(
    "name", ["goals in a maze", "goals in a grid world", "goals of a cart", "images of a cart"]
)
def test_rewards_are_computed_for_any_batch_as_in_the_step(name):
    env = ENVS[name]()
    env.action_space.seed(0)
    achieved, desired, rewards = [], [], []
    for seed in range(6):
        env.reset(seed=seed)
        for _ in range(5):
            observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
            achieved.append(observation["achieved_goal"])
            desired.append(observation["desired_goal"])
            rewards.append(reward)
            alone = env.compute_reward(achieved[-1], desired[-1], info)
            assert float(alone) == reward
            if terminated or truncated:
                break
    both = np.stack(achieved), np.stack(desired)
    batch = env.compute_reward(*both, [{}] * len(rewards))
    assert batch.dtype == np.float32
    assert batch.tolist() == rewards
    at_goal = env.compute_reward(both[1], both[1], [{}] * len(rewards))
    assert at_goal.tolist() == [np.float32(1) - np.float32(env.step_cost)] * len(rewards)
    assert env.compute_reward(both[0][:, None], both[1][None], None).shape == (len(rewards),) * 2


def test_goals_are_drawn_anew_at_each_reset():
    env = GoalEnv(small_maze())
    env.reset(seed=0)
    goals = [tuple(env.reset()[0]["desired_goal"].tolist()) for _ in range(10)]
    assert len(set(goals)) == 10


def instructed_worlds():
    box = BoxGoals([0], [1], 0.01)
    yield "maze", GoalEnv(small_maze(kinds=("row",))), np.float32([0, 1])
    yield "maze with other goals", GoalEnv(small_maze(kinds=("row",)), box), np.float32([1, 0])
    told = text_cart(["go right"], goals=place_goals(), denotation=lambda goals, text: [True])
    yield "a cart that is told", GoalEnv(told, BoxGoals([1], [2], 0.01)), 0


@pytest.mark.parametrize("world", list(instructed_worlds()), ids=lambda world: world[0])
def test_the_instruction_of_a_world_ends_no_episode(world):
    _, env, action = world
    for seed in range(10):
        observation, info = env.reset(seed=seed)
        assert env.env.reset(seed=seed)[0]["instruction"] != NO_TASK["instruction"]
        env.reset(seed=seed)
        for _ in range(4):
            observation, reward, terminated, _, info = env.step(action)
            assert terminated == info["is_success"] == bool(reward)
            assert terminated == env.goals.reached(
                observation["achieved_goal"], observation["desired_goal"]
            )
            if terminated:
                break


def test_nothing_is_reported_of_a_task_that_is_none():
    env = GoalEnv(small_maze())
    _, info = env.reset(seed=0)
    assert info == {"is_success": False, "started_satisfied": False}
    assert env.step(np.float32([0, 1]))[4].keys() == {"is_success"}


def test_the_success_is_reported_where_the_environment_does_not_know_its_own():
    class Unsure(gymnasium.Wrapper):
        def reset(self, **options):
            observation, info = self.env.reset(**options)
            return observation, info | {"is_success": float("nan"), "bits": float("nan")}

        def step(self, action):
            *told, info = self.env.step(action)
            return *told, info | {"is_success": 0.0, "bits": 1.0, "speed": 2}

    env = GoalEnv(Unsure(cart()), place_goals())
    assert env.reset(seed=0)[1] == {"is_success": False, "started_satisfied": False}
    assert env.step(0)[4] == {"is_success": False, "speed": 2}


def test_a_time_limit_still_cuts_off():
    env = GoalEnv(cart(max_episode_steps=3), BoxGoals([5], [6], 0.1))
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]


def test_an_environment_that_ends_by_itself_ends_unreached():
    env = GoalEnv(cart(), BoxGoals([5], [6], 0.1))
    env.reset(seed=0)
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = env.step(0)
        assert (reward, info["is_success"]) == (0.0, False)


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ((0.5,), r"desired_goal is \[1\] and goals are \[2\]"),
        ((0.5, 0.5, 0.5), r"desired_goal is \[3\]"),
        ((np.nan, 0.5), "not finite"),
        ((9.0, 0.5), "out of the bounds"),
        ("the corner", "desired_goal is str, not numbers"),
        ({"row": 1}, "desired_goal is dict"),
        (((0.5, 0.5), (1,)), "desired_goal is tuple"),
    ],
)
def test_a_goal_that_is_none_is_refused_and_the_episode_goes_on(goal, says):
    env, same = GoalEnv(small_maze()), GoalEnv(small_maze())
    for each in (env, same):
        each.reset(seed=0)
    with pytest.raises(ShapeError, match=says) as caught:
        env.reset(options={"desired_goal": goal})
    assert "\n" not in str(caught.value)
    assert equal(env.step(np.float32([1, 0])), same.step(np.float32([1, 0])))


def test_desired_goals_are_the_callers_no_more():
    goal = np.float32([0.5, 3.5])
    env, observation, _ = goal_maze((0.5, 0.5), goal)
    goal[:] = 0
    observation["desired_goal"][:] = 0
    assert env.step(np.float32([0, 1]))[0]["desired_goal"].tolist() == [0.5, 3.5]


def test_a_step_before_the_first_reset_is_an_error():
    with pytest.raises(ResetNeeded):
        GoalEnv(small_maze()).step(np.float32([0, 1]))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: GoalEnv(GoalEnv(small_maze())), "GoalEnv makes no sense here"),
        (lambda: GoalEnv(follow_maze()), "a desired_goal already; put it around the environment"),
        (lambda: AddInstruction(GoalEnv(small_maze()), TEXTS), "AddInstruction makes no sense"),
    ],
)
def test_goals_of_goals_are_refused(make, says):
    refused(make, ShapeError, says)


class Moody(CellGoals):
    """Goals of CartPole that break what ``Goals`` asks for, one way or another."""

    space = spaces.Box(-9, 9, (2,), np.float32)

    def __init__(self, **broken):
        self.broken = broken

    def achieved(self, observations, actions=None):
        width = self.broken.get("width", 2) if actions is not None else 2
        return np.full((len(observations), width), self.broken.get("value", 0.0))

    def draw(self, observations, generator):
        return np.zeros((len(observations), self.broken.get("drawn", 2)))

    def reached(self, achieved, desired):
        return (achieved == desired).all(-1 if "reached" not in self.broken else None)


def one_step(goals, **settings):
    env = GoalEnv(cart(), goals, **settings)
    env.reset(seed=0)
    env.step(0)
    env.compute_reward(np.zeros((3, 2)), np.zeros((3, 2)), [{}] * 3)


@pytest.mark.parametrize(
    ("goals", "error", "says"),
    [
        (None, GroundingError, "GoalEnv needs.*CartPole.*does not say; pass goals=.*BoxGoals"),
        (3, GroundingError, "int does not say: it needs space"),
        (BoxGoals, GroundingError, "space"),
        (Moody(width=3), ShapeError, r"achieved_goal is \[3\] and goals are \[2\].*RenderedGoals"),
        (Moody(drawn=1), ShapeError, r"the goal that was drawn is \[1\].*Goals.draw"),
        (Moody(value=np.nan), ShapeError, "achieved_goal is not finite"),
        (Moody(reached=True), ShapeError, r"Moody.reached gives \[\] for goals \[3, 2\]"),
        (PoseGoals(8), GroundingError, r"belong to observations Box\(0, 255, \(8, 8, 3\), uint8\)"),
        (BoxGoals([0], [1], 0.1, columns=[7]), ShapeError, "other columns"),
    ],
)
def test_wrong_goals_are_refused(goals, error, says):
    refused(lambda: one_step(goals), error, says)


def test_goals_of_another_kind_under_the_same_name_are_refused():
    env = cart()
    env.unwrapped.goals = [1, 2, 3]
    refused(lambda: GoalEnv(env), GroundingError, "list does not say")


@pytest.mark.parametrize("cost", [np.nan, np.inf, "high", None])
def test_a_cost_that_is_no_number_is_refused(cost):
    refused(lambda: GoalEnv(small_maze(), step_cost=cost), DomainError, "step_cost is a finite")


@pytest.mark.parametrize("shapes", [((3,), (2,)), ((4, 3), (4, 2)), ((4, 2), (3,)), ((), (2,))])
def test_rewards_of_what_is_no_goal_are_refused(shapes):
    env = GoalEnv(small_maze())
    refused(
        lambda: env.compute_reward(np.zeros(shapes[0]), np.zeros(shapes[1]), {}),
        ShapeError,
        "goals are",
    )


# -- hindsight -----------------------------------------------------------------------------------


def check_hindsight(model, env):
    """Train a little; what is relabelled has the rewards that the environment computes."""
    model.learn(45)
    assert model.num_timesteps >= 45
    batch = model.replay_buffer.sample(64)
    seen = batch.next_observations
    expected = env.compute_reward(
        seen["achieved_goal"].numpy(), seen["desired_goal"].numpy(), [{}] * 64
    )
    assert np.array_equal(batch.rewards.numpy().ravel(), expected)
    assert len(np.unique(expected)) == 2  # reached and not
    observation, _ = env.reset(seed=0)
    action, _ = model.predict(observation, deterministic=True)
    assert action in env.action_space


HINDSIGHT = {"buffer_size": 500, "learning_starts": 40, "batch_size": 8, "seed": 0, "device": "cpu"}


def test_sac_with_hindsight_trains_on_the_goals_of_a_maze():
    sb3 = pytest.importorskip("stable_baselines3")
    env = GoalEnv(small_maze(max_episode_steps=8), step_cost=1)
    check_hindsight(
        sb3.SAC(
            "MultiInputPolicy",
            env,
            replay_buffer_class=sb3.HerReplayBuffer,
            policy_kwargs={"net_arch": [8]},
            **HINDSIGHT,
        ),
        env,
    )


def test_dqn_with_hindsight_trains_on_the_goals_of_a_grid_world():
    sb3 = pytest.importorskip("stable_baselines3")
    from langrl.agents.sb3.extractors import PoseExtractor

    env = GoalEnv(gymnasium.make(GRID, max_episode_steps=8))
    extractor = {"features_extractor_class": PoseExtractor, "normalize_images": False}
    check_hindsight(
        sb3.DQN(
            "MultiInputPolicy",
            env,
            replay_buffer_class=sb3.HerReplayBuffer,
            policy_kwargs={"net_arch": [8], **extractor},
            **HINDSIGHT,
        ),
        env,
    )


# -- RenderedGoals -------------------------------------------------------------------------------


def test_goals_are_drawn_of_images():
    env = cart(render_mode="rgb_array")
    images = []
    for place in (-0.4, 0.4):
        env.reset(options={"low": place, "high": place})
        images.append(env.render())
    env = RenderedGoals(env, encode_images, np.stack(images))
    embedded = encode_images(np.stack(images))
    embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        assert np.isclose(embedded, observation["desired_goal"], atol=1e-6).all(1).any()


def test_an_image_is_reached_once_the_frame_looks_like_it():
    env = drawn_cart(similarity=0.9999)
    here, _ = env.reset(seed=0, options={"low": 0, "high": 0})
    env.reset(options={"low": 0, "high": 0, "desired_goal": here["achieved_goal"]})
    _, reward, terminated, _, info = env.step(0)
    assert (reward, terminated, info["is_success"]) == (1.0, True, True)
    elsewhere, _ = env.reset(options={"low": 0.4, "high": 0.4})
    env.reset(options={"low": 0, "high": 0, "desired_goal": elsewhere["achieved_goal"]})
    _, reward, terminated, _, info = env.step(0)
    assert (reward, terminated, info["is_success"]) == (0.0, False, False)


def test_frames_that_were_seen_become_goals_until_the_next_seed():
    env = drawn_cart()
    before = {env.reset(seed=seed)[0]["desired_goal"].tobytes() for seed in range(15)}
    env.reset(seed=0, options={"low": 0.4, "high": 0.4})
    seen = {env.reset()[0]["desired_goal"].tobytes() for _ in range(40)}
    assert seen - before
    assert {env.reset(seed=seed)[0]["desired_goal"].tobytes() for seed in range(15)} == before


def test_frames_that_were_seen_stay_where_a_reset_is_refused():
    env = drawn_cart()
    env.reset(seed=0)
    known = len(env.goals._known)
    with pytest.raises(ShapeError):
        env.reset(seed=0, options={"desired_goal": [1, 2, 3, 4, 5, 6, 7]})
    assert len(env.goals._known) == known
    env.reset(seed=0)
    assert len(env.goals._known) == known


def test_a_world_of_langrl_is_drawn_without_its_task():
    env = RenderedGoals(small_maze(render_mode="rgb_array"), encode_images)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert env.unwrapped._episodes.instructions == [NO_TASK["instruction"]]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: RenderedGoals(cart(), encode_images), GroundingError, 'render_mode="rgb_array"'),
        (lambda: drawn_cart(images=[]), ShapeError, "images are uint8"),
        (lambda: drawn_cart(similarity=2), DomainError, "similarity"),
        (lambda: drawn_cart(step_cost="1"), DomainError, "step_cost"),
        (
            lambda: RenderedGoals(cart(render_mode="rgb_array"), "clip"),
            GroundingError,
            "encode_image is a function of images, got str",
        ),
        (
            lambda: RenderedGoals(cart(render_mode="rgb_array"), lambda images: images),
            ShapeError,
            r"encode_image gives \[16, 400, 600, 3\] for 16 images",
        ),
        (
            lambda: drawn_cart(images=np.zeros((1, 8, 4, 3), np.uint8)[:, :, :0]),
            ShapeError,
            "images are",
        ),
    ],
)
def test_wrong_images_or_encoders_are_refused(make, error, says):
    refused(make, error, says)
