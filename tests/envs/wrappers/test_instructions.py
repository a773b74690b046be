import pickle
import warnings
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.wrappers import TransformObservation
from minigrid.wrappers import ImgObsWrapper

import langrl
from langrl.envs.goals import NO_TASK, BoxGoals, FrameGoals
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.rooms import DONE
from langrl.envs.maze.world import StreetMaze
from langrl.envs.wrappers.goals import GoalEnv, RenderedGoals
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction, TokenizeInstruction
from langrl.errors import (
    ConfigError,
    DomainError,
    GroundingError,
    InstructionError,
    LangRLError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from langrl.grounding.candidates import ListedCandidates, ReachablePoses, SampledCandidates
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.strategies import LogSumExp, MaxGoal
from langrl.tasks.grid.agent import image_language
from langrl.words import WordTokeniser

MAZE, GRID, SMALL = "langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0", "langrl/StreetMaze-v0"
SMALL_LAYOUT = ".....\n.###.\n.....\n###..\n....."
TEXTS = ["go left", "go right", "go right, far"]
TOKENISER = WordTokeniser.learn(["go to row 3 or column 4", "the red ball", *TEXTS])
URL = "https://example.com/x.png"


def encode(texts):
    """A cheap text encoder: lengths, letters and a constant [K, 3]."""
    return np.array([[len(text), text.count("o"), 1] for text in texts], np.float32)


def encode_images(images):
    """A cheap image encoder: darkness of eight parts of a image [M, 8]."""
    parts = np.array_split(255 - images.astype(np.float32), 8, axis=2)
    return np.stack([part.mean((1, 2, 3)) for part in parts], 1)


def place_goals(**settings):
    """Goals for CartPole: where the cart is."""
    return BoxGoals([-0.5], [0.5], 0.1, **settings)


def is_there(goals, text):
    """Which places [M, 1] satisfy a text of ``TEXTS``; None for another one."""
    if text not in TEXTS:
        return None
    side = goals[:, 0] if "right" in text else -goals[:, 0]
    return side > (0.1 if "far" in text else 0.0)


def left_or_right(observation, generator):
    """Where the cart is already, in words."""
    return "go right" if observation[0] > 0 else "go left"


def image_of(observation):
    """What of an observation of MiniGrid is a image."""
    return observation["image"]


class PlaceLanguage:
    """A language for CartPole, with weights of its own: how far on the side that is named."""

    def embed_goals(self, observations, goals):
        return goals

    def encode_text(self, texts):
        return torch.tensor([[[1.0 if "right" in text else -1.0]] for text in texts])

    def score(self, goals, texts):
        return 4 * goals @ texts.flatten(-3, -2).mT


class CellGoals:
    """Goals in FrozenLake: the number of a cell."""

    options = {}
    space = spaces.Box(0, 15, (1,), np.int64)

    def achieved(self, observations, actions=None):
        return observations[:, None].astype(np.int64)

    def draw(self, observations, generator):
        return generator.integers(16, size=(len(observations), 1))

    def reached(self, achieved, desired):
        return (achieved == desired).all(-1)


# -- environments that are wrapped -------------------------------------------------------------


def cart(**settings):
    return gymnasium.make("CartPole-v1", **settings)


def small_maze(**settings):
    return gymnasium.make(SMALL, layout=SMALL_LAYOUT, **settings)


def minigrid():
    env = gymnasium.make("MiniGrid-Empty-5x5-v0")
    return TransformObservation(env, image_of, env.observation_space["image"])


def told_cart(texts=TEXTS, **settings):
    return AddInstruction(cart(), texts, **settings)


def drawn_cart(**settings):
    return RenderedGoals(cart(render_mode="rgb_array"), encode_images, **settings)


def follow_cart(grounding="max_goal"):
    places = ListedCandidates(np.linspace(-0.5, 0.5, 9, dtype=np.float32)[:, None])
    return InstructionToGoal(told_cart(goals=place_goals()), PlaceLanguage(), grounding, places)


def follow_maze():
    # Built anew at each call: a wrapped environment does not share what another one has.

    world = StreetMaze(SMALL_LAYOUT)
    candidates = SampledCandidates(world.sample_states, 6)
    return InstructionToGoal(small_maze(), RowLanguage(), "sampled_goal", candidates)


class RowLanguage(PlaceLanguage):
    """A language for mazes: "row 3" is row 3."""

    def encode_text(self, texts):
        rows = [[int(c) for c in text if c.isdigit()] or [0] for text in texts]
        return torch.tensor([[[float(row[0]), 0.0]] for row in rows])

    def score(self, goals, texts):
        return -(goals.unsqueeze(-2) - texts.flatten(-3, -2).unsqueeze(-3)).square().sum(-1)


ENVS = {
    "add to cart": told_cart,
    "add to cart by a function": partial(told_cart, left_or_right),
    "add to cart with a denotation": partial(told_cart, goals=place_goals(), denotation=is_there),
    "add to MiniGrid": lambda: AddInstruction(minigrid(), ["reach the green square"]),
    "add to FrozenLake": lambda: AddInstruction(gymnasium.make("FrozenLake-v1"), TEXTS),
    "embed in a maze": lambda: EmbedInstruction(gymnasium.make(MAZE), encode),
    "embed in a grid world": lambda: EmbedInstruction(gymnasium.make(GRID), encode),
    "embed in a cart": lambda: EmbedInstruction(told_cart(), encode),
    "embed in MiniGrid": lambda: EmbedInstruction(AddInstruction(minigrid(), TEXTS), encode),
    "tokenise in a maze": lambda: TokenizeInstruction(gymnasium.make(MAZE), TOKENISER),
    "tokenise in a grid world": lambda: TokenizeInstruction(gymnasium.make(GRID), TOKENISER, 5),
    "tokenise in a mountain car": lambda: TokenizeInstruction(
        AddInstruction(gymnasium.make("MountainCarContinuous-v0"), TEXTS), TOKENISER
    ),
    "goals in a maze": lambda: GoalEnv(gymnasium.make(MAZE)),
    "goals in a grid world": lambda: GoalEnv(gymnasium.make(GRID), step_cost=0.1),
    "goals of a cart": lambda: GoalEnv(cart(), place_goals()),
    "goals of a mountain car": lambda: GoalEnv(
        gymnasium.make("MountainCarContinuous-v0"), BoxGoals([-1], [0.4], 0.05), step_cost=1
    ),
    "goals in FrozenLake": lambda: GoalEnv(gymnasium.make("FrozenLake-v1"), CellGoals()),
    "goals of a cart that is told": lambda: GoalEnv(told_cart(), place_goals()),
    "images of a cart": drawn_cart,
    "follow in a cart": follow_cart,
    "follow in a maze": follow_maze,
}
IN_WORDS = {name for name in ENVS if name.startswith("add")}
IMAGED = {"images of a cart"}  # holds a surface of pygame, which is not to be copied


@pytest.fixture(params=ENVS)
def name(request):
    return request.param


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def equal(one, two):
    """Whether two results of ``reset`` or ``step`` are the same."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(two) and all(equal(a, b) for a, b in zip(one, two, strict=True))
    return np.array_equal(one, two, equal_nan=np.asarray(one).dtype.kind == "f")


# -- what every wrapper keeps to ---------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_wrapped_environment_passes_the_check_of_gymnasium(name):
    check_env(ENVS[name]())


@pytest.mark.parametrize("name", sorted(ENVS.keys() - IN_WORDS))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_wrapped_environment_without_text_passes_the_check_of_sb3(name):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(ENVS[name]())


def test_steps_are_in_the_space_and_make_no_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = ENVS[name]()
        observation, info = env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(20):
            assert observation in env.observation_space
            assert isinstance(info, dict)
            action = env.action_space.sample()
            observation, reward, terminated, truncated, info = env.step(action)
            assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
            if terminated or truncated:
                observation, info = env.reset()


def test_same_seed_gives_the_same_episodes(name):
    one, two = ENVS[name](), ENVS[name]()
    two.reset(seed=9)  # what came before does not count
    two.step(two.action_space.sample())
    assert equal(one.reset(seed=3), two.reset(seed=3))
    one.action_space.seed(0)
    for _ in range(12):
        action = one.action_space.sample()
        here, there = one.step(action), two.step(action)
        assert equal(here, there)
        if here[2] or here[3]:
            assert equal(one.reset(), two.reset())


def test_episodes_differ_without_a_seed(name):
    if name in ("add to MiniGrid", "add to FrozenLake", "embed in MiniGrid"):
        pytest.skip("these worlds begin alike")
    one, two = ENVS[name](), ENVS[name]()
    assert not equal([one.reset()[0] for _ in range(4)], [two.reset()[0] for _ in range(4)])


@pytest.mark.parametrize("name", sorted(ENVS.keys() - IMAGED))
def test_a_pickled_copy_steps_the_same_way(name):
    env = ENVS[name]()
    env.reset(seed=0)
    copied = pickle.loads(pickle.dumps(env))
    env.action_space.seed(0)
    assert copied.observation_space == env.observation_space
    for _ in range(12):
        action = env.action_space.sample()
        here, there = env.step(action), copied.step(action)
        assert equal(here, there)
        if here[2] or here[3]:
            assert equal(env.reset(), copied.reset())


def test_the_spec_makes_another_one(name):
    env = ENVS[name]()
    another = env.spec.make()
    assert str(another) == str(env)
    assert equal(env.reset(seed=1), another.reset(seed=1))


def test_sync_vector_env_steps_each_as_by_itself(name):
    envs, singles = SyncVectorEnv([ENVS[name]] * 2), [ENVS[name]() for _ in range(2)]
    batch, _ = envs.reset(seed=[4, 5])
    rows = [env.reset(seed=seed)[0] for env, seed in zip(singles, (4, 5), strict=True)]
    assert batch in envs.observation_space
    for key in batch:
        assert equal(list(batch[key]), [row[key] for row in rows])
    envs.action_space.seed(0)
    actions = envs.action_space.sample()
    batch, rewards, terminated, _, _ = envs.step(actions)
    steps = [env.step(action) for env, action in zip(singles, actions, strict=True)]
    assert rewards.tolist() == [step[1] for step in steps]
    assert terminated.tolist() == [step[2] for step in steps]
    for key in batch:
        assert equal(list(batch[key]), [step[0][key] for step in steps])


@pytest.mark.parametrize(
    "name",
    ["add to cart", "embed in a cart", "goals in a maze", "images of a cart", "follow in a cart"],
)
def test_async_vector_env_steps_as_the_sync_one(name):
    one = AsyncVectorEnv([ENVS[name]] * 2, shared_memory=name not in IN_WORDS)
    two = SyncVectorEnv([ENVS[name]] * 2)
    try:
        assert equal(one.reset(seed=1)[0], two.reset(seed=1)[0])
        two.action_space.seed(0)
        for _ in range(3):
            actions = two.action_space.sample()
            assert equal(one.step(actions)[:4], two.step(actions)[:4])
    finally:
        one.close()


def test_functions_that_write_instructions_reach_other_processes():
    envs = AsyncVectorEnv(
        [lambda: AddInstruction(cart(), lambda seen, generator: "go left")] * 2,
        shared_memory=False,
    )
    try:
        assert envs.reset(seed=0)[0]["instruction"] == ("go left", "go left")
        assert envs.observation_space.sample()["instruction"] == ("go left", "go left")
    finally:
        envs.close()


@pytest.mark.parametrize("name", sorted(ENVS.keys() - IN_WORDS))
def test_dummy_vec_env_of_sb3_steps_as_the_environment(name):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    envs, env = vec_env.DummyVecEnv([ENVS[name]]), ENVS[name]()
    envs.seed(2)
    assert equal({k: v[0] for k, v in envs.reset().items()}, env.reset(seed=2)[0])
    env.action_space.seed(0)
    action = env.action_space.sample()
    batch, rewards, dones, _ = envs.step(np.array([action]))
    single = env.step(action)
    assert rewards[0] == np.float32(single[1])
    assert dones[0] == (single[2] or single[3])
    if not dones[0]:
        assert equal({k: v[0] for k, v in batch.items()}, single[0])


def check_subprocesses(makers, method):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    one, two = vec_env.SubprocVecEnv(makers, start_method=method), vec_env.DummyVecEnv(makers)
    try:
        one.seed(0)
        two.seed(0)
        assert equal(one.reset(), two.reset())
        two.action_space.seed(0)
        for _ in range(3):
            actions = np.array([two.action_space.sample() for _ in makers])
            assert equal(one.step(actions)[:3], two.step(actions)[:3])
        if "desired_goal" in two.observation_space.spaces and hasattr(two.envs[0], "step_cost"):
            goals = one.reset()["desired_goal"]
            (rewards,) = one.env_method("compute_reward", goals, goals, [{}], indices=[0])
            assert rewards.tolist() == [1 - two.envs[0].step_cost] * len(makers)
    finally:
        one.close()


@pytest.mark.parametrize(
    "name", ["embed in a grid world", "goals in a maze", "images of a cart", "follow in a maze"]
)
def test_subproc_vec_env_of_sb3_steps_as_the_dummy_one(name):
    check_subprocesses([ENVS[name]] * 2, "fork")


@pytest.mark.slow
def test_a_wrapped_environment_is_sent_to_a_process_that_starts_from_nothing():
    check_subprocesses([partial(_goal_env, GRID)], "forkserver")


def _goal_env(name):
    langrl.register_envs()  # in a new process, too
    return GoalEnv(gymnasium.make(name))


# -- AddInstruction ----------------------------------------------------------------------------


def test_an_instruction_is_drawn_of_the_list_at_each_reset():
    env = told_cart()
    texts = [env.reset(seed=seed)[0]["instruction"] for seed in range(30)]
    assert set(texts) == set(TEXTS)
    observation, _ = env.reset(seed=3)
    assert observation["instruction"] == texts[3]
    assert env.step(0)[0]["instruction"] == texts[3]


def test_a_function_writes_an_instruction_for_what_is_observed():
    env = told_cart(left_or_right)
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        right = observation["observation"][0] > 0
        assert observation["instruction"] == ("go right" if right else "go left")
    env.observation_space.seed(0)
    samples = {env.observation_space["instruction"].sample() for _ in range(20)}
    assert samples == {"go left", "go right"}


def test_a_function_may_hand_on_a_mission_that_the_environment_has():
    def make():
        base = ImgObsWrapper(gymnasium.make("MiniGrid-Fetch-5x5-N2-v0"))
        return AddInstruction(base, lambda seen, generator: base.unwrapped.mission)

    env, envs = make(), SyncVectorEnv([make] * 6)
    missions = []
    for seed in range(6):
        missions.append(env.reset(seed=seed)[0]["instruction"])
        assert missions[-1] == env.unwrapped.mission
    assert len(set(missions)) > 1
    assert envs.reset(seed=0)[0]["instruction"] == tuple(missions)


def test_reset_takes_an_instruction_and_hands_other_options_on():
    env = told_cart()
    options = {"instruction": "stay", "low": -0.001, "high": 0.001}
    observation, _ = env.reset(seed=0, options=options)
    assert observation["instruction"] == "stay"
    assert np.abs(observation["observation"]).max() <= 0.001
    assert options == {"instruction": "stay", "low": -0.001, "high": 0.001}


def test_without_a_denotation_reward_and_end_are_the_environments_own():
    env, bare = told_cart(), cart()
    observation, info = env.reset(seed=0)
    seen, _ = bare.reset(seed=0)
    assert np.array_equal(observation["observation"], seen)
    assert "is_success" not in info
    terminated = False
    while not terminated:
        (observation, *told), (seen, *own) = env.step(1), bare.step(1)
        assert np.array_equal(observation["observation"], seen)
        assert told == own
        terminated = told[1]
    assert told[0] == 1


def denoted_cart(instruction, denotation=is_there):
    env = told_cart(goals=place_goals(), denotation=denotation)
    _, info = env.reset(seed=0, options={"instruction": instruction, "low": 0, "high": 0})
    assert info["is_success"] is False
    return env


def test_with_a_denotation_an_episode_ends_where_the_instruction_is_satisfied():
    env = denoted_cart("go right, far")
    for _ in range(60):
        observation, reward, terminated, _, info = env.step(1)
        there = observation["observation"][0] > 0.1
        assert info["is_success"] is bool(there)
        assert reward == float(there)
        if there or terminated:
            break
    assert terminated


def test_with_a_denotation_the_environments_own_reward_is_0():
    env = denoted_cart("go left")
    _, reward, terminated, _, info = env.step(1)  # which moves it to the right at the next step
    assert (reward, terminated, info["is_success"]) == (0.0, False, False)


@pytest.mark.parametrize("denotation", [is_there, lambda goals, text: None])
def test_text_that_is_not_understood_is_satisfied_nowhere(denotation):
    env = denoted_cart("sing", denotation)
    for _ in range(5):
        _, reward, terminated, _, info = env.step(1)
        assert (reward, terminated, info["is_success"]) == (0.0, False, False)


@pytest.mark.parametrize("text", ["", " ", "x" * 1001, "row\x00 3", 3, ["go left"]], ids=repr)
def test_what_is_no_instruction_is_refused_and_the_episode_goes_on(text):
    env, same = told_cart(), told_cart()
    for each in (env, same):
        each.reset(seed=0)
        each.step(0)
    with pytest.raises(InstructionError):
        env.reset(options={"instruction": text})
    assert equal(env.step(1), same.step(1))


def test_what_a_function_writes_is_checked():
    with pytest.raises(InstructionError, match="got int"):
        told_cart(lambda seen, generator: 3).reset(seed=0)


# -- EmbedInstruction --------------------------------------------------------------------------


class Encoder:
    """Stands in for any object with encode_text, and notes what it is asked."""

    def __init__(self, shape=(3,)):
        self.asked, self.shape = [], shape

    def encode_text(self, texts):
        self.asked += texts
        return torch.full((len(texts), *self.shape), 2.0, requires_grad=True)

    def encode(self, inputs):
        raise AssertionError("encode_text comes first")


class Sentences:
    """Stands in for a SentenceTransformer, and notes what it is asked."""

    def __init__(self):
        self.asked = []

    def encode(self, inputs, show_progress_bar=None):
        self.asked += inputs
        return encode([each["text"] for each in inputs])


def test_each_text_is_encoded_once():
    encoder = Encoder()
    env = EmbedInstruction(told_cart(), encoder)
    for seed in range(20):
        env.reset(seed=seed)
        env.step(0)
    assert set(TEXTS) <= set(encoder.asked)
    assert len(encoder.asked) == len(set(encoder.asked))
    env.reset(options={"instruction": "go to the goal"})  # of which the width was learned
    assert len(encoder.asked) == len(set(encoder.asked))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 1)])
def test_embeddings_are_vectors_however_an_encoder_arranges_them(shape):
    env = EmbedInstruction(told_cart(), Encoder(shape))
    observation, _ = env.reset(seed=0)
    assert observation["instruction"].tolist() == [2.0] * int(np.prod(shape))
    assert env.observation_space["instruction"].shape == (int(np.prod(shape)),)
    assert observation["instruction"].dtype == np.float32


@pytest.mark.parametrize(
    "encoder",
    [
        encode,
        Sentences(),
        lambda texts: torch.from_numpy(encode(texts)).bfloat16(),
        lambda texts: encode(texts).tolist(),
        lambda texts: encode(texts).astype(np.float64),
        lambda texts: encode(texts).astype(int),
    ],
)
def test_functions_and_sentence_transformers_are_encoders(encoder):
    env = EmbedInstruction(told_cart(), encoder)
    observation, _ = env.reset(options={"instruction": "go on"})
    assert observation["instruction"].tolist() == [5, 2, 1]
    assert observation["instruction"].dtype == np.float32


@pytest.mark.parametrize(
    "text", [URL, "/etc/passwd", "file:///etc/passwd", "data:image/png;base64,"]
)
def test_a_text_that_looks_like_an_address_is_only_ever_a_text(text):
    encoder = Sentences()
    EmbedInstruction(told_cart(), encoder).reset(options={"instruction": text})
    assert encoder.asked[-1] == {"text": text}
    assert all(isinstance(each, dict) for each in encoder.asked)


def test_a_sentence_transformer_embeds_instructions(clip):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(clip), device="cpu")
    env = EmbedInstruction(told_cart(), model)
    expected = model.encode([{"text": "go to the red ball"}])[0]
    observation, _ = env.reset(options={"instruction": "go to the red ball"})
    assert np.array_equal(observation["instruction"], expected)
    env.reset(options={"instruction": URL})


def test_a_critics_text_encoder_embeds_instructions(make_critics):
    _, language = make_critics()
    env = EmbedInstruction(small_maze(), language)
    observation, _ = env.reset(options={"instruction": "row 3"})
    with torch.no_grad():
        expected = language.encode_text(["row 3"])[0].flatten()
    assert np.array_equal(observation["instruction"], expected.numpy())


def test_what_else_is_observed_is_kept():
    env = gymnasium.make("CartPole-v1")
    space = spaces.Dict(
        {
            "observation": env.observation_space,
            "instruction": spaces.Text(1000),
            "battery": spaces.Box(0, 1, (1,), np.float32),
        }
    )
    told = TransformObservation(env, partial(_with_battery, "go left"), space)
    env = EmbedInstruction(told, encode)
    observation, _ = env.reset(seed=0)
    assert observation.keys() == env.observation_space.spaces.keys()
    assert observation in env.observation_space


def _with_battery(text, seen):
    return {"observation": seen, "instruction": text, "battery": np.ones(1, np.float32)}


def test_an_observation_that_is_changed_changes_no_later_one():
    env = EmbedInstruction(told_cart(["go left"]), encode)
    first, _ = env.reset(seed=0)
    first["instruction"][:] = 0
    assert env.step(0)[0]["instruction"].tolist() == [7, 1, 1]


# -- TokenizeInstruction -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("go red", [2, 3, 0, 0]),
        ("red, zork go", [3, 1, 1, 2]),
        ("go go go red red", [2, 2, 2, 3]),
        ("zork", [1, 0, 0, 0]),
        ("GO", [2, 0, 0, 0]),
    ],
)
def test_words_are_numbers_padded_unknown_or_cut_off(text, tokens):
    env = TokenizeInstruction(told_cart(), WordTokeniser(["go", "red"]), length=4)
    observation, _ = env.reset(options={"instruction": text})
    assert observation["instruction"].tolist() == tokens
    assert env.observation_space["instruction"] == spaces.Box(0, 3, (4,), np.int32)
    assert observation in env.observation_space


def test_32_words_are_read_by_default():
    env = TokenizeInstruction(told_cart(), TOKENISER)
    assert env.reset(options={"instruction": "go " * 40})[0]["instruction"].tolist() == [2] * 32


# -- GoalEnv -----------------------------------------------------------------------------------


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


def told_worlds():
    box = BoxGoals([0], [1], 0.01)
    yield "maze", GoalEnv(small_maze(kinds=("row",))), np.float32([0, 1])
    yield "maze with other goals", GoalEnv(small_maze(kinds=("row",)), box), np.float32([1, 0])
    told = told_cart(["go right"], goals=place_goals(), denotation=lambda goals, text: [True])
    yield "a cart that is told", GoalEnv(told, BoxGoals([1], [2], 0.01)), 0


@pytest.mark.parametrize("world", list(told_worlds()), ids=lambda world: world[0])
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
    assert info == {"is_success": False}
    assert env.step(np.float32([0, 1]))[4].keys() == {"is_success"}


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


# -- hindsight ---------------------------------------------------------------------------------


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


# -- RenderedGoals -----------------------------------------------------------------------------


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


def test_a_image_is_reached_once_the_frame_looks_like_it():
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


def test_a_world_of_langrl_is_drawn_without_its_task():
    env = RenderedGoals(small_maze(render_mode="rgb_array"), encode_images)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    assert env.unwrapped._episodes.instructions == [NO_TASK["instruction"]]


# -- InstructionToGoal -------------------------------------------------------------------------


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


def test_the_language_weight_multiplies_the_language_score():
    places = ListedCandidates(np.float32([[-0.5], [0.5]]))
    env = InstructionToGoal(
        told_cart(goals=place_goals()), PlaceLanguage(), MaxGoal(), places, language_weight=0.5
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


# -- errors ------------------------------------------------------------------------------------


def refused(make, error, says):
    with pytest.raises(error, match=says) as caught:
        make()
    assert isinstance(caught.value, LangRLError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("strategy", ["log_sum_exp", "nearest_goal", "direct"])
def test_strategies_that_need_a_critic_are_refused_by_name(strategy):
    name = strategy.title().replace("_", "")
    refused(
        lambda: follow_cart(strategy),
        GroundingError,
        f"{name} needs a critic.*use one of: sampled_goal, max_goal",
    )


WRAP = {
    "AddInstruction": lambda env: AddInstruction(env, TEXTS),
    "EmbedInstruction": lambda env: EmbedInstruction(env, encode),
    "TokenizeInstruction": lambda env: TokenizeInstruction(env, TOKENISER),
    "GoalEnv": lambda env: GoalEnv(env, place_goals()),
    "RenderedGoals": lambda env: RenderedGoals(env, encode_images),
    "InstructionToGoal": lambda env: InstructionToGoal(
        env, PlaceLanguage(), "max_goal", ListedCandidates(np.zeros((1, 1))), place_goals()
    ),
}
READS = ["EmbedInstruction", "TokenizeInstruction", "InstructionToGoal"]


@pytest.mark.parametrize("wrapper", WRAP)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: "CartPole-v1", "that gymnasium.make made; got CartPole-v1"),
        (lambda: None, "got NoneType"),
        (lambda: StreetMaze, "got <class 'langrl.envs.maze.world.StreetMaze'>"),
        (
            lambda: SyncVectorEnv([told_cart]),
            "vector environment.*langrl.envs.wrappers.vector",
        ),
        (
            lambda: gymnasium.make_vec(MAZE),
            "vector environment.*langrl.envs.wrappers.vector",
        ),
    ],
)
def test_what_is_no_single_environment_is_refused(wrapper, make, says):
    refused(lambda: WRAP[wrapper](make()), ConfigError, f"{wrapper} wraps an env.*{says}")


@pytest.mark.parametrize("wrapper", READS)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (cart, r"put AddInstruction of langrl.envs.wrappers.instructions around it first"),
        (lambda: gymnasium.make("MiniGrid-Empty-5x5-v0"), "AddInstruction"),
        (lambda: EmbedInstruction(told_cart(), encode), "numbers already: leave one of the"),
        (lambda: TokenizeInstruction(told_cart(), TOKENISER), "numbers already"),
        (lambda: GoalEnv(small_maze()), "goals in their place: put the wrapper around the"),
        (follow_cart, "goals in their place"),
    ],
)
def test_an_environment_without_words_is_refused(wrapper, make, says):
    refused(lambda: WRAP[wrapper](make()), InstructionError, f"{wrapper} reads.*{says}")


def nested_cart(instruction=False):
    """Observations nested deeper than Stable-Baselines3 takes."""
    env = cart(render_mode="rgb_array")
    inner = spaces.Dict({"cart": env.observation_space})
    if not instruction:
        return TransformObservation(env, lambda seen: {"cart": seen}, inner)
    space = spaces.Dict({"observation": inner, "instruction": spaces.Text(100)})
    wrap = partial(_nest, "go left")
    return TransformObservation(env, wrap, space)


def _nest(text, seen):
    return {"observation": {"cart": seen}, "instruction": text}


@pytest.mark.parametrize("wrapper", WRAP)
def test_nested_observations_are_refused(wrapper):
    refused(
        lambda: WRAP[wrapper](nested_cart(wrapper in READS)),
        ShapeError,
        f"{wrapper} puts the observation into a Dict.*no Dict inside.*FlattenObservation.*Filter"
        "Observation.*TransformObservation",
    )


@pytest.mark.parametrize("wrapper", ["AddInstruction", "GoalEnv", "RenderedGoals"])
@pytest.mark.parametrize(
    "space",
    [spaces.Tuple([spaces.Discrete(2)]), spaces.Text(9), spaces.Sequence(spaces.Discrete(2))],
)
def test_observations_that_are_no_arrays_are_refused(wrapper, space):
    env = TransformObservation(cart(render_mode="rgb_array"), lambda seen: seen, space)
    name = type(space).__name__
    refused(lambda: WRAP[wrapper](env), ShapeError, f"no {name} inside a Dict")


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


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: told_cart([]), InstructionError, "a list of texts, at least one"),
        (lambda: told_cart("go left"), InstructionError, "a list of texts"),
        (lambda: told_cart(None), InstructionError, "a list of texts, at least one; or a function"),
        (lambda: told_cart({"go left"}), InstructionError, "a list of texts"),
        (lambda: told_cart(["go left", 3]), InstructionError, "got int"),
        (lambda: told_cart(["go left", ""]), InstructionError, "empty"),
        (lambda: AddInstruction(small_maze(), TEXTS), InstructionError, "has instructions already"),
        (lambda: AddInstruction(told_cart(), TEXTS), InstructionError, "reset.options="),
        (lambda: told_cart(denotation=is_there), GroundingError, "pass goals=.*BoxGoals"),
        (lambda: told_cart(goals=[1, 2]), GroundingError, "list does not say: it needs space"),
        (
            lambda: told_cart(goals=place_goals(), denotation=["left"]),
            GroundingError,
            "denotation is a function",
        ),
        (
            lambda: denoted_cart("go left", lambda goals, text: True).step(0),
            ShapeError,
            r"denotation gives \[\] for goals \[1, 1\]",
        ),
    ],
)
def test_wrong_instructions_goals_or_denotations_are_refused(make, error, says):
    refused(make, error, says)


def widening(texts):
    """An encoder whose width depends on the text."""
    return np.zeros((len(texts), len(texts[0])))


def embed_with(encoder, text="go left"):
    EmbedInstruction(told_cart(), encoder).reset(seed=0, options={"instruction": text})


@pytest.mark.parametrize(
    ("encoder", "error", "says"),
    [
        (widening, ShapeError, "gave 7 numbers, and 14 before.*keep their width"),
        ("all-MiniLM-L6-v2", ShapeError, "'all-MiniLM-L6-v2' only names a text encoder; load it"),
        (Sentences, ShapeError, "'Sentences' only names a text encoder"),
        (None, ShapeError, "NoneType encodes no texts; give something with encode_text"),
        (lambda texts: np.zeros(3), ShapeError, r"gives \[3\] for a list of 1 text"),
        (lambda texts: np.zeros((2, 3)), ShapeError, r"gives \[2, 3\] for a list of 1 text"),
        (lambda texts: np.zeros((1, 0)), ShapeError, r"\[1, 0\]"),
        (lambda texts: texts, ShapeError, "gives no array of numbers, but list"),
        (lambda texts: None, LangRLError, "the text encoder gives"),
        (lambda texts: np.full((1, 3), np.inf), NonFiniteError, "not finite"),
    ],
)
def test_a_wrong_text_encoder_is_refused(encoder, error, says):
    refused(lambda: embed_with(encoder), error, says)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((["go", "left"],), ConfigError, "got list; make one with WordTokeniser.learn"),
        ((None,), ConfigError, "a langrl.words.WordTokeniser, got NoneType"),
        ((str.split,), ConfigError, "WordTokeniser"),
        ((TOKENISER, 0), ShapeError, "at least 1; got 0"),
        ((TOKENISER, 2.5), ShapeError, "got 2.5"),
        ((TOKENISER, "8"), ShapeError, "got '8'"),
    ],
)
def test_a_wrong_tokeniser_or_length_is_refused(arguments, error, says):
    refused(lambda: TokenizeInstruction(told_cart(), *arguments), error, says)


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
        (PoseGoals(8), ShapeError, "observations of a grid world"),
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


def follow_with(**changed):
    parts = {
        "language": PlaceLanguage(),
        "grounding": "max_goal",
        "candidates": ListedCandidates(np.zeros((2, 1), np.float32)),
        "goals": place_goals(),
    }
    InstructionToGoal(told_cart(), **parts | changed).reset(seed=0)


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
