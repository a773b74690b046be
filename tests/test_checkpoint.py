import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from langrl.checkpoint import (
    MANIFEST,
    Checkpoint,
    digest,
    file_digest,
    find_checkpoint,
    read_checkpoint,
    step_folder,
    weights_digest,
    write_atomically,
    write_checkpoint,
)
from langrl.errors import CheckpointError

FILES = ["agent.json", "state.json", "weights.safetensors", "optimizer.safetensors"]


def sample(step=3):
    return Checkpoint(
        documents={"agent": {"name": "é", "sizes": [1, 2]}, "state": {"step": step, "none": None}},
        tensors={
            "weights": {
                "transposed": torch.arange(6.0).reshape(2, 3).T,
                "parameter": torch.nn.Parameter(torch.tensor([0.1, step])),
                "scalar": torch.tensor(1.5),
            },
            "optimizer": {"step": torch.tensor(step), "generator": torch.arange(9).byte()},
        },
    )


def same(left, right):
    return left.documents == right.documents and all(
        left.tensors[file][key].dtype == right.tensors[file][key].dtype
        and torch.equal(left.tensors[file][key], right.tensors[file][key])
        for file in left.tensors.keys() | right.tensors.keys()
        for key in left.tensors[file].keys() | right.tensors[file].keys()
    )


@pytest.fixture
def folder(tmp_path):
    write_checkpoint(tmp_path / "saved", sample())
    return tmp_path / "saved"


def rewrite_manifest(folder, **changes):
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_documents_and_tensors_come_back_as_they_were(folder):
    assert same(read_checkpoint(folder), sample())


def test_nothing_in_the_folder_is_pickle(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, MANIFEST])
    for path in folder.iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text())
        else:
            content = path.read_bytes()  # safetensors: the header's length, then JSON
            json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, 1], ids=["first", "middle", "last"])
def test_a_flipped_bit_is_refused_by_file_name(folder, name, place):
    content = bytearray((folder / name).read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_truncated_file_is_refused_by_name(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(folder)


def test_no_flipped_bit_of_the_manifest_changes_what_is_read(folder):
    content = (folder / MANIFEST).read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        (folder / MANIFEST).write_bytes(damaged)
        try:
            read = read_checkpoint(folder)
        except CheckpointError:
            continue
        assert same(read, sample()), place


@pytest.mark.parametrize(
    "manifest",
    [
        "null",
        "[]",
        "1",
        "{}",
        '{"format": 1}',
        '{"format": 1, "sha256": "abc"}',
        '{"format": 1, "sha256": [[1, 2]]}',
        '{"format": 1, "sha256": {"agent.json": 5}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_a_manifest_that_is_no_manifest_is_refused(folder, manifest):
    (folder / MANIFEST).write_text(manifest)
    with pytest.raises(CheckpointError):
        read_checkpoint(folder)


def test_another_format_asks_for_another_version(folder):
    rewrite_manifest(folder, format=99)
    with pytest.raises(CheckpointError, match=r"format 99.*version"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", ["../x.json", "/tmp/x.json", "sub/x.json", "..", "", "x.pkl", "x"])
def test_a_manifest_that_leaves_its_folder_is_refused(folder, name):
    rewrite_manifest(folder, sha256={name: "0" * 64})
    with pytest.raises(CheckpointError, match="no part of a checkpoint"):
        read_checkpoint(folder)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        read_checkpoint(tmp_path / "nowhere")


def test_overwriting_leaves_nothing_of_the_old_checkpoint(folder):
    new = Checkpoint({"other": 1}, {"only": {"x": torch.ones(2)}})
    write_checkpoint(folder, new)
    assert same(read_checkpoint(folder), new)
    assert {path.name for path in folder.iterdir()} == {"other.json", "only.safetensors", MANIFEST}
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]


def test_what_a_killed_writer_left_is_replaced(tmp_path):
    leftover = tmp_path / ".saved.writing"
    leftover.mkdir()
    (leftover / "stale.json").write_text("{")
    write_checkpoint(tmp_path / "saved", sample())
    assert same(read_checkpoint(tmp_path / "saved"), sample())
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(folder):
    with pytest.raises(TypeError):
        write_checkpoint(folder, Checkpoint({"agent": object()}, {}))
    assert same(read_checkpoint(folder), sample())


def test_a_full_disk_is_an_error_of_the_file(folder, monkeypatch):
    def full(*arguments):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match=r"No space left on device: .*weights\.safetensors"):
        write_checkpoint(folder, sample())
    monkeypatch.undo()
    assert same(read_checkpoint(folder), sample())


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: .*report\.html"):
        write_atomically(tmp_path / "report.html", "text")


class Killed(BaseException):
    pass


class Fuse:
    """Raises Killed at the n-th operation on files, and at every later one."""

    operations = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree")

    def __init__(self):
        self.left = None
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if self.left is None or event not in self.operations:
            return
        if self.left == 0:
            raise Killed
        self.left -= 1


@pytest.fixture(scope="module")
def fuse():
    return Fuse()


def test_a_writer_killed_anywhere_leaves_the_old_checkpoint_the_new_one_or_none(tmp_path, fuse):
    folder = tmp_path / "saved"
    for operations in range(1000):
        write_checkpoint(folder, sample(1))
        fuse.left = operations
        try:
            write_checkpoint(folder, sample(2))
        except Killed:
            finished = False
        else:
            finished = True
        finally:
            fuse.left = None
        if folder.exists():
            read = read_checkpoint(folder)
            assert same(read, sample(1)) or same(read, sample(2))
        if finished:
            break
    assert operations > 10
    assert same(read_checkpoint(folder), sample(2))


def test_the_numerically_newest_step_is_found(tmp_path):
    for step in (9, 100, 20):
        write_checkpoint(step_folder(tmp_path, step), sample(step))
    (tmp_path / "checkpoints" / ".step-500.writing").mkdir()
    (tmp_path / "checkpoints" / "step-best").mkdir()
    assert find_checkpoint(tmp_path) == step_folder(tmp_path, 100)
    assert read_checkpoint(find_checkpoint(tmp_path)).documents["state"]["step"] == 100


def test_a_checkpoint_folder_is_found_as_itself(folder):
    assert find_checkpoint(folder) == folder


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_without_checkpoints_is_refused(tmp_path, name):
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        find_checkpoint(tmp_path / name)


# -- digests and single files ----------------------------------------------------------------


def test_a_digest_is_that_of_all_bytes_in_order():
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    expected = hashlib.sha256(array.tobytes() + b"text").hexdigest()
    assert digest(array, b"text") == expected
    assert digest(np.asfortranarray(array), b"text") == expected
    assert digest(array[::-1][::-1], b"te", b"xt") == expected
    assert digest(b"text", array) != expected
    assert digest() == hashlib.sha256().hexdigest()


def test_a_digest_of_weights_depends_on_names_and_values_and_not_on_their_order():
    one, two = torch.ones(2, 3).T, torch.zeros((), requires_grad=True)
    content = b"a" + one.contiguous().numpy().tobytes() + b"b" + two.detach().numpy().tobytes()
    assert weights_digest({"b": two, "a": one}) == hashlib.sha256(content).hexdigest()
    assert weights_digest({"a": one, "c": two}) != weights_digest({"a": one, "b": two})


@pytest.mark.parametrize("content", ["caf\u00e9\n", b"\x00\xff"], ids=["text", "bytes"])
def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path, content):
    path = tmp_path / "file"
    path.write_text("old")
    write_atomically(path, content)
    expected = content.encode() if isinstance(content, str) else content
    assert path.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [path]
    assert file_digest(path) == digest(expected)


def test_a_write_that_is_cut_off_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def cut_off(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("langrl.checkpoint._flush", cut_off)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_atomically(path, "newer")
    assert path.read_text() == "newer"


def test_reading_folders_and_logs_imports_no_torch():
    code = "import sys, langrl.checkpoint, langrl.training.logs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
