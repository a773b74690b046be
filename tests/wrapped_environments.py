"""Environments, goals and languages that the tests of wrappers share."""

import os
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TransformObservation

from langrl.envs.goals import BoxGoals
from langrl.envs.maze.world import StreetMaze
from langrl.envs.wrappers.goals import GoalEnv, RenderedGoals
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction, TokenizeInstruction
from langrl.errors import LangRLError
from langrl.grounding.candidates import ListedCandidates, SampledCandidates
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.words import WordTokeniser

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame opens no window

MAZE, GRID, SMALL = "langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0", "langrl/StreetMaze-v0"
SMALL_LAYOUT = ".....\n.###.\n.....\n###..\n....."
TEXTS = ["go left", "go right", "go right, far"]
TOKENISER = WordTokeniser.learn(["go to row 3 or column 4", "the red ball", *TEXTS])
URL = "https://example.com/x.png"


def encode(texts):
    """A cheap text encoder: lengths, letters and a constant [K, 3]."""
    return np.array([[len(text), text.count("o"), 1] for text in texts], np.float32)


def encode_images(images):
    """A cheap image encoder: darkness of eight parts of an image [M, 8]."""
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
    """What of an observation of MiniGrid is an image."""
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


def cart(**settings):
    return gymnasium.make("CartPole-v1", **settings)


def small_maze(**settings):
    return gymnasium.make(SMALL, layout=SMALL_LAYOUT, **settings)


def minigrid():
    env = gymnasium.make("MiniGrid-Empty-5x5-v0")
    return TransformObservation(env, image_of, env.observation_space["image"])


def text_cart(texts=TEXTS, **settings):
    return AddInstruction(cart(), texts, **settings)


def drawn_cart(**settings):
    return RenderedGoals(cart(render_mode="rgb_array"), encode_images, **settings)


def follow_cart(grounding="max_goal"):
    places = ListedCandidates(np.linspace(-0.5, 0.5, 9, dtype=np.float32)[:, None])
    return InstructionToGoal(text_cart(goals=place_goals()), PlaceLanguage(), grounding, places)


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
    "add to cart": text_cart,
    "add to cart by a function": partial(text_cart, left_or_right),
    "add to cart with a denotation": partial(text_cart, goals=place_goals(), denotation=is_there),
    "add to MiniGrid": lambda: AddInstruction(minigrid(), ["reach the green square"]),
    "add to FrozenLake": lambda: AddInstruction(gymnasium.make("FrozenLake-v1"), TEXTS),
    "embed in a maze": lambda: EmbedInstruction(gymnasium.make(MAZE), encode),
    "embed in a grid world": lambda: EmbedInstruction(gymnasium.make(GRID), encode),
    "embed in a cart": lambda: EmbedInstruction(text_cart(), encode),
    "embed in MiniGrid": lambda: EmbedInstruction(AddInstruction(minigrid(), TEXTS), encode),
    "tokenise in a maze": lambda: TokenizeInstruction(gymnasium.make(MAZE), TOKENISER),
    "tokenise in a grid world": lambda: TokenizeInstruction(gymnasium.make(GRID), TOKENISER, 20),
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
    "goals of a cart that is told": lambda: GoalEnv(text_cart(), place_goals()),
    "images of a cart": drawn_cart,
    "follow in a cart": follow_cart,
    "follow in a maze": follow_maze,
}


IN_WORDS = {name for name in ENVS if name.startswith("add")}
IMAGED = {"images of a cart"}  # holds a surface of pygame, which is not to be copied


def equal(one, two):
    """Whether two results of ``reset`` or ``step`` are the same."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(two) and all(equal(a, b) for a, b in zip(one, two, strict=True))
    return np.array_equal(one, two, equal_nan=np.asarray(one).dtype.kind == "f")


def refused(make, error, says):
    with pytest.raises(error, match=says) as caught:
        make()
    assert isinstance(caught.value, LangRLError)
    assert "\n" not in str(caught.value)


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
