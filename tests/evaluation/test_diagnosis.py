import math

import numpy as np
import pytest
import torch
from torch import nn

from langrl.errors import ConfigError, DomainError
from langrl.evaluation.diagnosis import EmbeddedPairs, diagnose, findings, rows, shift_rows
from langrl.evaluation.embedding_files import read_embedding_pairs
from langrl.evaluation.layer_cones import layer_cones


def pairs(n=60, size=8, noise=0.2, offset=0.0, **options):
    """Two noisy views of one point each; the second modality's have an offset on one axis."""
    generator = torch.Generator().manual_seed(0)
    x, more = (torch.randn(n, size, generator=generator, dtype=torch.float64) for _ in range(2))
    y = x + noise * more
    y[:, 0] += offset
    return EmbeddedPairs(x, y, ("images", "texts"), **options)


def findings_of(given):
    return findings(diagnose(given))


def test_close_pairs_without_a_gap_are_safe_to_compare():
    lines = findings_of(pairs())
    assert lines[0].startswith("Direct comparison is safe here: the nearest of 60 texts is right")
    assert lines[1].startswith("There is no gap beyond chance")


def test_a_gap_makes_all_but_ranking_unsafe():
    lines = findings_of(pairs(offset=12.0))
    assert lines[0].startswith("Direct comparison is unsafe, but for ranking")
    assert "marginalise" in lines[0]
    assert "the modalities are nearly linearly separable" in lines[1]


def test_pairs_that_have_nothing_in_common_are_said_to_be_unsafe():
    unrelated = EmbeddedPairs(pairs().x, pairs().x.flip(0), ("x", "y"))
    assert "does not find what fits" in findings_of(unrelated)[0]


@pytest.mark.parametrize(
    ("factor", "words"), [(1.0, ": calibrated."), (10.0, "too sure"), (0.05, "not sure enough")]
)
def test_the_scale_is_compared_with_the_best_one(factor, words):
    best = diagnose(pairs(noise=1.0)).best.scale
    assert words in findings_of(pairs(noise=1.0, scale=best * factor))[3]


def test_an_unknown_scale_is_said_to_be_unknown():
    assert "give --scale" in findings_of(pairs())[3]


def test_too_few_pairs_for_a_rank_are_said():
    lines = findings_of(pairs(n=8, size=20))
    assert "a lower bound: only 8 pairs for 20 dimensions" in lines[5]
    assert "lower bound" not in findings_of(pairs())[5]


def test_tables_have_every_measure():
    found = diagnose(pairs(scale=3.0))
    table = {row["measure"]: row for row in rows(found)}
    assert table["gap"]["both"] == found.gap
    assert table["effective rank"]["first"] == found.modalities[0].rank
    assert [row["amount"] for row in shift_rows(found)] == [-1, -0.5, -0.25, 0, 0.25, 0.5, 1]


def test_a_constant_encoder_is_refused_by_name():
    given = pairs()
    with pytest.raises(DomainError, match="60 embeddings in texts that are all the same"):
        diagnose(EmbeddedPairs(given.x, torch.ones_like(given.y), given.names))
    with pytest.raises(DomainError, match="4 or more embeddings"):
        diagnose(EmbeddedPairs(given.x[:3], given.y[:3], given.names))


# -- layers ----------------------------------------------------------------------------------


def test_layers_are_those_of_the_longest_list_of_modules():
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5)), nn.Identity())
    found = layer_cones(net, net, torch.randn(70, 4, generator=torch.Generator().manual_seed(0)))
    assert [row["layer"] for row in found] == ["input", "1", "2", "3", "embedding"]
    assert abs(found[0]["mean"]) < 0.1
    assert found[2]["mean"] > 0.3  # after the ReLU
    assert found[3] == {**found[4], "layer": "3"}


def test_positions_of_tokens_and_of_images_are_averaged():
    tokens = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    net = nn.ModuleList([nn.Identity(), nn.Identity()])

    def embed(part):
        return net[1](net[0](part)).mean(1)

    found = layer_cones(net, embed, tokens)
    assert len({row["mean"] for row in found}) == 1
    images = tokens.mT.unflatten(2, (5, 1))  # [n, C, H, W]
    found = layer_cones(net, lambda part: net[1](net[0](part)).mean((2, 3)), images)
    assert found[0]["mean"] == pytest.approx(layer_cones(net, embed, tokens)[0]["mean"])


def test_hooks_are_gone_afterwards():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    layer_cones(net, net, torch.randn(5, 4))
    assert not any(module._forward_hooks for module in net.modules())


# -- files -----------------------------------------------------------------------------------


def bad_files():
    normal = np.random.default_rng(0).normal(size=(2, 9, 4))
    return {
        "one modality": (normal[0], "one modality only, [9, 4]"),
        "one of one": (normal[:1], "one modality only"),
        "three": (np.concatenate([normal, normal[:1]]), "an array [3, 9, 4]"),
        "whole numbers": (normal.astype(int), "int64, not floats"),
        "not finite": (normal * np.nan, "NaN or infinities"),
        "empty": (normal[:, :0], "an array [2, 0, 4]"),
        "objects": (np.array([{}, 1], object), "no whole array"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_wrong_arrays_are_one_clear_line(name, tmp_path):
    array, words = bad_files()[name]
    path = tmp_path / "pairs.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(ConfigError) as raised:
        read_embedding_pairs(path, "--features")
    assert str(raised.value).startswith(f"--features {path}: ")
    assert words in str(raised.value)


def test_files_that_are_no_arrays_are_one_clear_line(tmp_path):
    path = tmp_path / "pairs.npy"
    whole = tmp_path / "whole.npy"
    np.save(whole, np.ones((2, 9, 4)))
    claims = whole.read_bytes().replace(b"(2, 9, 4)", b"(2, 9**9)")
    huge = whole.read_bytes().replace(b"(2, 9, 4), ", b"(2, 9999999999, 4), "[:11])
    for content in (b"", b"hello", whole.read_bytes()[:-8], claims, huge):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="no whole array of numbers"):
            read_embedding_pairs(path, "MODEL")
    np.savez(tmp_path / "pairs.npz", x=np.ones(3))
    with pytest.raises(ConfigError, match="several arrays"):
        read_embedding_pairs(tmp_path / "pairs.npz", "MODEL")
    with pytest.raises(ConfigError, match="no such file"):
        read_embedding_pairs(tmp_path / "none.npy", "MODEL")
    with pytest.raises(ConfigError, match="a folder"):
        read_embedding_pairs(tmp_path, "MODEL")


def test_both_modalities_are_read_as_they_are(tmp_path):
    array = np.random.default_rng(0).normal(size=(2, 9, 4)).astype(np.float16)
    np.save(tmp_path / "pairs.npy", array)
    x, y = read_embedding_pairs(tmp_path / "pairs.npy", "MODEL")
    assert math.isclose(x[3, 2], array[0, 3, 2])
    np.testing.assert_array_equal(y, array[1])
