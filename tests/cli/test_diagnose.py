import json

import numpy as np
import pytest
import torch
from command_line import read_results, run_langrl
from PIL import Image

from langrl.cli.diagnose import one_to_one


@pytest.fixture
def folder(tmp_path):
    """A folder of captioned images, two of which share a caption."""
    path = tmp_path / "images"
    path.mkdir()
    generator = np.random.default_rng(0)
    lines = []
    for number in range(8):
        pixels = generator.integers(256, size=(20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{number}.png")
        lines.append(json.dumps({"image": f"{number}.png", "text": f"noise {max(number, 1)}"}))
    (path / "captions.jsonl").write_text("\n".join(lines))
    return path


@pytest.fixture
def embeddings(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 6))
    path = tmp_path / "pairs.npy"
    np.save(path, np.stack([x, x + 0.2 * generator.normal(size=x.shape)]))
    return path


def test_a_model_is_diagnosed_on_a_world(tiny_language, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["diagnose", tiny_language, "--pairs", "goto", "--count", 30, "--out", out]
    assert run_langrl(*command) == 0
    told = capsys.readouterr().out
    assert "Direct comparison is unsafe" in told  # it has learned nothing
    found = read_results(out)
    assert set(found["rows"][0]) == {"measure", "images", "texts", "both"}
    assert len(found["findings"]) == 6
    assert [row["layer"] for row in found["layers"]] == ["input", "1", "embedding"] * 2
    images = {path.stem for path in (out / "figures").glob("*.png")}
    assert images == {"projection", "cosines", "shifts", "layers"}
    assert all(np.asarray(Image.open(path).convert("L")).std() > 5 for path in out.rglob("*.png"))


def test_the_seed_decides_the_pairs(tiny_language, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("langrl.cli.diagnose._report", lambda pairs, *_: seen.append(pairs))
    command = ["diagnose", tiny_language, "--pairs", "langrl/GridGoTo-v0", "--count", 20]
    for seed in (0, 0, 1):
        seeded = [*command, "--seed", seed, "--out", tmp_path]
        assert run_langrl(*seeded) == 0
    assert torch.equal(seen[0].y, seen[1].y)
    assert torch.equal(seen[0].matches, seen[1].matches)
    assert not torch.equal(seen[0].y, seen[2].y)


def test_a_model_is_diagnosed_on_captioned_images(tiny_language, folder, tmp_path):
    command = ["diagnose", tiny_language, "--pairs", folder, "--out", tmp_path / "out"]
    assert run_langrl(*command) == 0
    assert "only 7 pairs for 8 dimensions" in read_results(tmp_path / "out")["findings"][5]


def test_a_clip_is_diagnosed_layer_by_layer(clip, tmp_path):
    out = tmp_path / "out"
    command = ["diagnose", clip, "--pairs", "goto", "--count", 12, "--out", out]
    assert run_langrl(*command) == 0
    layers = read_results(out)["layers"]
    assert {row["modality"] for row in layers} == {"images", "texts"}
    assert "embedding" in {row["layer"] for row in layers}


def test_a_file_of_embeddings_is_diagnosed(embeddings, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["diagnose", embeddings, "--scale", 20, "--out", out]
    assert run_langrl(*command) == 0
    assert "Direct comparison is safe here" in capsys.readouterr().out
    table = {row["measure"]: row for row in read_results(out)["rows"]}
    assert table["own scale"]["both"] == 20
    assert not (out / "figures" / "layers.png").exists()


def save(path, array):
    np.save(path, array, allow_pickle=True)
    return path


def test_wrong_inputs_are_one_clear_line(embeddings, tiny_language, tmp_path, fails, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = np.load(embeddings)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    wrong = [
        (["bundled"], "--pairs is missing"),
        (["bundled", "--pairs", "gotoo"], "did you mean 'goto'"),
        (["bundled", "--pairs", "langrl/GridGoTo-v9"], "did you mean 'langrl/GridGoTo"),
        (["bundled", "--pairs", "CartPole-v1"], "CartPole-v1 has no render_goal"),
        (["bundled", "--pairs", "empty"], "neither of captions.jsonl and captions.csv"),
        (["bundled", "--pairs", "goto", "--scale", "3"], "--scale is for .npy files"),
        (["bundled", "--pairs", "goto", "--count", "3"], "--count"),
        (["empty", "--pairs", "goto"], "holds no model"),
        (["bundled", "--pairs", "goto", "--out", "file"], "--out file: not a directory"),
        ([embeddings, "--pairs", "goto"], "leave --pairs out"),
        ([embeddings, "--scale", "0"], "--scale"),
        (["none.npy"], "MODEL none.npy: no such file"),
        ([save("one.npy", whole[0])], "one modality only"),
        ([save("few.npy", whole[:, :3])], "4 or more embeddings"),
        ([save("same.npy", np.ones_like(whole))], "all the same"),
        ([save("zero.npy", whole * 0)], "zero embedding in x, row 0"),
        ([save("nan.npy", whole * np.nan)], "NaN or infinities"),
        ([save("objects.npy", np.array([{}, 1], object))], "pickled objects are not read"),
    ]
    for arguments, words in wrong:
        assert words in fails("diagnose", *arguments), arguments


def test_a_wrong_file_of_features_is_one_clear_line(tmp_path, fails):
    out = ["--out", tmp_path / "out"]
    missing = tmp_path / "none.npy"
    error = fails("reproduce", "modality-gap", *out, "--features", missing)
    assert f"--features {missing}: no such file" in error
    assert "--seeds" in fails("reproduce", "modality-gap", *out, "--seeds", 1)
    assert "--scale" in fails("reproduce", "modality-gap", *out, "--scale", -1)


def test_help_names_what_can_be_diagnosed(capsys):
    assert run_langrl("diagnose", "--help") == 0
    told = capsys.readouterr().out
    assert "--pairs" in told
    assert "bundled" in told


def test_pairs_have_no_image_and_no_text_twice():
    positives = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)
    texts = ["a", "b", "b", "c"]  # of images 0 and 1, of 1 and 2 twice, of 3
    for seed in range(10):
        chosen = one_to_one(positives, texts, 9, np.random.default_rng(seed))
        assert all(positives[k, m] for m, k in chosen)
        assert len({texts[k] for _, k in chosen}) == len(chosen) == len({m for m, _ in chosen})
    assert len(one_to_one(positives, texts, 2, np.random.default_rng(0))) == 2
