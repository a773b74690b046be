"""A folder that is no data set is told by what lies near its top, not by all that is below it."""

import pytest

from langrl.data.recordings.reading import read_recording
from langrl.errors import TrajectoryError


def test_a_folder_is_not_searched_to_its_depths(tmp_path):
    (tmp_path / "a" / "b" / "c" / "d").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "d" / "0.arrow").touch()
    with pytest.raises(TrajectoryError, match="no data set of Minari") as caught:
        read_recording(tmp_path)
    assert "Arrow" not in str(caught.value)


@pytest.mark.parametrize("at", ["", "0", "data", "data/0"])
def test_arrow_files_are_told_where_minari_writes_them(at, tmp_path):
    (tmp_path / at).mkdir(parents=True, exist_ok=True)
    (tmp_path / at / "part.arrow").touch()
    with pytest.raises(TrajectoryError, match="data_format='hdf5'"):
        read_recording(tmp_path)
