"""Runs are evaluated while they train, which changes nothing of what is trained."""

import shutil

import pytest
from command_line import read_weights

from langrl.tasks.registry import TASKS
from langrl.tasks.run import resume_run, train_run
from langrl.training.logs import read_metrics

NAMES = {"evaluation/success", "evaluation/spl"}
SMALL = {
    "street-maze": {
        "world": {"layout": "blank"},
        "data": {"num_trajectories": 30, "num_pairs": 60},
        "critic": {"embedding": 4, "width": 6, "depth": 1},
        "text": {"width": 6, "depth": 1},
        "learner": {"steps": 6, "batch_size": 8, "language_batch_size": 6},
        "grounding": {"candidates": 30},
    },
    "grid": {
        "data": {"rooms": 4, "trajectories_per_room": 4},
        "critic": {"embedding": 4, "channels": 4, "depth": 1, "width": 6},
        "learner": {"steps": 6, "rooms": 3, "states": 4, "warmup": 2},
    },
    "grid-partial": {
        "data": {"rooms": 4, "trajectories_per_room": 2, "segments": 2, "length": 12},
        "critic": {"embedding": 4, "width": 6, "depth": 1},
        "history": {"model": {"embedding": 4, "context": 4, "width": 6, "depth": 1, "horizon": 2}},
        "learner": {"steps": 6, "explorations": 4, "states": 4, "anchors": 8, "warmup": 2},
    },
}


def config_of(task, every):
    logging = {"log_every": 3, "checkpoint_every": 2}
    evaluation = {"every": every, "episodes_during": 2}
    document = SMALL[task] | {"logging": logging, "evaluation": evaluation}
    return TASKS[task].config_class.model_validate(document)


@pytest.mark.parametrize("task", SMALL)
def test_success_is_recorded_and_training_is_left_alone(task, tmp_path):
    train_run(config_of(task, every=2), tmp_path / "watched", "train")
    train_run(config_of(task, every=0), tmp_path / "alone", "train")
    watched, alone = (
        read_metrics(tmp_path / name / "metrics.jsonl") for name in ("watched", "alone")
    )
    assert [record["step"] for record in watched if set(record) >= NAMES] == [2, 4, 6]
    assert [record["step"] for record in watched] == [2, 3, 4, 6]
    assert [record["step"] for record in alone] == [3, 6]
    own = [
        {name: value for name, value in record.items() if name not in NAMES}
        for record in watched
        if record["step"] in (3, 6)
    ]
    assert own == alone
    assert read_weights(tmp_path / "watched") == read_weights(tmp_path / "alone")
    assert all(0 <= record[name] <= 1 for record in watched for name in NAMES & set(record))


def test_a_resumed_run_records_the_same_success(tmp_path):
    run = tmp_path / "run"
    train_run(config_of("street-maze", every=2), run, "train")
    cut = shutil.copytree(run, tmp_path / "cut")
    for name in ("step-4", "step-6"):
        shutil.rmtree(cut / "checkpoints" / name)
    resume_run(cut, "resume")
    assert read_metrics(cut / "metrics.jsonl") == read_metrics(run / "metrics.jsonl")
    assert read_weights(cut) == read_weights(run)
