"""A run goes on with the config that it has now, and says where that is not what it was before."""

import json
import shutil

import pytest
import yaml
from command_line import read_weights
from forged import forge_document

from langrl.checkpoint import find_checkpoint
from langrl.errors import CheckpointError
from langrl.settings import CONFIG_FILE
from langrl.tasks.changes import STORED
from langrl.tasks.run import resume_run


@pytest.fixture
def cut_off(quick_runs, tmp_path):
    """A function from a kind to a copy of a run before its last checkpoint."""

    def copy(kind="maze"):
        run = shutil.copytree(quick_runs(kind), tmp_path / kind)
        shutil.rmtree(find_checkpoint(run))
        return run

    return copy


def change(run, *path_and_value):
    *groups, name, value = path_and_value
    file = run / CONFIG_FILE
    content = yaml.safe_load(file.read_text())
    inner = content
    for group in groups:
        inner = inner[group]
    inner[name] = value
    file.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("kind", ["maze", "grid", "goals"])
def test_a_config_that_is_as_it_was_makes_no_warning(kind, cut_off, capsys):
    resume_run(cut_off(kind), "resume")
    assert "warning" not in capsys.readouterr().out


CHANGES = {
    "threads": (("threads", 2), "threads 2 (was 1): its last bits may differ"),
    "batch size": (("learner", "batch_size", 16), "learner.batch_size 16 (was 32): the run will"),
    "learning rate": (
        ("learner", "learning_rate", 0.001),
        "learner.learning_rate 0.001 (was 0.006): the run will be neither",
    ),
    "more steps": (("learner", "steps", 6), "learner.steps 6 (was 4): the run will be neither"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_field_is_named(name, cut_off, capsys):
    fields, said = CHANGES[name]
    run = cut_off()
    change(run, *fields)
    resume_run(run, "resume")
    printed = " ".join(capsys.readouterr().out.split())
    assert f"warning: {CONFIG_FILE} has changed since the checkpoint" in printed
    assert said in printed


def test_what_does_not_decide_what_is_trained_may_change_in_silence(cut_off, quick_runs, capsys):
    run = cut_off()
    change(run, "logging", "checkpoint_every", 1)
    change(run, "evaluation", "episodes", 3)
    resume_run(run, "resume")
    assert "warning" not in capsys.readouterr().out
    assert read_weights(run) == read_weights(quick_runs("maze"))


def test_fewer_steps_than_are_trained_are_refused(cut_off):
    run = cut_off()
    change(run, "learner", "steps", 1)
    with pytest.raises(CheckpointError, match=r"step-2 is of step 2, and .*config\.yaml trains to"):
        resume_run(run, "resume")


@pytest.mark.parametrize("stored", [None, [1], "x", {"learner.steps": ["x" * 5000] * 100}])
def test_a_checkpoint_that_does_not_say_what_it_was_trained_with_goes_on(stored, cut_off, capsys):
    run = cut_off()
    forge_document(find_checkpoint(run), "state", lambda state: state | {STORED: stored})
    resume_run(run, "resume")
    assert len(capsys.readouterr().out) < 1000


def test_no_path_of_the_machine_is_stored(quick_runs):
    state = json.loads((find_checkpoint(quick_runs("grid")) / "state.json").read_text())
    assert state[STORED]["learner.steps"] == 4
    assert "language" not in state[STORED]
    assert "start" not in state[STORED]
