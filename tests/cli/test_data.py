import numpy as np
import pytest
from command_line import read_results, run_langrl
from PIL import Image
from stand_in_maze import StandInMaze

from langrl.data.recordings import making

LAST = np.array([0, 0, 1, 0, 0, 1], bool)
POSITIONS = np.arange(12.0).reshape(6, 2)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, observations=POSITIONS, actions=np.zeros((6, 2)), terminals=LAST)
    return path


def test_a_file_is_described_on_the_terminal_in_results_and_in_figures(file, tmp_path, capsys):
    out = tmp_path / "out"
    assert run_langrl("data", "describe", file, "--out", out) == 0
    told = capsys.readouterr().out
    for words in ("mine.npz", "ogbench", "trajectories", "ended by time", "observation", "2.828"):
        assert words in told
    found = read_results(out)
    assert found["command"] == f"langrl data describe {file} --out {out}"
    rows = {row["measure"]: row["value"] for row in found["rows"]}
    assert (rows["trajectories"], rows["states"]) == (2, 6)
    assert [row["max"] for row in found["numbers"]] == [10, 11, 0, 0]
    images = {path.stem: path for path in (out / "figures").glob("*.png")}
    assert set(images) == {"lengths", "visits"}
    assert all(np.asarray(Image.open(path).convert("L")).std() > 5 for path in images.values())


def test_without_out_results_go_to_a_folder_of_their_own(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_langrl("data", "describe", "mine.npz") == 0
    assert run_langrl("data", "describe", "mine.npz") == 0
    folders = tmp_path / "runs" / "data"
    assert {path.name for path in folders.iterdir()} == {"mine", "mine-2"}


def test_observations_of_one_number_have_no_map(tmp_path):
    path, out = tmp_path / "one.npz", tmp_path / "out"
    np.savez(path, observations=POSITIONS[:, :1], actions=np.zeros((6, 1)), terminals=LAST)
    assert run_langrl("data", "describe", path, "--out", out) == 0
    assert [path.stem for path in (out / "figures").iterdir()] == ["lengths"]


def test_whether_a_file_fits_an_environment_is_said(file, tmp_path, capsys):
    fork = "langrl/StreetMaze-Fork-v0"
    command = ("data", "describe", file, "--env", fork, "--out", tmp_path / "out")
    assert run_langrl(*command) == 0
    rows = {row["measure"]: row["value"] for row in read_results(tmp_path / "out")["rows"]}
    assert rows["fits the environment"] == fork
    arrays = {"observations": np.ones((6, 3)), "actions": np.zeros((6, 2)), "terminals": LAST}
    np.savez(file, **arrays)
    capsys.readouterr()
    assert run_langrl(*command) == 2
    told = capsys.readouterr().err
    assert f"{file} does not fit {fork}: recorded observations have 3 numbers, and those" in told
    assert run_langrl("data", "describe", file, "--env", "langrl/Nothing-v0") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "none.npz"], "none.npz: no such file or folder; check the path"),
        (["describe", "bad.npz"], "bad.npz: the file is empty"),
        (["describe", "mine.npz", "--goal-columns", "-1"], "--goal-columns"),
        (["describe"], "PATH"),
        (["mak"], "no command under 'langrl data' named 'mak'; did you mean 'make'?"),
        (["make", "ogbench/pointmaze-medium-navigate"], "--out"),
        (["make", "pointmaze-tiny", "--out", "a.npz"], "no data set that can be made named"),
        (["make", "ogbench/pointmaze-large-stitch", "--out", "mine.npz"], "there is such a file"),
        (["make", "ogbench/pointmaze-large-stitch", "--out", "a.npz", "--episodes", "0"], "--epis"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.npz").touch()
    assert run_langrl("data", *arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("langrl: error: ")
    assert told.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(making, "make_env", lambda recipe: StandInMaze())
    monkeypatch.setattr(making, "check_extra", lambda *_: None)


@pytest.mark.usefixtures("stand_in")
def test_a_data_set_is_made_and_what_it_is_is_said(tmp_path, capsys):
    out = tmp_path / "stitch.npz"
    command = ("data", "make", "ogbench/pointmaze-medium-stitch", "--out", out, "--episodes", 10)
    assert run_langrl(*command, "--workers", 1) == 0
    told = capsys.readouterr().out
    assert "same distribution as the published files, not the same bits" in " ".join(told.split())
    assert out.is_file()
    assert (tmp_path / "stitch-val.npz").is_file()


@pytest.mark.usefixtures("stand_in")
def test_an_interruption_says_that_the_same_command_goes_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "run_jobs", interrupted)
    command = ("data", "make", "ogbench/pointmaze-medium-stitch", "--out", tmp_path / "a.npz")
    assert run_langrl(*command) == 130
    assert "the same command goes on" in capsys.readouterr().out
