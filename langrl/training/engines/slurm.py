"""The engine of a SLURM cluster: a job array, submitted by submitit."""

import pickle
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from langrl.errors import CellError, ConfigError, check_extra
from langrl.training.engines.base import Failed, Job, Parcel, pack, run_parcel

MINUTES = 240
_LARGEST_ARRAY = 1000  # jobs; SLURM's own limit is 1001 where nobody has changed it
_LOOK_EVERY = 1.0  # seconds, at the files of results
_SUBMITTED = "submitted.txt"  # ids of the arrays of this folder that may not have ended


class ResumedJob:
    """Does the job of a parcel; submitit starts it again after preemption or the time limit.

    Trainings go on from their checkpoints, so nothing but the parcel is kept.
    """

    def __call__(self, parcel: Parcel) -> bytes:
        """Return the pickled result."""
        return run_parcel(parcel)

    def checkpoint(self, parcel: Parcel) -> Any:
        """Return what is submitted again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, parcel)


class SlurmEngine:
    """Runs jobs as elements of a SLURM job array, with one core each.

    A command that was killed leaves its array; the next one in the same folder cancels it first.

    Args:
        folder: of submitit's files and logs, on a disk that all machines share.
        workers: jobs at a time; None: as many as SLURM starts.
        partition: SLURM's; its default if None.
        minutes: time limit of a job; one that reaches it is started again, up to three times.
        options: further options of sbatch, without dashes: ``{"account": "mine"}``.
        cluster: ``local`` runs the jobs on this machine, all at once, without SLURM.

    Raises:
        MissingExtraError: if submitit is not installed.
        ConfigError: if this machine has no SLURM.
    """

    def __init__(
        self,
        folder: Path,
        workers: int | None = None,
        partition: str | None = None,
        minutes: int = MINUTES,
        options: Mapping[str, str] | None = None,
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        check_extra("submitit", "slurm")
        if cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise ConfigError(
                "--engine slurm: this machine has no sbatch and srun; start the command on a login"
                " node of the cluster, or use --engine local"
            )
        self._folder, self._cluster = folder.absolute(), cluster
        self._settings: dict[str, Any] = {"timeout_min": minutes, "name": "langrl"}
        if cluster == "slurm":
            self._settings |= {
                "cpus_per_task": 1,
                "slurm_use_srun": False,
                "slurm_partition": partition,
                "slurm_array_parallelism": workers or _LARGEST_ARRAY,
                "slurm_additional_parameters": dict(options or {}),
            }

    def map(self, function: Callable[..., Any], jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the job, its result or ``Failed``) as jobs end; see ``Engine``."""
        with self._submitted([pack(function, job) for job in jobs]) as running:
            while running:
                done = [number for number, job in running.items() if job.done()]
                for number in done:
                    yield number, _result(running.pop(number))
                if not done:
                    time.sleep(_LOOK_EVERY)

    @contextmanager
    def _submitted(self, parcels: Sequence[Parcel]) -> Iterator[dict[int, Any]]:
        """Submit parcels; gives the jobs by number. Those that are left in the end are cancelled.

        Raises:
            ConfigError: if sbatch refuses them.
        """
        import submitit

        self._folder.mkdir(parents=True, exist_ok=True)
        self._cancel_earlier()
        executor = submitit.AutoExecutor(self._folder, cluster=self._cluster)
        executor.update_parameters(**self._settings)
        running: dict[int, Any] = {}
        try:
            for start in range(0, len(parcels), _LARGEST_ARRAY):
                array = executor.map_array(ResumedJob(), parcels[start : start + _LARGEST_ARRAY])
                running |= dict(enumerate(array, start))
                with (self._folder / _SUBMITTED).open("a") as file:
                    file.write(array[0].job_id.partition("_")[0] + "\n")
            yield running
        except (
            submitit.core.utils.FailedJobError,
            submitit.core.utils.FailedSubmissionError,
        ) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ConfigError(f"sbatch refused the jobs: {reason}") from error
        finally:
            for job in running.values():
                job.cancel(check=False)
            (self._folder / _SUBMITTED).unlink(missing_ok=True)

    def _cancel_earlier(self) -> None:
        """Cancel what a command that was killed has left: two must not write to one run folder."""
        submitted = self._folder / _SUBMITTED
        if submitted.is_file() and self._cluster == "slurm":
            subprocess.run(["scancel", *submitted.read_text().split()], check=False)
        submitted.unlink(missing_ok=True)


def _result(job: Any) -> Any:
    import submitit

    try:
        return pickle.loads(job.result())
    except submitit.core.utils.UncompletedJobError:
        detail = f"SLURM's job {job.job_id} ended without a result (state {job.state})"
    except submitit.core.utils.FailedJobError as error:
        detail = f"job {job.job_id}: {str(error).strip().splitlines()[-1]}"
    return Failed(CellError(f"{detail}; its log is {job.paths.stderr}"))
