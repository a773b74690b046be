"""Goal-reaching runs through the command line: what they leave, and going on with them."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from command_line import read_results, run_langrl
from small_goal_runs import MAZE, TINY, merged, metrics_of, resumes_exactly, tiny, write_line
from toy_goal_worlds import Line

from langrl.checkpoint import best_folder, find_checkpoint, read_checkpoint, weights_digest
from langrl.errors import CheckpointError, NonFiniteError
from langrl.tasks.loading import agents_of
from langrl.tasks.run import build_run, resume_run, train_run
from langrl.training.logs import TIMES, read_metrics

GROUNDED = {"log_sum_exp", "sampled_goal", "nearest_goal", "max_goal", "random"}
METHODS = {"goals": {"given goals", "random"}, "instructions": GROUNDED}


def write_config(path, *changes):
    values = TINY
    for change in changes:
        values = merged(values, change)
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def maze(tmp_path_factory):
    """A run in a street maze, to be read only; its words are learned."""
    folder = tmp_path_factory.mktemp("maze")
    keep = {"logging": {"keep": 1}, "words": {"steps": 5}}
    config = write_config(folder / "tiny.yaml", MAZE, {"actor": {"kind": "compare"}}, keep)
    assert run_langrl("train", "--config", config, "--out", folder / "run") == 0
    return folder / "run"


def test_a_run_leaves_what_every_run_leaves(maze):
    results = read_results(maze)
    found = {}
    for row in results["rows"]:
        found.setdefault(row["task"], set()).add(row["method"])
        assert 0 <= row["success"] <= 1
        assert row["episodes"] == 4
    assert found == METHODS
    assert results["config"]["env"] == "langrl/StreetMaze-Fork-v0"
    assert {path.name for path in (maze / "figures").iterdir()} == {"posterior.png", "training.png"}
    assert (maze / "figures" / "posterior.png").stat().st_size > 5000


def test_steps_seconds_and_success_are_logged(maze):
    records = metrics_of(maze)
    steps = [record["step"] for record in records]
    assert steps == [2, 4, 6, 8, 10]
    assert [record["collect/env_steps"] for record in records] == [48, 56, 64, 72, 80]
    evaluated = [r["step"] for r in records if "evaluation/success" in r]
    assert evaluated == [4, 8]  # every 16 steps of environments: two rounds of two updates
    seconds = [record["seconds"] for record in read_metrics(maze / TIMES)]
    assert [record["step"] for record in read_metrics(maze / TIMES)] == steps
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_only_the_newest_checkpoint_is_kept_and_the_best_one(maze):
    names = {path.name for path in (maze / "checkpoints").iterdir()}
    assert names == {"step-10", "best"}
    stored = read_checkpoint(best_folder(maze))
    success = {
        record["step"]: record["evaluation/success"]
        for record in metrics_of(maze)
        if "evaluation/success" in record
    }
    state, best = stored.documents["state"], max(success.values())
    assert state["step"] == next(step for step, value in success.items() if value == best)
    assert set(stored.tensors) == {"weights", "goals"}


def test_the_best_checkpoint_is_evaluated(maze, tmp_path):
    arguments = ["--episodes", 2, "--methods", "random", "--kinds", "row", "--out", tmp_path / "e"]
    assert run_langrl("evaluate", best_folder(maze), *arguments) == 0
    assert {row["method"] for row in read_results(tmp_path / "e")["rows"]} == {"random"}
    last, best = agents_of(maze), agents_of(best_folder(maze))
    assert last.description == best.description


def test_a_text_is_followed_in_a_maze(maze, tmp_path, capsys):
    text = "go to row 3"
    out = tmp_path / "told"
    arguments = ["--instruction", text, "--episodes", 3, "--out", out]
    assert run_langrl("evaluate", maze, *arguments) == 0
    rows = read_results(out)["rows"]
    assert {row["method"] for row in rows} == GROUNDED
    assert {row["instruction"] for row in rows} == {text}
    assert (out / "figures" / "instruction.png").stat().st_size > 5000
    said = " ".join(capsys.readouterr().out.split())
    assert f"'{text}' denotes" in said
    assert "% of the goals that were achieved in training" in said


@pytest.mark.usefixtures("blank_images")
def test_a_text_is_followed_in_a_world_of_a_user(tmp_path, capsys):
    module = ["--import-module", "toy_goal_worlds"]
    config = write_config(tmp_path / "tiny.yaml", {"logging": {"checkpoint_every": 100}})
    run, out = tmp_path / "run", tmp_path / "told"
    assert run_langrl("train", *module, "--config", config, "--out", run) == 0
    found = {(row["task"], row["method"]) for row in read_results(run)["rows"]}
    assert found == {(task, method) for task, methods in METHODS.items() for method in methods}
    text = "go to the far right"
    arguments = ["--instruction", text, "--episodes", 4, "--out", out]
    assert run_langrl("evaluate", run, *arguments) == 0
    assert {row["method"] for row in read_results(out)["rows"]} == GROUNDED
    assert f"'{text}' denotes" in capsys.readouterr().out
    drawn = ["--episodes", 4, "--methods", "nearest_goal", "--out", tmp_path / "drawn"]
    assert run_langrl("evaluate", run, *drawn) == 0
    rows = read_results(tmp_path / "drawn")["rows"]
    assert {row["kind"] for row in rows} == {"half", "end", "middle", "either"}  # of one axis
    # A type that every start satisfies is a row of no episodes, and no error.
    assert all((row["episodes"] == 0) == (row["success"] is None) for row in rows)


COMPARE = {"actor": {"kind": "compare"}}
ENGINES = {
    "sync": [],
    "sync compare": [COMPARE],
    "array": [MAZE],
    "array compare": [MAZE, COMPARE],
    "mapped": [{"replay": {"memory_map": True}}],
}


@pytest.mark.parametrize("changes", ENGINES.values(), ids=ENGINES)
def test_a_run_that_was_cut_off_goes_on_bit_for_bit(changes, tmp_path):
    # A round has two updates: step 3 is in the middle of it, and of episodes.
    resumes_exactly(tiny(*changes), tmp_path, step=3)


def test_episodes_are_in_their_middle_where_runs_are_cut_off(tmp_path):
    train_run(tiny(), tmp_path / "run", "train")
    state = read_checkpoint(tmp_path / "run" / "checkpoints" / "step-3").tensors["experience"]
    assert state["counters"].tolist() == [42, 1, 1]  # steps, batches left of the round, begun
    assert any("engine" in name for name in state)


def test_the_arrays_are_in_files_where_that_is_asked_for(tmp_path):
    run, _ = train_run(tiny({"replay": {"memory_map": True}}), tmp_path / "mapped", "train")
    files = {path.name for path in (tmp_path / "mapped" / "replay").iterdir()}
    assert {"observation.bin", "achieved.bin", "action.bin"} <= files
    actions = run.replay._arrays["action"].numpy()
    stored = np.fromfile(tmp_path / "mapped" / "replay" / "action.bin", np.float32)
    assert np.array_equal(stored, actions.ravel())
    assert np.any(stored)
    other, _ = train_run(tiny(), tmp_path / "plain", "train")
    assert not (tmp_path / "plain" / "replay").exists()
    digests = [weights_digest(each.learner.state()["weights"]) for each in (run, other)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("kind", ["actor", "compare"])
def test_random_features_come_back_from_a_checkpoint(kind, tmp_path):
    features = {"random_features": 5, "feature_length": 0.5}
    config = tiny({"critic": features, "actor": {**features, "kind": kind}})
    run, _ = train_run(config, tmp_path / "run", "train")
    stored = read_checkpoint(find_checkpoint(tmp_path / "run")).tensors["weights"]
    frequencies = [name for name in stored if name.endswith("frequencies")]
    assert len(frequencies) == (2 if kind == "compare" else 4)
    fresh = build_run(config, tmp_path / "fresh").learner.state()["weights"]
    assert all(torch.equal(fresh[name], stored[name]) for name in frequencies)  # not trained
    generator = np.random.default_rng(0)
    seen = {
        "observation": generator.normal(size=(9, 3)),
        "desired_goal": generator.normal(size=(9, 1)),
    }
    loaded = agents_of(tmp_path / "run")
    assert np.array_equal(loaded.policy(True)(seen), run.agent.policy(True)(seen))
    arrays = [np.float32(array) for array in seen.values()]
    energies = [
        each.critic.score(
            each.critic.join(each.critic.read(torch.tensor(arrays[0])), torch.zeros(9, 2)),
            each.critic.goal(torch.tensor(arrays[1])),
        )
        for each in (loaded, run.agent)
    ]
    assert torch.equal(*energies)


# -- recorded data ----------------------------------------------------------------------------


def recorded(path, **changes):
    data = {"file": str(path), "goal_columns": [2], **changes}
    return {"data": data, "evaluation": {"every": 3}}


def test_an_agent_of_recorded_data_goes_on_by_acting(tmp_path, capsys):
    config = write_config(tmp_path / "tiny.yaml", {"evaluation": {"methods": "none"}})
    file = write_line(tmp_path / "line.npz")
    first, second = tmp_path / "first", tmp_path / "second"
    flags = ["--config", config, "--data", file, "--data.goal-columns", 2]
    assert run_langrl("train", *flags, "--out", first) == 0
    assert find_checkpoint(first).name == "step-6"
    assert "collect/env_steps" not in metrics_of(first)[-1]
    acting = ["train", "--start", first, "--data.file", "None", "--out", second]
    assert run_langrl(*acting) == 0
    assert metrics_of(second)[-1]["collect/env_steps"] == 60
    stored = [json.loads((find_checkpoint(run) / "agent.json").read_text())
              for run in (first, second)]  # fmt: skip
    assert stored[0]["critic"] == stored[1]["critic"]  # also how inputs are scaled


def test_acting_begins_with_the_weights_of_recorded_data(tmp_path):
    file = write_line(tmp_path / "line.npz")
    first, _ = train_run(tiny(recorded(file)), tmp_path / "first", "train")
    config = tiny({"start": str(tmp_path / "first")})
    begun = build_run(config, tmp_path / "second")
    begun.begin()
    before, after = (run.learner.state()["weights"] for run in (first, begun))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert begun.learner.step == 0


def test_a_run_that_started_from_another_goes_on_when_that_is_gone(tmp_path):
    file = write_line(tmp_path / "line.npz")
    train_run(tiny(recorded(file)), tmp_path / "first", "train")
    config = tiny({"start": str(tmp_path / "first")})
    train_run(config, tmp_path / "second", "train")
    whole = read_checkpoint(find_checkpoint(tmp_path / "second"))
    shutil.rmtree(tmp_path / "second" / "checkpoints" / "step-10")
    shutil.rmtree(tmp_path / "first")
    run, _ = resume_run(tmp_path / "second", "resume")
    assert weights_digest(run.learner.state()["weights"]) == weights_digest(
        whole.tensors["weights"]
    )


def test_recorded_runs_go_on_bit_for_bit(tmp_path):
    file = write_line(tmp_path / "line.npz")
    loops = recorded(file, loop_radius=0.5, mean_actions=True)
    resumes_exactly(tiny(loops), tmp_path, step=3)


def test_other_data_are_not_gone_on_with(tmp_path):
    file = write_line(tmp_path / "line.npz")
    train_run(tiny(recorded(file)), tmp_path / "run", "train")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-6")
    write_line(file, seed=1)
    # Inputs are scaled by the data.
    with pytest.raises(CheckpointError, match=r"critic is another one|trained on other data"):
        resume_run(tmp_path / "run", "resume")


# -- NaN ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["actor", "compare"])
def test_nan_of_the_environment_stops_the_run_before_a_weight_changes(kind, monkeypatch, tmp_path):
    steps = []
    step = Line.step

    def broken(self, action):
        observed, *others = step(self, action)
        steps.append(0)
        if len(steps) == 2000 + 50:  # after those that say how large numbers are
            observed["observation"][2] = np.nan
        return observed, *others

    config = tiny({"actor": {"kind": kind}, "evaluation": {"every": 0}})
    run = build_run(config, tmp_path)
    steps.clear()
    steps += [0] * 2000
    monkeypatch.setattr(Line, "step", broken)
    digests = []

    def update():
        run.learner.update(run.learner.batch())
        digests.append(weights_digest(run.learner.state()["weights"]))

    while len(steps) < 2000 + 45:
        update()
    with pytest.raises(NonFiniteError, match=r"environment \d shows NaN or inf as its observation"):
        [update() for _ in range(config.last_step)]
    assert run.learner.step == len(digests) < config.last_step
    assert weights_digest(run.learner.state()["weights"]) == digests[-1]


def test_nan_of_the_environment_is_one_line(monkeypatch, tmp_path, fails):
    reset = Line.reset

    def broken(self, **options):
        observed, info = reset(self, **options)
        observed["achieved_goal"][:] = np.inf
        return observed, info

    config = write_config(tmp_path / "tiny.yaml")
    monkeypatch.setattr(Line, "reset", broken)
    error = fails("train", "--config", config, "--out", tmp_path / "out")
    assert "NaN or inf" in error
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_nan_in_data_is_one_line(tmp_path, fails):
    observations = np.zeros((48, 3))
    observations[5, 1] = np.nan
    file = write_line(tmp_path / "line.npz", observations=observations)
    config = write_config(tmp_path / "tiny.yaml")
    error = fails("train", "--config", config, "--data", file, "--out", tmp_path / "out")
    assert f"{file}: observations[5] is not finite" in error
    assert not (tmp_path / "out").exists()
