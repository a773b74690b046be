"""The engine of a Ray cluster: a task for each job."""

import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from langrl.errors import CellError, ConfigError, check_extra
from langrl.training.engines.base import Failed, Job, pack, run_parcel

LOCAL = "local"  # the address of a new cluster on this machine, for as long as the command runs
_ANSWER_WITHIN = 5.0  # seconds
_TRIES = 2  # of a task whose process or machine was lost
_START = (
    "start a cluster by `ray start --head`, and give the address that it prints as --ray-address"
    f" HOST:6379; or let this command start one on this machine by --ray-address {LOCAL}"
)


class RayEngine:
    """Runs jobs as tasks of a Ray cluster, whose machines share the files.

    Args:
        address: HOST:PORT or ray://HOST:PORT of a cluster; ``local`` starts one on this machine;
            None takes that of the variable RAY_ADDRESS, or the cluster that runs here.
        workers: tasks at a time; None: as many as the cluster has cores for.

    Raises:
        MissingExtraError: if ray is not installed.
        ConfigError: if no cluster answers; says how to start one.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        check_extra("ray", "ray")
        address = address or os.environ.get("RAY_ADDRESS") or "auto"
        if address not in (LOCAL, "auto"):
            _check_answers(address)
        self._workers = workers
        _connect(address, workers)

    def map(self, function: Callable[..., Any], jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the job, its result or ``Failed``) as jobs end; see ``Engine``."""
        import ray

        task = ray.remote(num_cpus=1, max_retries=_TRIES - 1)(run_parcel)
        waiting = list(range(len(jobs)))[::-1]
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < (self._workers or len(jobs)):
                    number = waiting.pop()
                    running[task.remote(pack(function, jobs[number]))] = number
                for done in ray.wait(list(running))[0]:
                    number = running.pop(done)
                    yield number, _result(done)
        finally:
            for task_ in running:
                ray.cancel(task_, force=True)


def _result(reference: Any) -> Any:
    import ray

    try:
        return pickle.loads(ray.get(reference))
    except ray.exceptions.RayError as error:
        first = str(error).strip().splitlines()[0]
        return Failed(CellError(f"Ray lost its task {_TRIES} times: {first}"))


def _check_answers(address: str) -> None:
    """Raise ConfigError unless something listens at an address; Ray itself waits for minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        if parts.hostname is None or parts.port is None:
            raise ValueError
        socket.create_connection((parts.hostname, parts.port), _ANSWER_WITHIN).close()
    except ValueError:  # as is that of a port which is no number
        raise ConfigError(
            f"--ray-address {address!r} is no HOST:PORT; for example 10.0.0.1:6379, or {LOCAL}"
        ) from None
    except OSError:
        raise ConfigError(f"no Ray cluster answers at {address}; {_START}") from None


def _connect(address: str, workers: int | None) -> None:
    import ray

    if ray.is_initialized():
        return
    # What jobs print stays in Ray's logs. Ray counts its users over the network; not with us.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address == LOCAL:
        options |= {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"no Ray cluster at {address!r} ({first}); {_START}") from error
