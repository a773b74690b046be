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
from langrl.training.config import LoggingConfig
from langrl.training.logs import MetricsLog, progress, versions
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
    """

    learner: Learner
    steps: int
    folder: Path
    logging: LoggingConfig
    snapshot: Callable[[], Checkpoint]
    every: int = 0
    evaluate: Callable[[], Mapping[str, float]] = dict

    def run(self, label: str) -> float:
        """Train up to the last step and return the seconds it took, checkpoints included.

        Raises:
            NonFiniteError: if a batch, loss or gradient is not finite; the batch is saved, and
                weights and checkpoints stay as they were before it.
        """
        learner, logging = self.learner, self.logging
        keep_freed_memory()
        log = MetricsLog(self.folder, learner.step)
        start = time.perf_counter()
        try:
            with progress(label, self.steps, learner.step) as bar:
                while learner.step < self.steps:
                    begun = time.perf_counter()
                    metrics = self._update(learner.batch())
                    log.seconds += time.perf_counter() - begun
                    step = learner.step
                    evaluated = self.evaluate() if self.every and step % self.every == 0 else {}
                    if step % logging.log_every == 0 or step == self.steps or evaluated:
                        shown = {name: float(value) for name, value in metrics.items()}
                        log.write(step, {**shown, **evaluated})
                        bar.update(step)
                    if step % logging.checkpoint_every == 0 or step == self.steps:
                        write_checkpoint(step_folder(self.folder, step), self.snapshot())
                        remove_checkpoints(self.folder, logging.keep)
        finally:
            log.close()
        return time.perf_counter() - start

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
