"""What several tests share: one small maze, and tiny critics for it."""

import numpy as np
import pytest
import torch

from langrl.data.pairs import maze_pairs
from langrl.envs.maze_world import StreetMaze
from langrl.models.build import CriticsDescription, build_critics
from langrl.models.config import (
    CriticConfig,
    ImageTowerConfig,
    LanguageImageConfig,
    TextConfig,
    TextTowerConfig,
)
from langrl.models.encoders import CompactTextEncoder
from langrl.models.language_image import TowersDescription, build_language_image_model

SMALL = ".....\n.###.\n.....\n###..\n....."


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)  # on busy cores, threads wait for each other


@pytest.fixture(scope="session")
def world():
    return StreetMaze(SMALL)


@pytest.fixture(scope="session")
def pairs(world):
    return maze_pairs(world, 200, np.random.default_rng(0))


@pytest.fixture(scope="session")
def description(pairs):
    return CriticsDescription(
        low=(0.0, 0.0),
        high=(5.0, 5.0),
        action_size=2,
        critic=CriticConfig(embedding=8, width=16, depth=2, state_octaves=2, goal_octaves=2),
        text=TextConfig(width=16),
        vocabulary=CompactTextEncoder.learn_vocabulary(pairs.texts),
        text_width=None,
    )


@pytest.fixture(scope="session")
def make_critics(description):
    def make(seed=0):
        return build_critics(description, seed)

    return make


@pytest.fixture(scope="session")
def tiny_language(tmp_path_factory):
    """A folder with a small language-image model that has learned nothing."""
    config = LanguageImageConfig(
        embedding=8,
        image=ImageTowerConfig(channels=8, depth=1, queries=1),
        text=TextTowerConfig(width=8, depth=1, queries=1, buckets=64),
    )
    folder = tmp_path_factory.mktemp("language") / "model"
    model = build_language_image_model(TowersDescription(config=config), seed=0)
    model.save(folder, "a test's model", {})
    return folder
