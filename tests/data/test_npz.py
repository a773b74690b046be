"""Files that claim more than they hold are refused before anything of that size is made."""

import io
import zipfile

import numpy as np
import pytest

from langrl.data.npz import check_npz
from langrl.data.recordings.reading import read_recording
from langrl.data.trajectories import load_trajectories
from langrl.errors import ConfigError, TrajectoryError
from langrl.evaluation.embedding_files import read_modalities

READERS = {
    "trajectories": (lambda path: load_trajectories(path, 2, 2), TrajectoryError),
    "recording": (read_recording, TrajectoryError),
    "embeddings": (lambda path: read_modalities([path], "--model"), ConfigError),
}


def header(shape, dtype="<f4"):
    stream = io.BytesIO()
    about = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def write(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def claims_tebibytes(path):
    few = np.zeros(4, np.float32).tobytes()
    return write(path, {name: header((1 << 40, 2)) + few for name in ("observations", "actions")})


def bomb(path):
    content = header((100 << 20, 1)) + bytes(400 << 20)
    return write(path, {"observations": content})


@pytest.mark.parametrize("forge", [claims_tebibytes, bomb])
@pytest.mark.parametrize("name", READERS)
def test_a_file_that_claims_more_than_it_holds_is_refused(name, forge, tmp_path):
    read, error = READERS[name]
    path = forge(tmp_path / "forged.npz")
    assert path.stat().st_size < 1 << 20
    with pytest.raises(error, match=str(path)):
        read(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_plain_files_are_taken(save, tmp_path):
    arrays = {
        "observations": np.zeros((5000, 29), np.float32),
        "terminals": np.zeros(5000, bool),
        "empty": np.zeros((0, 3)),
        "scalar": np.array(3),
    }
    save(tmp_path / "plain.npz", **arrays)
    check_npz(tmp_path / "plain.npz")
