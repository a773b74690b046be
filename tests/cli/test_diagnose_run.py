"""``langrl diagnose RUN``: the critics of runs, on held-out trajectories."""

import shutil

import numpy as np
import pytest
from command_line import read_results, run_langrl
from PIL import Image
from small_goal_runs import tiny, write_line

from langrl.checkpoint import find_checkpoint, read_checkpoint
from langrl.tasks.goal_reaching import probe
from langrl.tasks.run import train_run


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run on recorded data that goes by waypoints, and a file of other trajectories."""
    folder = tmp_path_factory.mktemp("recorded")
    file, other = write_line(folder / "line.npz"), write_line(folder / "line-val.npz", count=9)
    data = {"data": {"file": str(file), "goal_columns": [2]}}
    train_run(tiny(data, {"grounding": {"waypoints": 12}}), folder / "run", "command")
    return folder / "run", other


@pytest.fixture(scope="module")
def acted(tmp_path_factory):
    """A run that has acted on the line."""
    folder = tmp_path_factory.mktemp("acted") / "run"
    train_run(tiny(), folder, "command")
    return folder


def diagnosed(run, folder, *flags):
    out = folder / "out"
    assert run_langrl("diagnose", run, "--count", 30, "--out", out, *flags) == 0
    return read_results(out)


def test_a_critic_of_a_maze_is_measured_on_shortest_paths(small_run, tmp_path, capsys):
    found = diagnosed(small_run("maze"), tmp_path)
    told = capsys.readouterr().out
    assert "shortest paths over the cells of the maze (exact)" in told
    assert len(found["findings"]) == 5
    assert set(found["rows"][0]) == {"cutoff", "edges", "false_share", "reachable"}
    assert set(found["distances"][0]) == {"from", "to", "pairs", "low", "median", "high"}
    assert sum(row["pairs"] for row in found["distances"]) == 30 * 29
    assert sum(row["observed"] for row in found["calibration"]) == pytest.approx(1)
    steps = [row["to"] for row in found["distances"]]
    assert max(steps) >= 16  # of the 10 x 10 cells, two steps each
    assert found["cutoff"] > 0
    assert found["horizon"] > 1
    image = np.asarray(Image.open(tmp_path / "out" / "figures" / "distances.png").convert("L"))
    assert image.std() > 5


def test_the_seed_decides_what_is_looked_at(small_run, tmp_path):
    run, found = small_run("maze"), []
    for seed in (0, 0, 1):
        found.append(diagnosed(run, tmp_path, "--seed", seed))
    assert found[0]["rows"] == found[1]["rows"] != found[2]["rows"]


def test_trajectories_of_ones_own_can_be_given_in_a_maze(small_run, tmp_path, fails):
    line = np.stack([np.full(40, 0.5), np.linspace(0.5, 9.5, 40)], 1).astype(np.float32)
    file = tmp_path / "line.npz"
    arrays = {"actions": np.zeros_like(line), "terminals": np.arange(40) == 39}
    np.savez(file, observations=line, **arrays)
    found = diagnosed(small_run("maze"), tmp_path, "--data", file)
    assert max(row["to"] for row in found["distances"]) == 32  # nine cells, two steps each
    np.savez(file, observations=line + 100, **arrays)
    assert "in a wall of the run's maze" in fails("diagnose", small_run("maze"), "--data", file)


def test_the_file_beside_the_data_is_held_out(recorded, tmp_path, monkeypatch, capsys):
    run, other = recorded
    read = []
    reading = probe.read_recording
    monkeypatch.setattr(probe, "read_recording", lambda path: read.append(path) or reading(path))
    found = diagnosed(run, tmp_path)
    assert read == [other]
    assert "the fewest over joined trajectories (upper bounds)" in found["findings"][0]
    apart = tmp_path / "apart"
    shutil.copytree(run, apart)
    text = (apart / "config.yaml").read_text().replace("line.npz", "line-val.npz")
    (apart / "config.yaml").write_text(text)
    diagnosed(apart, tmp_path)  # whose data have none beside them
    assert "trajectories are those of training" in " ".join(capsys.readouterr().out.split())


def test_a_run_with_waypoints_stores_the_cutoff(recorded, acted, tmp_path):
    stored = read_checkpoint(find_checkpoint(recorded[0])).tensors["goals"]
    assert stored["cutoff"].shape == ()
    assert stored["cutoff"] > 0
    assert "cutoff" not in read_checkpoint(find_checkpoint(acted)).tensors["goals"]
    train_run(tiny({"grounding": {"waypoints": 5}}), tmp_path / "run", "command")
    assert "cutoff" in read_checkpoint(find_checkpoint(tmp_path / "run")).tensors["goals"]


def test_an_agent_that_learned_by_acting_acts_again(acted, tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "_ACTED", 600)
    found = diagnosed(acted, tmp_path)
    assert len(found["findings"]) == 5
    again = diagnosed(acted, tmp_path)
    assert again["rows"] == found["rows"]


def test_what_cannot_be_diagnosed_is_one_clear_line(small_run, acted, tmp_path, fails):
    maze = small_run("maze")
    wrong = [
        ([small_run("grid")], "runs of goal-reaching and street-maze"),
        ([maze, "--pairs", "goto"], "--pairs is not for a run that trained an agent"),
        ([maze, "--scale", 2], "--scale is not for a run"),
        (["bundled", "--pairs", "goto", "--data", "x.npz"], "--data is for a run that trained"),
        ([maze, "--data", tmp_path / "none.npz"], "none.npz"),
        ([acted, "--data", tmp_path / "none.npz"], "none.npz"),
    ]
    for arguments, words in wrong:
        assert words in fails("diagnose", *arguments, "--out", tmp_path / "out"), arguments
