import math
import os

import pytest
import torch

from langrl.evaluation.statistics import mean_and_sem
from langrl.training.cells import run_jobs
from langrl.training.jobs import chained, cores, one_thread


def flushes():
    """Whether subnormal numbers are flushed to 0."""
    return (torch.tensor(1e-40) * torch.tensor(1.0)).item() == 0


def ten_times(x):
    return 10 * x


def setting():
    return torch.get_num_threads(), flushes()


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_results_are_in_the_order_of_the_jobs():
    assert run_jobs(ten_times, [(3,), (1,), (2,)], 1, "test") == [30, 10, 20]


def test_each_job_gets_its_own_arguments():
    assert run_jobs(pow, [(2, 3), (3, 2), (7, 2, 5)], 1, "test") == [8, 9, 4]


def test_without_jobs_there_are_no_results():
    assert run_jobs(ten_times, [], 1, "test") == []
    assert run_jobs(ten_times, [], 4, "test") == []


def test_results_do_not_depend_on_the_number_of_workers():
    # the first job takes longest: with two workers it is not the first to finish
    jobs = [(range(3_000_000),), ([1.0, 2.0, 3.0],), (range(5),), ([0.5, 0.25],)]
    alone, together = (run_jobs(mean_and_sem, jobs, workers, "test") for workers in (1, 2))
    assert together == alone
    assert alone[1] == (2.0, pytest.approx(1 / math.sqrt(3)))


def test_one_job_starts_no_process():
    assert run_jobs(os.getpid, [()], 8, "test") == [os.getpid()]


def test_without_a_number_of_workers_there_is_one_per_core(monkeypatch):
    monkeypatch.setattr("langrl.training.engines.local.cores", lambda: 1)
    assert run_jobs(os.getpid, [(), ()], None, "test") == [os.getpid()] * 2
    monkeypatch.setattr("langrl.training.engines.local.cores", lambda: 2)
    assert os.getpid() not in run_jobs(os.getpid, [(), ()], None, "test")


def test_error_in_a_job_is_raised():
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        run_jobs(math.sqrt, [(4.0,), (-1.0,), (9.0,)], 1, "test")


def test_jobs_run_on_one_thread_with_subnormal_numbers_flushed(two_threads):
    assert run_jobs(setting, [(), ()], 1, "test") == [(1, True), (1, True)]
    assert setting() == (2, False)


def test_threads_and_subnormal_numbers_are_as_before_afterwards(two_threads):
    assert setting() == (2, False)
    with one_thread():
        assert setting() == (1, True)
    assert setting() == (2, False)


def test_threads_and_subnormal_numbers_are_as_before_after_an_error(two_threads):
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert setting() == (2, False)


def test_leaving_the_inner_of_two_leaves_the_outer_as_it_was():
    with one_thread():
        with one_thread():
            pass
        assert setting() == (1, True)


def test_lists_of_results_are_joined_in_order():
    assert chained([[1, 2], [], [3]]) == [1, 2, 3]
    assert chained([]) == []


def test_there_is_a_core_to_run_on():
    assert 1 <= cores() <= os.cpu_count()
