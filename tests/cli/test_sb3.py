import json
import shlex
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from command_line import read_results, read_weights, run_langrl
from documents import STORED_CHECKPOINT
from PIL import Image
from safetensors.torch import load_file
from sb3_zips import change_data
from small_runs import CRITICS, PPO, SAC

from langrl.checkpoint import find_checkpoint
from langrl.errors import ConfigError
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.run import resume_run
from langrl.tasks.sb3.config import Sb3RunConfig
from langrl.training.loop import Training

pytest.importorskip("stable_baselines3")


@pytest.fixture(scope="module")
def critics(small_run):
    return small_run("critics")


@pytest.fixture(scope="module")
def runs(small_run):
    """A function from the name of an algorithm to the folder of its small run."""
    return small_run


METHODS = {
    "ppo": {"policy", "nearest_object", "oracle", "random"},
    "dqn": {"max_goal", "sampled_goal", "nearest_object", "oracle", "random"},
    "sac": {
        "direct", "log_sum_exp", "sampled_goal", "nearest_goal", "max_goal", "oracle", "random",
    },
}  # fmt: skip


@pytest.mark.parametrize("algorithm", METHODS)
def test_a_run_of_sb3_leaves_what_every_run_leaves(runs, algorithm):
    run = runs(algorithm)
    rows = {row["method"]: row for row in read_results(run)["rows"]}
    assert set(rows) == METHODS[algorithm]
    assert rows["oracle"]["success"] == 1.0
    for name in ("training.png", "posterior.png"):
        pixels = np.asarray(Image.open(run / "figures" / name).convert("L"))
        assert pixels.std() > 5
    assert list((run / "tensorboard").iterdir())
    assert load_config(str(run / "config.yaml"), Sb3RunConfig).policy.algorithm == algorithm


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_success_by_level_is_recorded_while_a_policy_trains(runs, algorithm):
    run = runs(algorithm)
    during = read_results(run)["during"]
    assert {row["level"] for row in during} == {
        "full", "colour", "type", "any", "negation", "conjunction", "disjunction"
    }  # fmt: skip
    assert len({row["step"] for row in during}) == 2
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("instructions/colour" in record for record in records)
    assert any(name.startswith("train/") for record in records for name in record)


@pytest.mark.sb3_training
@pytest.mark.usefixtures("blank_images")
def test_the_same_config_gives_the_same_policy(runs, tmp_path):
    assert run_langrl("train", *PPO, "--out", tmp_path / "again") == 0
    assert read_weights(tmp_path / "again") == read_weights(runs("ppo"))
    other = [*PPO, "--seed", "1"]
    assert run_langrl("train", *other, "--out", tmp_path / "other") == 0
    assert read_weights(tmp_path / "other") != read_weights(runs("ppo"))


@pytest.mark.usefixtures("blank_images")
@pytest.mark.parametrize(("algorithm", "method"), [("ppo", "policy"), ("dqn", "max_goal")])
def test_a_run_is_evaluated_without_reading_its_pickle(runs, tmp_path, algorithm, method):
    copy = tmp_path / "copy"
    shutil.copytree(runs(algorithm), copy)
    (copy / "policy.zip").unlink()
    arguments = ["--episodes", 2, "--methods", method, "--kinds", "any", "--out", tmp_path / "out"]
    assert run_langrl("evaluate", copy, *arguments) == 0
    rows = read_results(tmp_path / "out")["rows"]
    assert {row["phrasing"] for row in rows} == {"seen", "held_out"}


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_a_typed_text_is_followed(runs, tmp_path, algorithm):
    text = "go to row 3" if algorithm == "sac" else "go to something red"
    arguments = ["--instruction", text, "--episodes", 2, "--out", tmp_path]
    assert run_langrl("evaluate", runs(algorithm), *arguments) == 0
    assert (tmp_path / "figures" / "instruction.png").stat().st_size > 1000


@pytest.mark.usefixtures("blank_images")
def test_a_zip_acts_as_its_run_does_whoever_reads_it(runs, tmp_path):
    run = runs("ppo")
    zipped = ["--policy", run / "policy.zip"]
    rows = []
    for flags in ([], zipped, [*zipped, "--trust-pickle"]):
        out = tmp_path / str(len(rows))
        arguments = ["--episodes", 2, "--kinds", "any", "--methods", "policy", "--out", out]
        assert run_langrl("evaluate", run, *arguments, *flags) == 0
        rows.append(read_results(out)["rows"])
    assert rows[0] == rows[1] == rows[2]


def test_what_only_the_pickle_of_a_zip_says_is_named_with_the_flag(runs, tmp_path, capsys):
    run, copy = runs("ppo"), tmp_path / "other.zip"
    change_data(run / "policy.zip", copy, policy_kwargs={"mine": 1})
    assert run_langrl("evaluate", run, "--policy", copy, "--out", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "'mine' = 1" in told
    assert "--trust-pickle" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.usefixtures("blank_images")
def test_a_run_goes_on_from_its_zip_without_its_pickles(runs, tmp_path, monkeypatch):
    copy = tmp_path / "resumed"
    shutil.copytree(runs("dqn"), copy)
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("steps: 240", "steps: 320"))
    with monkeypatch.context() as patch:
        patch.setattr("cloudpickle.loads", lambda *_: pytest.fail("a pickle was read"))
        assert run_langrl("train", "--resume", copy) == 0
    assert find_checkpoint(copy).name == "step-320"
    steps = [json.loads(line)["step"] for line in (copy / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert {row["step"] for row in read_results(copy)["during"]} == {200, 240, 320}


def test_a_run_of_goals_goes_on_where_no_episode_ends_early(runs, tmp_path):
    copy = tmp_path / "resumed"
    shutil.copytree(runs("sac"), copy)
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("steps: 200", "steps: 260"))
    resume_run(copy, "resumed")  # what `train --resume` does, not evaluated
    assert find_checkpoint(copy).name == "step-260"
    assert read_weights(copy) != read_weights(runs("sac"))  # and it learned


def test_the_zip_loads_with_sb3_itself(runs):
    from stable_baselines3 import PPO as Algorithm

    policy = Algorithm.load(runs("ppo") / "policy.zip", device="cpu")
    stored = load_file(find_checkpoint(runs("ppo")) / "weights.safetensors")
    for name, value in policy.policy.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), stored[name].numpy())


WRONG = {
    "--config sb3-sac-her-street-fork --world langrl/GridGoTo-v0": "sac cannot act",
    "--config sb3-dqn-her-grid-goto --world langrl/StreetMaze-v0": "dqn cannot act",
    "--config sb3-dqn-her-grid-goto --world langrl/GridGoto-v0": "did you mean",
    "--config sb3-sac-her-street-fork --policy.rollout.epochs 5": "no effect on sac",
    "--config sb3-ppo-instruction-grid-goto --policy.replay.size 5000": "no effect on ppo",
    "--config sb3-ppo-instruction-grid-goto --policy.step-cost 1": "no effect on ppo",
    "--config sb3-sac-her-street-fork --policy.replay.kind her"
    " --policy.replay.discount 0.5": "no effect on her",
    "--config sb3-ppo-instruction-grid-goto --encoder frozen": "needs a policy of goals",
    "--config sb3-dqn-her-grid-goto --encoder frozen": "critics",
    "--config sb3-sac-her-street-fork --critics nowhere": "nowhere",
    f"--config sb3-sac-her-street-fork --critics {STORED_CHECKPOINT}": "another maze",
    f"--config sb3-dqn-her-grid-goto --critics {STORED_CHECKPOINT}": "of another world than",
    "--config sb3-dqn-her-grid-goto --language ./no-such-folder": "no-such-folder",
    "--config sb3-dqn-her-grid-goto --policy.algorithm a2c": "a2c",
    "--config sb3-dqn-her-grid-goto --grounding.strategy log_sum_exp": "needs a critic",
    "--config sb3-ppo-instruction-grid-goto --critics nowhere": "critics has no effect on ppo",
    "--config sb3-dqn-her-grid-goto --trust-pickle": "leave the flag out",
    "--config sb3-dqn-her-grid-goto --device cuda:7": "not available",
}


@pytest.mark.parametrize("flags", WRONG)
def test_wrong_flags_are_one_line_that_names_the_repair(flags, tmp_path, capsys):
    assert run_langrl("train", *shlex.split(flags), "--out", tmp_path / "run") == 2
    told = capsys.readouterr().err
    assert WRONG[flags] in told
    assert told.count("\n") == 1
    assert not (tmp_path / "run").exists()  # nothing is left that would have to be cleared away


def test_what_is_wrong_with_a_stored_run_is_named(runs, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(runs("dqn"), copy)
    assert run_langrl("evaluate", copy, "--methods", "log_sum_exp", "--kinds", "any") == 2
    assert "choose one of: sampled_goal, max_goal" in capsys.readouterr().err
    assert run_langrl("evaluate", copy, "--layout", "fork") == 2
    assert "leave the layout out" in capsys.readouterr().err
    (copy / "policy.zip").write_text("no zip")
    config = (copy / "config.yaml").read_text()  # it is not finished
    (copy / "config.yaml").write_text(config.replace("steps: 240", "steps: 320"))
    assert run_langrl("train", "--resume", copy) == 2
    assert "policy.zip" in capsys.readouterr().err
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("width: 16", "width: 24"))
    assert run_langrl("evaluate", copy, "--episodes", 1) == 2
    assert "does not fit" in capsys.readouterr().err
    weights_file = find_checkpoint(copy) / "weights.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:-1] + b"x")
    assert run_langrl("evaluate", copy, "--episodes", 1) == 2
    assert "damaged" in capsys.readouterr().err


def test_sb3_flags_are_refused_for_runs_of_our_own(critics, tmp_path, capsys):
    assert run_langrl("evaluate", critics, "--trust-pickle", "--out", tmp_path) == 2
    assert "no run of Stable-Baselines3" in capsys.readouterr().err
    assert run_langrl("train", "--resume", critics, "--trust-pickle") == 2
    assert "leave the flag out" in capsys.readouterr().err


def test_without_sb3_the_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_langrl("train", *PPO, "--out", tmp_path / "run") == 2
    assert 'pip install "langrl[sb3]"' in capsys.readouterr().err


@pytest.mark.sb3_training
@pytest.mark.usefixtures("blank_images")
def test_frozen_encoders_are_not_in_the_zip_and_must_be_those_of_training(
    critics, tmp_path, capsys
):
    critics_copy = tmp_path / "critics"
    shutil.copytree(critics, critics_copy)
    flags = [*SAC, "--critics", str(critics_copy), "--encoder"]
    sizes = {}
    for encoder in ("frozen", "fine_tuned"):
        folder = tmp_path / encoder
        assert run_langrl("train", *flags, encoder, "--out", folder) == 0
        with zipfile.ZipFile(folder / "policy.zip") as file:
            sizes[encoder] = file.getinfo("policy.pth").file_size
        assert any("trained" in name for name in read_weights(folder)) == (encoder == "fine_tuned")
    assert sizes["frozen"] < sizes["fine_tuned"]
    other = tmp_path / "other"
    assert run_langrl("train", *CRITICS, "--seed", 1, "--out", other) == 0
    frozen = tmp_path / "frozen"
    config = (frozen / "config.yaml").read_text()
    (frozen / "config.yaml").write_text(config.replace(str(critics_copy), str(other)))
    assert run_langrl("evaluate", frozen, "--episodes", 1) == 2
    assert "another encoder" in capsys.readouterr().err
    shutil.rmtree(critics_copy / "checkpoints")
    shutil.copytree(other / "checkpoints", critics_copy / "checkpoints")
    zipped = ["--policy", frozen / "policy.zip", "--trust-pickle", "--episodes", 1]
    assert (
        run_langrl("evaluate", frozen, *zipped) == 2
    )  # it names the folder that it was trained with
    assert "another encoder" in capsys.readouterr().err


def test_a_policy_config_knows_what_fits():
    with pytest.raises(ConfigError, match="step_cost has no effect"):
        load_config_text("policy: {algorithm: ppo, step_cost: 1.0}\nworld: langrl/GridGoTo-v0")


def load_config_text(text):
    from langrl.tasks.presets import parse_config

    return parse_config("task: sb3\n" + text, "test.yaml", Sb3RunConfig)


@pytest.mark.parametrize("cut_off_at", ["before its first step", "between checkpoints"])
def test_a_run_stopped_while_its_language_side_trains_is_resumed(
    critics, cut_off_at, tmp_path, monkeypatch, capsys
):
    tiny = load_config(str(critics / "config.yaml"), MazeRunConfig)
    monkeypatch.setattr("langrl.tasks.sb3.run.load_config", lambda *_: tiny)
    run, train = tmp_path / "run", Training.run

    def stop(self, label):
        if cut_off_at == "between checkpoints":
            replace(self, steps=2).run_before(label)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Training, "run_before", train, raising=False)
        patch.setattr(Training, "run", stop)
        assert run_langrl("train", *SAC, "--out", run) == 130
    assert (run / "critics" / "config.yaml").is_file()
    assert not (run / "policy.zip").exists()
    assert run_langrl("train", "--resume", run) == 0
    assert {row["method"] for row in read_results(run)["rows"]} == METHODS["sac"]
    assert (run / "policy.zip").is_file()
