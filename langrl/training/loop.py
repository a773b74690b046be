"""The training loop: batches, logs, checkpoints, exact resume; it stops at the first NaN or inf."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from langrl.checkpoint import Checkpoint, remove_checkpoints, step_folder, write_checkpoint
from langrl.errors import NonFiniteError
from langrl.protocols import Learner
from langrl.training import interrupts
from langrl.training.config import LoggingConfig
from langrl.training.logs import Bar, MetricsLog, console, progress, versions
from langrl.training.memory import keep_freed_memory

BAD_BATCH = "nonfinite_batch.safetensors"


def run_state(learner: Learner, threads: int, data_sha256: str) -> dict[str, Any]:
    """Return a run's state as a checkpoint stores it beside the tensors."""
    return {
        "step": learner.step,
        "threads": threads,
        "versions": versions(),
        "data_sha256": data_sha256,
    }


@dataclass(frozen=True)
class Training:
    """Trains a learner to its last step, in a run folder.

    The learner draws its batches from stored data, or from a world in which it acts.

    Args:
        learner: what is trained.
        steps: the last step.
        folder: the run folder.
        logging: how often to report and store.
        snapshot: returns a checkpoint of the learner's present state.
        every: steps between evaluations; 0 for none.
        evaluate: measures what has been learned, as metrics by name; it changes nothing of it.
        unrecorded: metrics of the learner's present step, if a run was stopped before it logged
            them: ``unrecorded`` in the ``state`` of its checkpoint.
    """

    learner: Learner
    steps: int
    folder: Path
    logging: LoggingConfig
    snapshot: Callable[[], Checkpoint]
    every: int = 0
    evaluate: Callable[[], Mapping[str, float]] = dict
    unrecorded: Mapping[str, float] | None = None

    def run(self, label: str) -> float:
        """Train up to the last step and return the seconds it took, checkpoints included.

        Raises:
            Stopped: if the process was asked to end; what is trained is stored.
            NonFiniteError: if a batch, loss or gradient is not finite; the batch is saved, and
                weights and checkpoints stay as they were before it.
        """
        learner, every = self.learner, self.logging.checkpoint_every
        keep_freed_memory()
        log = MetricsLog(self.folder, learner.step)
        start = time.perf_counter()
        try:
            with progress(label, self.steps, learner.step) as bar, interrupts.deferred():
                if self.unrecorded is not None:
                    self._record(log, bar, self.unrecorded)
                while learner.step < self.steps:
                    begun = time.perf_counter()
                    metrics = self._update(learner.batch())
                    log.seconds += time.perf_counter() - begun
                    self._record(log, bar, metrics)
                    stops, step = interrupts.requested(), learner.step
                    if stops or step % every == 0 or step == self.steps:
                        self._store()
                    interrupts.check()
        finally:
            log.close()
        return time.perf_counter() - start

    def _record(self, log: MetricsLog, bar: Bar, metrics: Mapping[str, Any]) -> None:
        """Log the metrics of the last step and evaluate, as often as each is wanted.

        A run that is stopped while it evaluates stores the metrics, to evaluate when it goes on.
        """
        step = self.learner.step
        evaluates = self.every and step % self.every == 0
        if not evaluates and step % self.logging.log_every and step != self.steps:
            return
        shown = {name: float(value) for name, value in metrics.items()}
        evaluated: Mapping[str, float] = {}
        if evaluates:
            try:
                with interrupts.immediate():
                    evaluated = self.evaluate()
            except KeyboardInterrupt:
                self._store(unrecorded=shown)
                raise
        log.write(step, {**shown, **evaluated})
        bar.update(step)

    def _store(self, **state: Any) -> None:
        """Write a checkpoint, with further entries of its ``state``."""
        with interrupts.storing():
            checkpoint, step = self.snapshot(), self.learner.step
            if state:
                checkpoint.documents["state"] |= state
            write_checkpoint(step_folder(self.folder, step), checkpoint)
            remove_checkpoints(self.folder, self.logging.keep)
        if interrupts.requested():
            console.print(f"stopped at step {step}, which is stored")

    def _update(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        try:
            return self.learner.update(batch)
        except NonFiniteError as error:
            from safetensors.torch import save_file

            path = self.folder / BAD_BATCH
            save_file({name: value.cpu().contiguous() for name, value in batch.items()}, path)
            raise NonFiniteError(
                f"training stopped at step {self.learner.step + 1}: {error}; the batch is in {path}"
            ) from error
