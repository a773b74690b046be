import os
import subprocess
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from scipy.stats import chisquare

from langrl.agents.goal_policy import GoalPolicy, InstructionPolicy, PolicyActions
from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint, write_checkpoint
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_free, list_poses, observe
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.wrappers import vector as vector_wrappers
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import EmbedInstruction, TokenizeInstruction
from langrl.envs.wrappers.text_features import EmbeddedText
from langrl.errors import CheckpointError, ConfigError, MissingExtraError, ShapeError
from langrl.grounding.candidates import ReachablePoses, SampledCandidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.config import GridGroundingConfig, GroundingConfig
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.config import GridCriticConfig
from langrl.models.critics.instructed import agent_view, free_cells, pose_offset
from langrl.models.critics.maze import named_weights
from langrl.tasks.grid.agent import GridAgentDescription, build_grid_critic, image_language
from langrl.tasks.loading import load_agent
from langrl.tasks.maze.agent import MazeAgentDescription
from langrl.words import WordTokeniser

pytest.importorskip("stable_baselines3")

from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from langrl.agents.sb3.extractors import (
    FourierExtractor,
    GoalEncoderExtractor,
    InstructionExtractor,
    PoseExtractor,
)
from langrl.agents.sb3.replay import ContrastiveReplayBuffer
from langrl.agents.sb3.vector_env import VectorAdapter, check_space

MAZE, GRID = "langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0"
SIZES = GridCriticConfig(embedding=8, channels=8, depth=1, width=16)
WORDS = WordTokeniser(("go", "to", "the", "red", "ball", "key", "row", "column", "1", "2"))
ALGORITHMS = {
    "ppo": partial(PPO, n_steps=16, batch_size=8, n_epochs=1),
    "sac": partial(SAC, learning_starts=12, batch_size=8, buffer_size=200),
    "dqn": partial(
        DQN,
        learning_starts=12,
        batch_size=8,
        buffer_size=200,
        train_freq=2,
        target_update_interval=8,
    ),
}


def encode(texts):
    return np.array([[len(text), text.count("row"), text.count("ball")] for text in texts])


def seeded(seed=0):
    return np.random.default_rng(seed)


def batched(name=MAZE, count=3, **options):
    return gym.make_vec(name, num_envs=count, autoreset_mode="Disabled", **options)


def adapt(name=MAZE, count=3, **options):
    return VectorAdapter(vector_wrappers.EmbedInstruction(batched(name, count, **options), encode))


def train(algorithm, env, extractor, steps=24, **features):
    """Train a policy for a handful of gradient steps."""
    model = build(algorithm, env, extractor, **features)
    return model.learn(steps)


def build(algorithm, env, extractor, **features):
    options = {key: features.pop(key) for key in list(features) if key.startswith("replay")}
    policy = {
        "features_extractor_class": extractor,
        "features_extractor_kwargs": features,
        "net_arch": [8],
        "normalize_images": False,
    }
    make = ALGORITHMS[algorithm]
    return make("MultiInputPolicy", env, policy_kwargs=policy, seed=0, device="cpu", **options)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before, after):
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


# -- vector environments -----------------------------------------------------------------------


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
    assert infos == [{}] * 4
    seen, _, dones, infos = env.step(actions)
    assert dones.tolist() == [True, False, True, False]
    assert seen.tolist() == [[2, 0], [1, 2], [2, 0], [1, 2]]
    assert infos[1] == infos[3] == {}
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


BOX = spaces.Box(0, 1, (2,), np.float32)


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


# -- features extractors -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid_agent(tiny_language, tmp_path_factory):
    """The folder of an agent of grid worlds that has learned nothing."""
    return write_grid_agent(tmp_path_factory.mktemp("grid") / "agent", tiny_language)


def write_grid_agent(folder, language, seed=0):
    description = GridAgentDescription(
        critic=SIZES, language=str(language), grounding=GridGroundingConfig()
    )
    documents = {"agent": description.model_dump(mode="json")}
    critic = build_grid_critic(SIZES, seed)
    write_checkpoint(folder, Checkpoint(documents, {"weights": dict(critic.named_parameters())}))
    return folder


@pytest.fixture(scope="module")
def maze_agent(world, description, make_critics, tmp_path_factory):
    """The folder of an agent of the small maze that has learned nothing."""
    agent = MazeAgentDescription(
        layout=world.layout.text,
        critics=description,
        grounding=GroundingConfig(candidates=50, directions=8, weighting="none"),
    )
    tensors = {name: p.detach().clone() for name, p in named_weights(*make_critics(3)).items()}
    density = torch.from_numpy(~world.walls / (~world.walls).sum()).float()
    folder = tmp_path_factory.mktemp("maze") / "agent"
    documents = {"agent": agent.model_dump(mode="json")}
    write_checkpoint(
        folder, Checkpoint(documents, {"weights": tensors, "goals": {"density": density}})
    )
    return folder


@pytest.fixture(scope="module")
def worlds(world, tiny_language):
    """What makes environments, by name; mazes are the small one."""
    maze = partial(gym.make, MAZE, layout=world.layout.text)
    grid = partial(gym.make, GRID, max_episode_steps=10)

    def told():
        language = image_language(str(tiny_language), "cpu")
        return InstructionToGoal(grid(), language, "max_goal", ReachablePoses(said_done=True))

    return {
        "maze goals": lambda: GoalEnv(maze(max_episode_steps=10), step_cost=1.0),
        "grid goals": lambda: GoalEnv(grid()),
        "grid told": told,
        "maze embedded": lambda: EmbedInstruction(maze(), encode),
        "grid embedded": lambda: EmbedInstruction(grid(), encode),
        "maze tokens": lambda: TokenizeInstruction(maze(), WORDS, 8),
        "grid tokens": lambda: TokenizeInstruction(grid(), WORDS, 8),
        "maze batched": lambda: adapt(MAZE, 2, layout=world.layout.text),
        "grid batched": lambda: adapt(GRID, 2),
    }


INSTRUCTED = {"features_dim": 8, "text_dim": 4}
CENTRED = {**INSTRUCTED, "centre_on_agent": True}
COMBINATIONS = [
    ("ppo", "maze embedded", InstructionExtractor, INSTRUCTED),
    ("sac", "maze tokens", InstructionExtractor, INSTRUCTED),
    ("dqn", "grid embedded", InstructionExtractor, CENTRED),
    ("dqn", "grid tokens", InstructionExtractor, {**INSTRUCTED, "codes": 11}),
    ("ppo", "maze batched", InstructionExtractor, INSTRUCTED),
    ("ppo", "grid batched", InstructionExtractor, CENTRED),
    ("dqn", "grid batched", InstructionExtractor, CENTRED),
    ("sac", "maze goals", FourierExtractor, {"octaves": 2}),
    ("ppo", "maze goals", FourierExtractor, {}),
    ("dqn", "grid goals", PoseExtractor, {"features_dim": 8}),
    ("dqn", "grid told", PoseExtractor, {"features_dim": 8}),
    ("ppo", "grid goals", PoseExtractor, {"features_dim": 8}),
]


@pytest.mark.parametrize(("algorithm", "env", "extractor", "features"), COMBINATIONS)
def test_features_are_trained_through_policy_kwargs(algorithm, env, extractor, features, worlds):
    model = build(algorithm, worlds[env](), extractor, **features)
    before = weights(model.policy)
    model.learn(24)
    after = weights(model.policy)
    learned = [name for name, _ in model.policy.named_parameters() if "target" not in name]
    assert all(value.isfinite().all() for value in after.values())
    assert len(changed(before, after)) >= 0.8 * len(learned)


def test_batches_as_environments_give_them_are_predicted_on(worlds):
    env = worlds["grid embedded"]()
    model = train("dqn", env, InstructionExtractor, **CENTRED)
    agent = InstructionPolicy(model, EmbeddedText(encode), axes=3)
    rooms = draw_rooms(GRID_WORLDS["goto"], 4, seeded())
    seen = observe(rooms, np.stack([list_poses(free)[5] for free in is_free(rooms)]))
    texts = ["go to the red ball", "find a key", "a box", "dance"]
    together = agent.act({"observation": seen, "instruction": texts})
    assert together.shape == (4,)
    for room, text, action in zip(seen, texts, together, strict=True):
        assert agent.act({"observation": room, "instruction": text}) == action


def observations_of(space, count=5):
    return {
        name: torch.as_tensor(np.stack([part.sample() for _ in range(count)])).float()
        for name, part in space.items()
    }


def test_fourier_features_worked_by_hand(worlds):
    space = spaces.Dict(
        observation=spaces.Box(0, 4, (1,), np.float32),
        desired_goal=spaces.Box(-1, 1, (2,), np.float32),
    )
    extractor = FourierExtractor(space, octaves=1)
    assert extractor.features_dim == 3 * 3
    seen = {"observation": torch.tensor([[3.0]]), "desired_goal": torch.tensor([[0.0, 1.0]])}
    half = 0.5**0.5
    expected = [0.5, half, half, 0, 1, 0, 1, 1, 0]
    assert extractor(seen)[0].tolist() == pytest.approx(expected, abs=1e-6)


def grid_batch(count=6, size="goto"):
    """Rooms [B, H, W, 3] with agents, poses as goals, and texts as numbers."""
    generator = seeded(3)
    rooms = draw_rooms(GRID_WORLDS[size], count, generator)
    poses, goals = (
        np.stack([generator.choice(list_poses(free)) for free in is_free(rooms)]) for _ in "ab"
    )
    return rooms, poses, goals


def as_tensors(rooms, poses, goals):
    def flagged(listed, said):
        return torch.from_numpy(np.c_[listed, np.full(len(listed), said)]).float()

    return {
        "observation": torch.from_numpy(observe(rooms, poses)).float(),
        "achieved_goal": flagged(poses, 0),
        "desired_goal": flagged(goals, 1),
        "instruction": torch.arange(3.0).expand(len(poses), 3),
    }


def grid_space(size=8, first=False):
    shape = (3, size, size) if first else (size, size, 3)
    pose = PoseGoals(size).space
    return spaces.Dict(
        observation=spaces.Box(0, 255, shape, np.uint8),
        achieved_goal=pose,
        desired_goal=pose,
        instruction=spaces.Box(-np.inf, np.inf, (3,), np.float32),
    )


def make_extractor(kind, space, grid_agent):
    torch.manual_seed(0)
    return {
        "instruction": lambda: InstructionExtractor(space, **CENTRED),
        "codes": lambda: InstructionExtractor(space, **INSTRUCTED, codes=12),
        "pose": lambda: PoseExtractor(space, 8),
        "encoder": lambda: GoalEncoderExtractor(space, str(grid_agent)),
    }[kind]()


KINDS = ("instruction", "codes", "pose", "encoder")


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_were_turned_around_have_the_same_features(kind, grid_agent):
    seen = as_tensors(*grid_batch())
    turned = {**seen, "observation": seen["observation"].permute(0, 3, 1, 2)}
    last = make_extractor(kind, grid_space(), grid_agent)(seen)
    first = make_extractor(kind, grid_space(first=True), grid_agent)(turned)
    assert last.shape[0] == 6
    torch.testing.assert_close(first, last)


@pytest.mark.parametrize("kind", ["instruction", "pose"])
def test_a_world_that_is_turned_around_looks_the_same_to_its_agent(kind, grid_agent):
    rooms, poses, goals = grid_batch()
    extractor = make_extractor(kind, grid_space(), grid_agent)
    turned = np.rot90(rooms, -1, (1, 2))  # clockwise

    def turn(listed):
        row, column, direction = listed.T
        return np.stack([column, 7 - row, (direction + 1) % 4], 1)

    features = extractor(as_tensors(rooms, poses, goals))
    torch.testing.assert_close(
        extractor(as_tensors(np.ascontiguousarray(turned), turn(poses), turn(goals))), features
    )
    assert not torch.allclose(extractor(as_tensors(rooms, turn(goals), goals))[:2], features[:2])


def test_a_pose_extractor_reads_the_view_and_the_way(grid_agent):
    seen = as_tensors(*grid_batch())
    extractor = make_extractor("pose", grid_space(), grid_agent)
    cells = free_cells(agent_view(seen["observation"].permute(0, 3, 1, 2))).flatten(1)
    way = pose_offset(seen["achieved_goal"], seen["desired_goal"])
    torch.testing.assert_close(extractor(seen), extractor.net(torch.cat([cells, way], 1)))


def test_vectors_and_grey_images_without_channels_are_read_as_numbers():
    for shape in ((4,), (5, 6)):
        space = spaces.Dict(
            observation=spaces.Box(0, 1, shape, np.float32),
            instruction=spaces.Box(0, 9, (7,), np.int32),
        )
        extractor = InstructionExtractor(space, **INSTRUCTED)
        assert extractor(observations_of(space)).shape == (5, 8)


def test_images_of_brightness_are_read_as_they_come():
    space = spaces.Dict(
        observation=spaces.Box(0, 255, (20, 30, 3), np.uint8),
        instruction=spaces.Box(-1, 1, (7,), np.float32),
    )
    extractor = InstructionExtractor(space, **INSTRUCTED)
    seen = observations_of(space)
    seen["observation"] /= 255
    assert extractor(seen).shape == (5, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_codes_that_were_divided_are_refused_with_the_repair(kind, grid_agent):
    seen = as_tensors(*grid_batch())
    seen["observation"] /= 255
    with pytest.raises(ShapeError, match=r'policy_kwargs=\{"normalize_images": False\}'):
        make_extractor(kind, grid_space(), grid_agent)(seen)


def test_the_repair_is_told_where_it_is_forgotten(worlds):
    policy = {"features_extractor_class": PoseExtractor}
    model = PPO("MultiInputPolicy", worlds["grid goals"](), policy_kwargs=policy, n_steps=64)
    with pytest.raises(ShapeError, match="normalize_images"):
        model.learn(64)


INSTRUCTION = spaces.Box(-1, 1, (3,), np.float32)
ROOM = spaces.Box(0, 255, (8, 8, 3), np.uint8)
POSE = PoseGoals(8).space


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: InstructionExtractor(gym.make(MAZE).observation_space),
            "'instruction' is .*use EmbedInstruction or TokenizeInstruction",
        ),
        (
            lambda: InstructionExtractor(spaces.Dict(observation=BOX)),
            "needs observations with 'instruction'; use EmbedInstruction or Tokenize",
        ),
        (lambda: InstructionExtractor(BOX), "needs observations with 'observation'"),
        (
            lambda: InstructionExtractor(
                spaces.Dict(observation=spaces.Discrete(4), instruction=INSTRUCTION)
            ),
            r"'observation' is Discrete\(4\); use FlattenObservation",
        ),
        (
            lambda: InstructionExtractor(spaces.Dict(observation=BOX, instruction=ROOM)),
            r"an instruction is a vector here, got \[8, 8, 3\]",
        ),
        (
            lambda: InstructionExtractor(
                spaces.Dict(observation=BOX, instruction=INSTRUCTION), centre_on_agent=True
            ),
            r"\[2\] are no images.*leave codes and centre_on_agent out",
        ),
        (
            lambda: InstructionExtractor(
                spaces.Dict(observation=BOX, instruction=INSTRUCTION), codes=4
            ),
            "are no images",
        ),
        (
            lambda: FourierExtractor(spaces.Dict(observation=BOX)),
            "'desired_goal'; use GoalEnv",
        ),
        (
            lambda: FourierExtractor(
                spaces.Dict(observation=BOX, desired_goal=spaces.Box(-np.inf, np.inf, (2,)))
            ),
            "with bounds.*give the Box finite low and high",
        ),
        (
            lambda: FourierExtractor(
                spaces.Dict(observation=BOX, desired_goal=spaces.Box(0, np.float32([1, 0])))
            ),
            "low below high",
        ),
        (
            lambda: FourierExtractor(spaces.Dict(observation=ROOM, desired_goal=POSE)),
            "use PoseExtractor in grid worlds",
        ),
        (
            lambda: PoseExtractor(spaces.Dict(observation=ROOM, desired_goal=POSE)),
            "needs observations with 'achieved_goal'; use GoalEnv",
        ),
        (
            lambda: PoseExtractor(
                spaces.Dict(observation=BOX, achieved_goal=BOX, desired_goal=BOX)
            ),
            r"rooms \[H, W, 3\] and poses \[4\], got \[2\] and \[2\].*GoalEnv",
        ),
    ],
)
def test_observations_that_an_extractor_cannot_read_are_refused(make, told):
    with pytest.raises(ShapeError, match=told):
        make()


def test_brightness_is_no_room(grid_agent):
    seen = {**as_tensors(*grid_batch()), "observation": torch.full((6, 8, 8, 3), 200.0)}
    with pytest.raises(ShapeError, match="holds 200"):
        make_extractor("instruction", grid_space(), grid_agent)(seen)
    empty = {**seen, "observation": torch.zeros(6, 8, 8, 3)}
    for kind in ("instruction", "pose"):
        with pytest.raises(ShapeError, match="shows the agent in one cell"):
            make_extractor(kind, grid_space(), grid_agent)(empty)


# -- trained encoders --------------------------------------------------------------------------

ENCODED = [
    ("sac", "maze goals"),
    ("ppo", "maze goals"),
    ("dqn", "grid goals"),
    ("ppo", "grid goals"),
]


@pytest.fixture(scope="module")
def agents(maze_agent, grid_agent):
    return {"maze goals": maze_agent, "grid goals": grid_agent}


def encoders(policy):
    """Every encoder that a policy holds, of which some are shared."""
    found = [module for module in policy.modules() if isinstance(module, GoalEncoderExtractor)]
    return [module.trained if module.fine_tune else module._frozen[0] for module in found]


@pytest.mark.parametrize(("algorithm", "env"), ENCODED)
def test_frozen_encoders_stay_what_they_are_and_out_of_the_policy(algorithm, env, worlds, agents):
    critic = load_agent(agents[env]).critic
    model = build(algorithm, worlds[env](), GoalEncoderExtractor, agent=str(agents[env]))
    before = weights(model.policy)
    model.learn(24)
    after = weights(model.policy)
    assert encoders(model.policy)
    for encoder in encoders(model.policy):
        assert not changed(weights(critic), weights(encoder))
        assert not any(parameter.requires_grad for parameter in encoder.parameters())
    names = set(critic.state_dict())
    assert not any(key.endswith(tuple(names)) for key in after)
    assert [key for key in after if "digest" in key]
    assert changed(before, after)
    assert not [key for key in changed(before, after) if "features_extractor" in key]


@pytest.mark.parametrize(("algorithm", "env"), ENCODED)
def test_fine_tuned_encoders_begin_as_they_were_trained_and_change(algorithm, env, worlds, agents):
    critic = load_agent(agents[env]).critic
    features = {"agent": str(agents[env]), "fine_tune": True}
    model = build(algorithm, worlds[env](), GoalEncoderExtractor, **features)
    for encoder in encoders(model.policy):  # PPO draws other layers' weights anew
        assert not changed(weights(critic), weights(encoder))
    model.learn(24)
    (*_, encoder) = [e for e in encoders(model.policy) if changed(weights(critic), weights(e))]
    kept = set(weights(encoder)) - changed(weights(critic), weights(encoder))
    assert all("goal" not in name or "position" in name for name in kept)
    assert {f"features_extractor.trained.{name}" for name in critic.state_dict()} <= {
        key[key.index("features_extractor") :] if "features_extractor" in key else key
        for key in model.policy.state_dict()
    }


def test_features_are_the_critics(grid_agent, maze_agent):
    seen = as_tensors(*grid_batch())
    extractor = GoalEncoderExtractor(grid_space(), str(grid_agent))
    critic = load_agent(grid_agent).critic
    with torch.no_grad():
        expected = critic.features(seen["observation"], seen["desired_goal"])
    assert extractor.features_dim == expected.shape[1]
    torch.testing.assert_close(extractor(seen), expected)
    positions = torch.rand(4, 2) * 5
    maze = spaces.Box(0, 5, (2,), np.float32)
    space = spaces.Dict(observation=maze, desired_goal=maze)
    tuned = GoalEncoderExtractor(space, str(maze_agent), fine_tune=True)
    features = tuned({"observation": positions, "desired_goal": positions.flip(0)})
    assert features.requires_grad
    torch.testing.assert_close(features, tuned.trained.features(positions, positions.flip(0)))


def test_an_encoder_of_another_world_is_refused(maze_agent, grid_agent):
    larger = spaces.Box(0, 13, (2,), np.float32)
    maze = spaces.Dict(observation=larger, desired_goal=larger)
    with pytest.raises(CheckpointError, match=r"of another world.*train one there"):
        GoalEncoderExtractor(grid_space(), str(maze_agent))
    with pytest.raises(CheckpointError, match="of another world"):
        GoalEncoderExtractor(maze, str(grid_agent))
    with pytest.raises(CheckpointError, match="of another world"):  # 13 x 13 cells, not 5 x 5
        GoalEncoderExtractor(maze, str(maze_agent))
    with pytest.raises(CheckpointError, match="no-such-run"):
        GoalEncoderExtractor(maze, "no-such-run")
    with pytest.raises(ShapeError, match="'desired_goal'; use GoalEnv"):
        GoalEncoderExtractor(spaces.Dict(observation=ROOM), str(grid_agent))


def test_the_zip_does_not_grow_with_the_encoders(worlds, tiny_language, tmp_path):
    class Encoder:
        def __init__(self, numbers):
            self.numbers = torch.rand(numbers)

        def encode_text(self, texts):
            return torch.ones(len(texts), 4)

    def size(env, extractor, **features):
        model = train("dqn", env, extractor, **features)
        model.save(tmp_path / "policy")
        return (tmp_path / "policy.zip").stat().st_size

    small, huge = (
        size(
            EmbedInstruction(gym.make(GRID), Encoder(numbers)),
            InstructionExtractor,
            **INSTRUCTED,
            codes=12,
        )
        for numbers in (1, 10_000_000)
    )
    assert abs(huge - small) < 2000
    agent = write_grid_agent(tmp_path / "agent", tiny_language)
    options = {"env": worlds["grid goals"](), "agent": str(agent)}
    frozen = size(**options, extractor=GoalEncoderExtractor)
    tuned = size(**options, extractor=GoalEncoderExtractor, fine_tune=True)
    numbers = sum(p.numel() for p in build_grid_critic(SIZES, 0).parameters())
    assert tuned - frozen > 2 * 4 * numbers  # in the policy and in its target


LOAD = """
import sys, numpy as np, torch
from stable_baselines3 import DQN
torch.set_num_threads(1)
seen = dict(np.load(sys.argv[1]))
for policy in sys.argv[2:]:
    print(DQN.load(policy, device="cpu").predict(seen, deterministic=True)[0].tolist())
"""


def test_saved_policies_act_the_same_in_a_fresh_process(worlds, tiny_language, tmp_path):
    folder = write_grid_agent(tmp_path / "agent", tiny_language)
    env = worlds["grid goals"]()
    seen = as_tensors(*grid_batch(40))
    seen = {name: seen[name].numpy() for name in env.observation_space}
    seen["observation"] = seen["observation"].astype(np.uint8)
    np.savez(tmp_path / "seen.npz", **seen)
    expected = []
    for name, fine_tune in (("frozen.zip", False), ("tuned.zip", True)):
        model = train("dqn", env, GoalEncoderExtractor, agent=str(folder), fine_tune=fine_tune)
        model.save(tmp_path / name)
        expected.append(str(model.predict(seen, deterministic=True)[0].tolist()))
    files = [tmp_path / name for name in ("seen.npz", "frozen.zip", "tuned.zip")]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *files],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected


def test_a_policy_whose_encoder_has_changed_or_gone_is_not_loaded(worlds, tiny_language, tmp_path):
    folder = write_grid_agent(tmp_path / "agent", tiny_language)
    env = worlds["grid goals"]()
    train("dqn", env, GoalEncoderExtractor, agent=str(folder)).save(tmp_path / "policy")
    train("dqn", env, GoalEncoderExtractor, agent=str(folder), fine_tune=True).save(
        tmp_path / "tuned"
    )
    assert DQN.load(tmp_path / "policy").predict(env.reset()[0])
    moved = folder.rename(tmp_path / "moved")
    for name in ("policy", "tuned"):
        with pytest.raises(CheckpointError, match="agent"):
            DQN.load(tmp_path / name)
    write_grid_agent(folder, tiny_language, seed=1)
    with pytest.raises(CheckpointError, match=r"another encoder than that of .*agent now; put"):
        DQN.load(tmp_path / "policy")
    tuned = DQN.load(tmp_path / "tuned")  # its weights are in the zip
    original = load_agent(moved).critic.state_dict()
    fresh = load_agent(folder).critic.state_dict()
    (encoder, *_) = encoders(tuned.policy)
    assert changed(fresh, encoder.state_dict())
    assert set(encoder.state_dict()) == set(original)
    kwargs = {**tuned.policy_kwargs, "features_extractor_kwargs": {"agent": str(moved)}}
    loaded = DQN.load(tmp_path / "policy", custom_objects={"policy_kwargs": kwargs})
    assert not changed(original, encoders(loaded.policy)[0].state_dict())


# -- replay ------------------------------------------------------------------------------------


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


# -- policies as agents ------------------------------------------------------------------------


def test_a_maze_policy_follows_instructions_and_proposes_actions(worlds, world, make_critics):
    model = train("sac", worlds["maze goals"](), FourierExtractor)
    batch = {
        "observation": world.sample_states(5, seeded()),
        "instruction": ["go to row 0", "column 4", "row 2", "column 1", "dance"],
    }
    candidates = SampledCandidates(world.sample_states, 30)
    critic, language = make_critics()
    chooser = GoalChooser(language, "max_goal", candidates)
    follows = [GoalPolicy(model, chooser, MazeGoals(world), axes=1) for _ in "ab"]
    actions = [agent.act(batch) for agent in follows]
    assert np.array_equal(*actions)
    assert all(action in model.action_space for action in actions[0])
    for name in ("log_sum_exp", "nearest_goal", "max_goal", "sampled_goal", "direct"):
        agents = [
            GroundedAgent(
                critic,
                language,
                GROUNDINGS[name],
                candidates,
                actions=PolicyActions(model, 4, MazeGoals(world)),
            )
            for _ in "ab"
        ]
        before = torch.get_rng_state()
        actions = [agent.act(batch) for agent in agents]
        assert torch.equal(torch.get_rng_state(), before)
        assert np.array_equal(*actions)
        assert all(action in model.action_space for action in actions[0])


def test_without_the_library_the_extra_is_named(monkeypatch):
    import importlib
    import importlib.util

    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "stable_baselines3" else known(name, *rest),
    )
    for name in [name for name in sys.modules if name.startswith("langrl.agents.sb3")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=r'pip install "langrl\[sb3\]"'):
        importlib.import_module("langrl.agents.sb3.extractors")


def test_a_policy_of_batched_worlds_is_saved_and_acts_in_single_ones(worlds, tmp_path):
    model = train("ppo", worlds["maze batched"](), InstructionExtractor, **INSTRUCTED)
    model.save(tmp_path / "policy")
    seen = worlds["maze embedded"]().reset(seed=0)[0]
    loaded = PPO.load(tmp_path / "policy")
    actions = [one.predict(seen, deterministic=True)[0] for one in (model, loaded)]
    assert np.array_equal(*actions)


@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_text_that_is_handed_straight_to_sb3_names_the_wrappers(algorithm):
    with pytest.raises(ShapeError, match="EmbedInstruction, TokenizeInstruction or Instruction"):
        algorithm("MultiInputPolicy", gym.make("langrl/GridGoTo-v0"))


def test_what_was_trained_on_normalised_observations_is_shown_such(tmp_path):
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    from langrl.evaluation.policies import predict

    def make():
        return EmbedInstruction(gym.make("langrl/StreetMaze-Fork-v0"), encode)

    env = VecNormalize(DummyVecEnv([make]), norm_obs_keys=["observation"])
    model = PPO("MultiInputPolicy", env, n_steps=16, batch_size=16, seed=0)
    model.learn(32)
    seen, _ = make().reset(seed=0)
    batch = {name: part[None] for name, part in seen.items()}
    expected, _ = model.predict(env.normalize_obs(batch), deterministic=True)
    np.testing.assert_array_equal(predict(model, batch, None), expected)


def test_hindsight_without_goals_names_the_wrapper():
    env = EmbedInstruction(gym.make("langrl/StreetMaze-Fork-v0"), encode)
    with pytest.raises(ShapeError, match="GoalEnv"):
        SAC("MultiInputPolicy", env, replay_buffer_class=ContrastiveReplayBuffer)
