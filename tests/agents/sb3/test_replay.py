import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.stats import chisquare

from langrl.errors import ConfigError

pytest.importorskip("stable_baselines3")

from sb3_policies import build, train
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from langrl.agents.sb3.extractors import FourierExtractor, PoseExtractor
from langrl.agents.sb3.replay import ContrastiveReplayBuffer


class Line(gym.Env):
    """Goals on a line; what is achieved is what it is told to be."""

    def __init__(self, step_cost=0.0):
        number = spaces.Box(-1e6, 1e6, (1,), np.float32)
        self.observation_space = spaces.Dict(
            observation=number, achieved_goal=number, desired_goal=number
        )
        self.action_space, self.step_cost = spaces.Discrete(2), step_cost

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {name: np.zeros(1, np.float32) for name in self.observation_space}, {}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return (achieved_goal == desired_goal).all(-1).astype(np.float32) - self.step_cost


def fill(lengths, size=1000, step_cost=0.0, **options):
    """A buffer with episodes of given lengths in each environment; what is achieved after step t
    of episode e in environment n is 10000 n + 100 e + t, and 0.5 less is observed before it."""
    count = len(lengths)
    env = DummyVecEnv([lambda: Line(step_cost)] * count)
    buffer = ContrastiveReplayBuffer(
        size * count, env.observation_space, env.action_space, env=env, n_envs=count, **options
    )
    ends = [np.cumsum(of_one) for of_one in lengths]
    for step in range(max(end[-1] for end in ends)):
        episodes = np.array([np.searchsorted(end, step, "right") for end in ends])
        starts = [([0, *end])[episode] for end, episode in zip(ends, episodes, strict=True)]
        here = 10_000 * np.arange(count) + 100 * episodes + step - np.array(starts) + 1.0
        over = np.array([step + 1 in end for end in ends])
        goal = np.full((count, 1), -1.0)
        before = {"observation": here[:, None] - 0.5, "achieved_goal": here[:, None] - 1}
        after = {"observation": here[:, None] + 0.5, "achieved_goal": here[:, None]}
        buffer.add(
            {**before, "desired_goal": goal},
            {**after, "desired_goal": goal},
            np.zeros((count, 1)),
            np.zeros(count) - step_cost,
            over,
            [{"TimeLimit.truncated": True}] * count,
        )
    return buffer


def drawn_goals(buffer, count=20_000, **options):
    """What is achieved by relabelled transitions, and their goals."""
    np.random.seed(0)  # noqa: NPY002
    samples = buffer.sample(count, **options)
    relabelled = samples.observations["desired_goal"][:, 0] != -1
    achieved = samples.next_observations["achieved_goal"][:, 0].numpy()
    goals = samples.next_observations["desired_goal"][:, 0].numpy()
    assert torch.equal(
        samples.observations["desired_goal"], samples.next_observations["desired_goal"]
    )
    return achieved[relabelled], goals[relabelled], samples


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9])
def test_goals_are_geometric_futures_clipped_at_the_end(discount):
    length = 6
    buffer = fill([[length] * 3], discount=discount)
    achieved, goals, _ = drawn_goals(buffer)
    steps, ahead = (achieved % 100).astype(int), (goals - achieved).astype(int)
    for step in range(1, length + 1):
        left = length - step
        law = (1 - discount) * discount ** np.arange(left + 1)
        law[-1] = discount**left
        found = np.bincount(ahead[steps == step], minlength=left + 1)
        assert len(found) == left + 1
        assert not found[law == 0].any()
        expected = law[law > 0] / law.sum() * found.sum()
        if len(expected) > 1:
            assert chisquare(found[law > 0], expected).pvalue > 1e-3


def test_goals_are_of_the_same_episode_and_environment():
    buffer = fill([[3, 8, 1, 20], [7, 2, 9, 14], [32]], discount=0.95)
    achieved, goals, _ = drawn_goals(buffer)
    assert np.array_equal(achieved // 100, goals // 100)
    assert (goals >= achieved).all()
    assert set(achieved // 10_000) == {0, 1, 2}
    assert set(goals[achieved // 100 == 3] % 100) == set(range(1, 21))


@pytest.mark.parametrize("size", [10, 17, 23])
def test_goals_are_right_after_the_buffer_has_wrapped_around(size):
    lengths = [[5, 9, 4, 6, 8], [3] * 10 + [2], [7, 7, 7, 7, 4]]
    buffer = fill(lengths, size, discount=0.9)
    assert buffer.full
    achieved, goals, _ = drawn_goals(buffer)
    assert np.array_equal(achieved // 100, goals // 100)
    assert (goals >= achieved).all()
    found = np.unique(achieved // 100).astype(int)
    assert {number // 100 for number in found} == {0, 1, 2}
    for number in found:  # 100 times the environment, and the episode
        length = lengths[number // 100][number % 100]
        assert goals[goals // 100 == number].max() % 100 == length


@pytest.mark.parametrize("step_cost", [0.0, 0.1, 1.0])
def test_transitions_that_reach_their_goal_end_there_and_are_rewarded(step_cost):
    buffer = fill([[6, 6], [4, 8]], step_cost=step_cost, discount=0.7)
    _, _, samples = drawn_goals(buffer, 4000)
    achieved = samples.next_observations["achieved_goal"].numpy()
    desired = samples.next_observations["desired_goal"].numpy()
    reached = (achieved == desired)[:, 0]
    expected = buffer.env.envs[0].compute_reward(achieved, desired, None)
    assert samples.rewards[:, 0].numpy() == pytest.approx(expected)
    assert np.array_equal(samples.dones[:, 0].numpy(), reached)  # cut off: not done for itself
    assert 0.1 < reached.mean() < 0.9


def test_rewards_that_are_normalised_end_at_the_goal_too():
    buffer = fill([[6, 6]], discount=0.7)
    scale = VecNormalize(buffer.env, norm_obs=False)
    scale.ret_rms.var = np.array(9.0)
    _, _, samples = drawn_goals(buffer, 400, env=scale)
    assert samples.rewards.unique().tolist() == pytest.approx([0, 1 / 3], abs=1e-5)
    assert torch.equal(samples.dones > 0, samples.rewards > 0)


def test_nothing_has_to_be_relabelled():
    buffer = fill([[6, 6]], n_sampled_goal=0)
    achieved, _, samples = drawn_goals(buffer, 50)
    assert not len(achieved)
    assert len(samples.rewards) == 50


def test_infos_are_given_to_environments_that_need_them():
    buffer = fill([[6, 6]], copy_info_dict=True)
    asked = []

    def compute_reward(achieved_goal, desired_goal, info):
        asked.append([told["TimeLimit.truncated"] for told in info])
        return (achieved_goal == desired_goal).all(-1).astype(np.float32)

    buffer.env.envs[0].compute_reward = compute_reward
    drawn_goals(buffer, 50)
    assert [len(told) for told in asked] == [40, 1]


@pytest.mark.parametrize("discount", [1.0, -0.1, 1.5, np.nan])
def test_a_discount_that_is_none_is_refused(discount):
    with pytest.raises(ConfigError, match=r"discount is in \[0, 1\)"):
        fill([[3]], discount=discount)


def test_another_strategy_is_refused():
    with pytest.raises(ConfigError, match="leave goal_selection_strategy out"):
        fill([[3]], goal_selection_strategy="future")


def test_a_discount_near_one_stays_within_the_episode():
    buffer = fill([[6, 6]], discount=1 - 1e-16)
    achieved, goals, _ = drawn_goals(buffer, 500)
    assert np.array_equal(goals - goals % 100 + 6, goals)
    assert np.array_equal(achieved // 100, goals // 100)


REPLAY = {
    "replay_buffer_class": ContrastiveReplayBuffer,
    "replay_buffer_kwargs": {"discount": 0.8, "n_sampled_goal": 4},
}


@pytest.mark.parametrize(
    ("algorithm", "env", "extractor"),
    [("sac", "maze goals", FourierExtractor), ("dqn", "grid goals", PoseExtractor)],
)
def test_policies_learn_from_it_and_it_is_saved(algorithm, env, extractor, worlds, tmp_path):
    model = train(algorithm, worlds[env](), extractor, **REPLAY)
    assert model.num_timesteps == 24
    assert model._n_updates
    model.save_replay_buffer(tmp_path / "replay")
    other = build(algorithm, worlds[env](), extractor, **REPLAY)
    other.load_replay_buffer(tmp_path / "replay", truncate_last_traj=False)
    assert other.replay_buffer.discount == 0.8
    drawn = []
    for one in (model, other):
        np.random.seed(0)  # noqa: NPY002
        drawn.append(one.replay_buffer.sample(30))
    for name, part in drawn[0].observations.items():
        assert torch.equal(part, drawn[1].observations[name])
    assert torch.equal(drawn[0].rewards, drawn[1].rewards)
    assert torch.equal(drawn[0].dones, drawn[1].dones)
    assert other.learn(24)


def test_goals_of_a_real_maze_are_rewarded_as_its_environment_does(worlds):
    model = train("sac", worlds["maze goals"](), FourierExtractor, 60, **REPLAY)
    samples = model.replay_buffer.sample(200)
    achieved, desired = (
        samples.next_observations[name].numpy() for name in ("achieved_goal", "desired_goal")
    )
    env = model.get_env().envs[0]
    expected = env.get_wrapper_attr("compute_reward")(achieved, desired, None)
    assert samples.rewards[:, 0].numpy() == pytest.approx(expected)
    reached = (np.floor(achieved) == np.floor(desired)).all(1)
    assert np.array_equal(samples.dones[:, 0].numpy() > 0, reached)
