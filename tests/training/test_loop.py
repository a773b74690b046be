import json

import pytest
import torch
from safetensors.torch import load_file

from langrl.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from langrl.errors import NonFiniteError
from langrl.training.config import LoggingConfig
from langrl.training.logs import MetricsLog, read_metrics
from langrl.training.loop import BAD_BATCH, Training


class Counter:
    """A learner that adds up its batches, and meets a NaN at a given step."""

    def __init__(self, bad_step=None):
        self.step, self.total, self.bad_step = 0, torch.zeros(()), bad_step

    def batch(self):
        value = float("nan") if self.step + 1 == self.bad_step else float(self.step)
        return {"x": torch.tensor([value])}

    def update(self, batch):
        if not batch["x"].isfinite().all():
            raise NonFiniteError("'x' in the training batch is not finite; fix the data")
        self.total = self.total + batch["x"].sum()
        self.step += 1
        return {"total": self.total}


def training(learner, folder, steps=25, keep=0):
    def snapshot():
        return Checkpoint({"state": {"step": learner.step}}, {"weights": {"total": learner.total}})

    logging = LoggingConfig(log_every=5, checkpoint_every=10, keep=keep)
    return Training(learner, steps, folder, logging, snapshot)


def test_records_and_checkpoints_come_as_often_as_asked_and_at_the_end(tmp_path):
    training(Counter(), tmp_path).run("count")
    assert [record["step"] for record in read_metrics(tmp_path / "metrics.jsonl")] == [
        5,
        10,
        15,
        20,
        25,
    ]
    steps = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert steps == {"step-10", "step-20", "step-25"}
    assert float(read_checkpoint(find_checkpoint(tmp_path)).tensors["weights"]["total"]) == 300.0


@pytest.mark.parametrize(
    ("keep", "names"), [(1, {"25"}), (2, {"20", "25"}), (9, {"10", "20", "25"})]
)
def test_only_so_many_of_the_newest_checkpoints_are_kept(keep, names, tmp_path):
    (tmp_path / "checkpoints" / "best").mkdir(parents=True)
    training(Counter(), tmp_path, keep=keep).run("count")
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {"best"} | {f"step-{name}" for name in names}


def test_a_nan_stops_training_saves_the_batch_and_leaves_the_last_checkpoint(tmp_path):
    learner = Counter(bad_step=18)
    with pytest.raises(NonFiniteError, match=r"step 18: 'x' .* batch is in .*nonfinite"):
        training(learner, tmp_path).run("count")
    assert torch.isnan(load_file(tmp_path / BAD_BATCH)["x"]).all()
    assert find_checkpoint(tmp_path).name == "step-10"
    assert read_checkpoint(find_checkpoint(tmp_path)).documents["state"]["step"] == 10
    assert [record["step"] for record in read_metrics(tmp_path / "metrics.jsonl")] == [5, 10, 15]


def test_going_on_removes_the_records_after_the_checkpoint(tmp_path):
    log = MetricsLog(tmp_path)
    for step in (5, 10, 15):
        log.write(step, {"loss": float(step)})
    log.close()
    log = MetricsLog(tmp_path, 10)
    log.write(15, {"loss": -1.0})
    log.close()
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert records == [{"step": s, "loss": v} for s, v in ((5, 5.0), (10, 10.0), (15, -1.0))]


def test_a_record_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"step": 1, "loss": 2.0}) + '\n{"step": 2, "lo')
    assert read_metrics(path) == [{"step": 1, "loss": 2.0}]
