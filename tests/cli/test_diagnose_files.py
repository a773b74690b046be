"""Diagnosis of files of embeddings: the modalities' names, and sizes that differ."""

import zipfile

import numpy as np
import pytest
import torch
from command_line import read_results, run_langrl

from langrl.errors import ConfigError
from langrl.evaluation.embedding_files import read_modalities
from langrl.functional import cone, effective_rank, uniformity


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(40, 6)) + 1.0


@pytest.fixture
def texts(images):
    return images @ np.random.default_rng(1).normal(size=(6, 3))


@pytest.fixture
def same(images):
    return images + 0.1 * np.random.default_rng(2).normal(size=images.shape)


def diagnosed(folder, *arguments):
    assert run_langrl("diagnose", *arguments, "--out", folder / "out") == 0
    return read_results(folder / "out")


def test_sizes_that_differ_are_measured_each_on_its_own(tmp_path, images, texts):
    np.savez(tmp_path / "pairs.npz", image=images, text=texts)
    results = diagnosed(tmp_path, tmp_path / "pairs.npz")
    table = {row["measure"]: row for row in results["rows"]}
    assert set(table) == {
        "cosine within, mean", "cosine within, 5 % quantile", "cosine within, 95 % quantile",
        "effective rank", "uniformity",
    }  # fmt: skip
    for name, array in (("image", images), ("text", texts)):
        points = torch.from_numpy(array)
        assert table["cosine within, mean"][name] == pytest.approx(cone(points).mean)
        assert table["effective rank"][name] == pytest.approx(effective_rank(points))
        assert table["uniformity"][name] == pytest.approx(uniformity(points))
    first, *_ = results["findings"]
    assert "6 of image and 3 of text" in first
    assert all(word in first for word in ("recall", "gap", "alignment", "temperature", "shifts"))
    assert {path.stem for path in (tmp_path / "out" / "figures").iterdir()} == {"cosines"}


def test_two_files_are_two_modalities_under_their_own_names(tmp_path, images, texts):
    np.save(tmp_path / "photos.npy", images)
    np.save(tmp_path / "captions.npy", texts)
    results = diagnosed(tmp_path, tmp_path / "photos.npy", tmp_path / "captions.npy")
    assert set(results["rows"][0]) == {"measure", "photos", "captions"}


def test_one_size_is_diagnosed_in_full_from_every_kind_of_file(tmp_path, images, same):
    np.save(tmp_path / "stacked.npy", np.stack([images, same]))
    np.savez(tmp_path / "pairs.npz", image=images, text=same)
    np.save(tmp_path / "image.npy", images)
    np.save(tmp_path / "text.npy", same)
    kinds = ["stacked.npy"], ["pairs.npz"], ["image.npy", "text.npy"]
    found = [
        diagnosed(tmp_path, *[tmp_path / file for file in files], "--names", "image", "text")
        for files in kinds
    ]
    assert len(found[0]["findings"]) == 6
    assert set(found[0]["rows"][0]) == {"measure", "image", "text", "both"}
    for other in found[1:]:
        assert other["rows"] == found[0]["rows"]
        assert other["findings"] == found[0]["findings"]


def test_names_pick_the_arrays_of_these_names(tmp_path, images, texts):
    np.savez(tmp_path / "pairs.npz", text=texts, image=images)
    results = diagnosed(tmp_path, tmp_path / "pairs.npz", "--names", "image", "text")
    assert "6 of image and 3 of text" in results["findings"][0]
    results = diagnosed(tmp_path, tmp_path / "pairs.npz", "--names", "caption", "photo")
    assert "3 of caption and 6 of photo" in results["findings"][0]


def test_wrong_files_of_two_modalities_are_one_clear_line(
    tmp_path, images, texts, fails, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", images)
    np.save("few.npy", texts[:5])
    np.savez("pairs.npz", image=images, text=texts)
    np.savez("three.npz", a=images, b=texts, c=texts)
    np.savez("flat.npz", a=images, b=texts[:, 0])
    np.savez("whole.npz", a=images, b=texts.astype(int))
    np.savez("nan.npz", a=images, b=texts * np.nan)
    np.savez("objects.npz", a=images, b=np.array([{}], object))
    (tmp_path / "broken.npz").write_bytes(b"PK broken")
    with zipfile.ZipFile("other.npz", "w") as archive:
        archive.writestr("a/data.pkl", b"of torch.save")
    wrong = [
        (["image.npy", "few.npy"], "image [40, 6], few [5, 3]; give as many rows of each"),
        (["image.npy", "bundled"], "give one model, or two .npy files"),
        (["image.npy", "none.npy"], "MODEL none.npy: no such file"),
        (["image.npy"], "name the other modality's file after it"),
        (["three.npz"], "a [40, 6], b [40, 3], c [40, 3]; give two arrays"),
        (["flat.npz"], "a [40, 6], b [40]; give two arrays"),
        (["whole.npz"], "b holds int64, not floats"),
        (["nan.npz"], "NaN or infinities"),
        (["objects.npz"], "pickled objects are not read"),
        (["broken.npz"], "no whole arrays"),
        (["other.npz"], "no whole arrays"),
        (["none.npz"], "MODEL none.npz: no such file"),
        (["pairs.npz", "--scale", "3"], "no common temperature"),
        (["pairs.npz", "--pairs", "goto"], "leave --pairs out"),
        (["pairs.npz", "--names", "a", "a"], "two names"),
        (["pairs.npz", "--names", "both", "a"], "two names"),
        (["pairs.npz", "--names", "text", "photo"], "the arrays are image and text; give these"),
        (["pairs.npz", "--names", "image"], "--names takes 2 values"),
        (["bundled", "--pairs", "goto", "--names", "a", "b"], "--names is for .npy files"),
    ]
    for arguments, words in wrong:
        assert words in fails("diagnose", *arguments), arguments


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path, images, texts):
    for folder, array in (("a", images), ("b", texts)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "embeddings.npy", array)
    paths = [tmp_path / folder / "embeddings.npy" for folder in "ab"]
    found = read_modalities(paths, "MODEL")
    assert [list(points.shape) for points in found.values()] == [[40, 6], [40, 3]]
    with pytest.raises(ConfigError, match="give two arrays"):
        read_modalities(paths[:1] * 2, "MODEL")
