"""What several tests share: one small maze, tiny critics for it, and small trained runs."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: each core has its own test process
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # or it asks the hub what to call itself

import numpy as np
import pytest
import torch
from command_line import run_langrl
from hypothesis import settings
from matplotlib.figure import Figure
from network import plugin
from small_runs import SMALL_RUNS, make_once, train_once

from langrl.data.state_text_pairs import maze_pairs
from langrl.envs.maze.world import StreetMaze
from langrl.models.config import (
    CriticConfig,
    ImageTowerConfig,
    LanguageImageConfig,
    TextConfig,
    TextTowerConfig,
)
from langrl.models.critics.build import CriticsDescription, build_critics
from langrl.models.language_image.model import TowersDescription, build_language_image_model
from langrl.words import WordTokeniser

CLIP_WORDS = ("<start>", "<end>", "<unknown>", "go", "to", "the", "red", "ball", "green", "key")
SMALL = ".....\n.###.\n.....\n###..\n....."


# The same examples in each run and no limit of time: what fails is the change that was made. Others
# are drawn with HYPOTHESIS_PROFILE=default.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

torch.set_num_threads(1)  # fixtures that train come before ``one_thread``
plugin.start()


def pytest_sessionfinish(session):
    """Fail if another machine was asked for, even where that did not change what was tested."""
    if not hasattr(session.config, "workerinput") and plugin.noted():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    """Say how often another machine was asked for; pytest-xdist's processes have their own part."""
    asked = plugin.noted()
    terminalreporter.write_line(f"other machines that were asked for: {len(asked)}")
    for line in asked[:20]:
        terminalreporter.write_line(line)


def pytest_unconfigure():
    """Remove the file of what was asked for."""
    plugin.stop()


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)  # on busy cores, threads wait for each other


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A folder that the processes of pytest-xdist have in common."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def small_run(shared_folder, tiny_language):
    """A function from a name in ``SMALL_RUNS`` to the folder of that run, to be read only."""

    def folder_of(name):
        flags = SMALL_RUNS[name]
        if name in ("grid", "partial", "dqn"):
            flags = [*flags, "--language", str(tiny_language)]
        if name == "sac":
            flags = [*flags, "--critics", str(folder_of("critics"))]
        return train_once(shared_folder / name, flags)

    return folder_of


@pytest.fixture
def blank_images(monkeypatch, shared_folder):
    """Figures are made, but not drawn, and their files are empty: for tests of other results.

    Small runs, which other tests read too, have their figures whoever asks for them first.
    """
    draw = Figure.savefig

    def save(figure, path, **options):
        if any(Path(path).is_relative_to(shared_folder / name) for name in SMALL_RUNS):
            draw(figure, path, **options)
        else:
            Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture
def fails(capsys):
    """Run a command that must fail with status 2 and one line; return the line."""

    def check(*arguments):
        assert run_langrl(*arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert error.startswith("langrl: error: ")
        assert len(error) <= 301, error  # with the end of the line
        return error

    return check


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
        vocabulary=WordTokeniser.learn(pairs.texts).vocabulary,
        text_width=None,
    )


@pytest.fixture(scope="session")
def make_critics(description):
    def make(seed=0):
        return build_critics(description, seed)

    return make


@pytest.fixture(scope="session")
def tiny_language(shared_folder):
    """A folder with a small language-image model that has learned nothing; it is only read."""
    config = LanguageImageConfig(
        embedding=8,
        image=ImageTowerConfig(channels=8, depth=1, queries=1),
        text=TextTowerConfig(width=8, depth=1, queries=1, buckets=64),
    )
    folder = shared_folder / "tiny-language"
    model = build_language_image_model(TowersDescription(config=config), seed=0)
    make_once(folder, lambda: model.save(folder, "a test's model", {}))
    return folder


def write_clip(folder):
    """Write a CLIP of a few thousand weights, with a tokeniser of a few words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = Tokenizer(
        WordLevel({word: n for n, word in enumerate(CLIP_WORDS)}, unk_token="<unknown>")
    )
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<start>", eos_token="<end>", unk_token="<unknown>",
        pad_token="<end>", model_max_length=64,
    )  # fmt: skip
    size = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2
    }  # fmt: skip
    config = CLIPConfig(
        text_config={
            **size, "vocab_size": len(CLIP_WORDS), "max_position_embeddings": 64,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
        },
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    square = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square)
    CLIPProcessor(images, tokenizer).save_pretrained(folder)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """The folder of a tiny CLIP, as a SentenceTransformer writes it."""
    pytest.importorskip("sentence_transformers", minversion="6")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize

    folder = tmp_path_factory.mktemp("clip")
    write_clip(folder / "plain")
    modules = [Transformer(str(folder / "plain")), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(
        str(folder / "wrapped"),
        create_model_card=False,  # which would ask the hub about the models it is made of
    )
    return folder / "wrapped"
