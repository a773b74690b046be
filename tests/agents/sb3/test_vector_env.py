from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from langrl.envs.wrappers.instructions import EmbedInstruction
from langrl.errors import ConfigError, ShapeError

pytest.importorskip("stable_baselines3")

from sb3_policies import (
    BOX,
    GRID,
    MAZE,
    adapt,
    batched,
    encode,
    seeded,
)
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from langrl.agents.sb3.vector_env import VectorAdapter, check_space


class Counting(gym.vector.VectorEnv):
    """Observations are (episode, step) of each environment; episodes end as they are told to."""

    def __init__(self, ends, mode=AutoresetMode.DISABLED):
        self.num_envs, self.ends = len(ends), ends  # (steps, terminated, truncated) of each
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = spaces.Box(0, 99, (2,), np.float32)
        self.single_action_space = spaces.Discrete(2)
        self.counts = np.zeros((self.num_envs, 2), np.float32)
        self.asked = []

    def reset(self, *, seed=None, options=None):
        self.asked.append((seed, options))
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        self.counts[mask, 0] += 1
        self.counts[mask, 1] = 0
        return self.counts, {"starts": self.counts[:, 0].copy()}

    def step(self, actions):
        self.counts[:, 1] += 1
        steps, terminated, truncated = (np.array(column) for column in zip(*self.ends, strict=True))
        over = self.counts[:, 1] == steps
        told = {"score": np.arange(self.num_envs), "_score": over, "more": {"x": actions * 10}}
        return self.counts, actions / 2, over & terminated, over & truncated, told


def test_the_contract_of_vector_environments_worked_by_hand():
    ends = [(2, True, False), (3, False, True), (2, True, True), (9, True, False)]
    env = VectorAdapter(Counting(ends))
    env.seed(5)
    assert env.reset().tolist() == [[1, 0]] * 4
    assert [info["starts"] for info in env.reset_infos] == [1] * 4
    actions = np.array([0, 1, 0, 1])
    seen, rewards, dones, infos = env.step(actions)
    assert seen.tolist() == [[1, 1]] * 4
    assert rewards.tolist() == [0, 0.5, 0, 0.5]
    assert rewards.dtype == np.float32
    assert not dones.any()
    going = [{"TimeLimit.truncated": False, "more": {"x": 10 * action}} for action in actions]
    assert infos == going
    seen, _, dones, infos = env.step(actions)
    assert dones.tolist() == [True, False, True, False]
    assert seen.tolist() == [[2, 0], [1, 2], [2, 0], [1, 2]]
    assert infos[1] == infos[3] == going[1]
    for n in (0, 2):
        assert infos[n].pop("terminal_observation").tolist() == [1, 2]
        assert infos[n] == {"TimeLimit.truncated": False, "score": n, "more": {"x": 0}}
    assert [info["starts"] for info in env.reset_infos] == [2, 1, 2, 1]
    _, _, dones, infos = env.step(actions)
    assert dones.tolist() == [False, True, False, False]
    assert infos[1]["TimeLimit.truncated"]
    assert [seed for seed, _ in env.env.asked] == [5, None, None]


def test_an_adapter_does_what_single_environments_do():
    def step(env, seed):
        env.seed(seed)
        history = [(env.reset(), np.zeros(3), np.zeros(3, bool), [{}] * 3)]
        generator = seeded(1)
        for _ in range(60):
            history.append(env.step(generator.integers(2, size=3)))
        return history

    limit = {"max_episode_steps": 12}
    ours = gym.make_vec(
        "CartPole-v1",
        num_envs=3,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.DISABLED},
        **limit,
    )
    theirs = DummyVecEnv([lambda: gym.make("CartPole-v1", **limit)] * 3)
    truncated = 0
    for mine, other in zip(step(VectorAdapter(ours), 3), step(theirs, 3), strict=True):
        for part, expected in zip(mine[:3], other[:3], strict=True):
            assert np.array_equal(part, expected)
        for info, expected in zip(mine[3], other[3], strict=True):
            assert info.keys() == expected.keys()
            if "terminal_observation" in expected:
                assert info["TimeLimit.truncated"] == expected["TimeLimit.truncated"]
                truncated += info["TimeLimit.truncated"]
                assert np.array_equal(
                    info["terminal_observation"], expected["terminal_observation"]
                )
    assert truncated


@pytest.mark.parametrize("name", [MAZE, GRID])
def test_worlds_reward_and_end_as_single_ones_do(name):
    """The same tasks in both, until each episode's end."""
    env = adapt(name, 8, max_episode_steps=15)
    env.seed(0)
    env.reset()
    episodes = env.env.unwrapped._episodes
    options = [{"instruction": text} for text in episodes.instructions]
    for n, option in enumerate(options):
        if name == MAZE:
            option["position"] = episodes.positions[n]
        else:
            option |= {"room": episodes.rooms[n], "pose": tuple(episodes.poses[n])}
    make = partial(gym.make, name, max_episode_steps=15)
    singles = DummyVecEnv([lambda: EmbedInstruction(make(), encode)] * 8)
    singles.set_options(options)
    singles.reset()
    running, generator, successes = np.ones(8, bool), seeded(2), 0
    while running.any():
        if name == MAZE:
            actions = generator.normal(size=(8, 2)).astype(np.float32)
        else:
            actions = generator.choice(4, 8, p=[0.3, 0.3, 0.3, 0.1])
        mine, theirs = env.step(actions), singles.step(actions)
        for n in np.flatnonzero(running):
            (_, reward, over, infos), (_, reward_, over_, infos_) = mine, theirs
            assert (reward[n], over[n]) == (reward_[n], over_[n])
            if over[n]:
                for key in ("TimeLimit.truncated", "is_success", "ambiguity_bits"):
                    assert infos[n][key] == infos_[n][key]
                last, last_ = (told[n]["terminal_observation"] for told in (infos, infos_))
                assert np.array_equal(last["observation"], last_["observation"])
                assert np.array_equal(last["instruction"], last_["instruction"])
                successes += reward[n]
        running &= ~mine[2]
    assert successes < 8


def test_seeds_give_the_same_observations():
    def start(seed):
        env = adapt(GRID)
        env.seed(seed)
        first = env.reset()
        return first, env.reset()

    (first, again), (second, _), (other, _) = start(3), start(3), start(4)
    for name, part in first.items():
        assert np.array_equal(part, second[name])
    assert not np.array_equal(first["observation"], other["observation"])
    assert not np.array_equal(first["observation"], again["observation"])  # used once
    space = adapt(GRID).observation_space
    assert all({name: part[n] for name, part in first.items()} in space for n in range(3))


def test_options_are_those_of_the_worlds_and_used_once():
    env = adapt()
    env.set_options({"position": (0.5, 0.5)})
    assert (env.reset()["observation"] == 0.5).all()
    assert not (env.reset()["observation"] == 0.5).any()
    starts = env.get_attr("world")[0].sample_states(3, seeded())
    env.set_options({"position": starts, "instruction": ["go to row 2", "row 3", "column 4"]})
    seen = env.reset()
    assert np.array_equal(seen["observation"], starts)
    assert seen["instruction"][:, 0].tolist() == [11, 5, 8]
    env.set_options()
    assert not np.array_equal(env.reset()["observation"], starts)
    with pytest.raises(ConfigError, match="one dict of options"):
        env.set_options([{"position": (0.5, 0.5)}, {}, {}])


def test_what_an_environment_knows_is_found_below_its_wrappers():
    env = adapt()
    assert env.get_attr("world", [0, 2]) == [env.env.env.world] * 2
    assert env.has_attr("max_episode_steps")
    assert not env.has_attr("colour")
    assert env.render_mode is None
    goals = np.array([[2.5, 3.5]], np.float32)
    assert env.env_method("denotation", goals, "go to row 2", indices=0) == [np.array([True])]
    env.set_attr("max_episode_steps", 7)
    assert env.env.env.max_episode_steps == 7
    assert env.env_is_wrapped(gym.Wrapper) == [False] * 3
    with pytest.raises(ConfigError, match="'max_episode_steps' is one attribute for all"):
        env.set_attr("max_episode_steps", 8, indices=[0])
    env.close()


def test_monitors_report_whole_episodes():
    env = VecMonitor(adapt(GRID, 4), info_keywords=("is_success", "ambiguity_bits"))
    env.reset()
    env.step(np.array([0, 0, 0, 0]))
    _, rewards, dones, infos = env.step(np.array([3, 0, 3, 0]))  # done is said
    assert dones.tolist() == [True, False, True, False]
    for n in (0, 2):
        episode = infos[n]["episode"]
        assert episode["l"] == 2
        assert episode["r"] == rewards[n]
        assert episode["is_success"] == infos[n]["is_success"] == bool(rewards[n])
        assert episode["ambiguity_bits"] >= 0
        assert not infos[n]["TimeLimit.truncated"]


@pytest.mark.parametrize("mode", ["NextStep", "single"])
def test_environments_that_start_anew_by_themselves_are_refused(mode):
    env = gym.make(MAZE) if mode == "single" else gym.make_vec(MAZE, num_envs=2)
    with pytest.raises(ConfigError, match=r'make_vec\(\.\.\., autoreset_mode="Disabled"\)'):
        VectorAdapter(env)


def test_instructions_in_words_are_refused_with_the_wrappers_that_repair_it():
    with pytest.raises(ShapeError, match=r"'instruction' is text.*EmbedInstruction"):
        VectorAdapter(batched())


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (spaces.Dict(a=BOX, b=spaces.Dict(c=BOX)), "'b' is a Dict inside a Dict.*FlattenObs"),
        (spaces.Dict(a=spaces.Tuple([BOX])), "'a' is a Tuple inside a Dict.*FlattenObservation"),
        (spaces.Dict(a=BOX, b=spaces.Text(5)), "'b' is text.*InstructionToGoal"),
        (spaces.Dict(a=spaces.Sequence(BOX)), "'a' is a Sequence inside a Dict"),
        (spaces.Tuple([BOX]), "'observation' is a Tuple, which"),
        (spaces.Text(5), "'observation' is text"),
    ],
)
def test_spaces_that_are_not_taken_are_refused_with_the_repair(space, told):
    with pytest.raises(ShapeError, match=told):
        check_space(space)


@pytest.mark.parametrize(
    "space",
    [BOX, spaces.Discrete(3), spaces.MultiBinary(2), spaces.Dict(a=BOX, b=spaces.Discrete(2))],
)
def test_spaces_that_are_taken_pass(space):
    check_space(space)
