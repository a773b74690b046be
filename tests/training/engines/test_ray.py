import os
import socket

import pytest
import small_cells
from small_cells import draw_cells

from langrl.errors import ConfigError
from langrl.training.cells import run_cells
from langrl.training.engines.base import Failed
from langrl.training.engines.local import LocalEngine
from langrl.training.engines.ray import RayEngine

ray = pytest.importorskip("ray", reason="ray is not installed: the extra ray")


@pytest.fixture(scope="module")
def engine():
    yield RayEngine("local", workers=2)
    ray.shutdown()


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_results_are_those_of_the_local_engine_bit_for_bit(tmp_path, engine):
    ours = run_cells(draw_cells(tmp_path / "ray"), engine, "test")
    run_cells(draw_cells(tmp_path / "local"), LocalEngine(1), "test")
    assert [result["seed"] for result in ours] == [0, 1, 2, 3]
    for seed in range(4):
        of_ray, local = (tmp_path / name / f"{seed}.json" for name in ("ray", "local"))
        assert of_ray.read_bytes() == local.read_bytes()


def test_relative_paths_and_failures_are_as_in_the_local_engine(tmp_path, engine, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(engine.map(small_cells.working_folder, [()])) == [(0, str(tmp_path))]
    ((_, failed),) = engine.map(small_cells.fails_without, [("here",)])
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ConfigError)
    assert str(failed.error) == "no here; write it"


def test_a_task_whose_process_was_ended_is_done_again(tmp_path, engine):
    once, twice = tmp_path / "once", tmp_path / "twice"
    once.mkdir()
    twice.mkdir()
    results = dict(engine.map(small_cells.end_process, [(once, 1), (twice, 2)]))
    assert results[0] == {"ended": 1}
    assert "lost its task" in str(results[1].error)


def test_tasks_stop_when_no_more_results_are_wanted(tmp_path, engine):
    results = engine.map(small_cells.sleep_unless, [(tmp_path, False), (tmp_path, True)])
    assert next(results) == (0, {"slept": False})
    results.close()
    assert list(engine.map(os.getcwd, [(), ()]))  # cores are free again


def test_an_address_that_does_not_answer_says_how_to_start_a_cluster():
    with pytest.raises(
        ConfigError, match=r"no Ray cluster answers at 127.0.0.1:.*ray start --head"
    ):
        RayEngine(f"127.0.0.1:{free_port()}")


@pytest.mark.parametrize("address", ["nonsense", "host:port", "ray://", "host:70000"])
def test_what_is_no_address_is_refused_with_an_example(address):
    with pytest.raises(ConfigError, match=r"is no HOST:PORT; for example 10.0.0.1:6379"):
        RayEngine(address)
