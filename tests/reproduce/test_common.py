import json
import shutil
from dataclasses import dataclass

import pytest

from langrl.errors import CellError
from langrl.reproduce.arguments import ParallelReproduction
from langrl.reproduce.common import digest_of, run_parts


@dataclass(frozen=True)
class Setting:
    seed: int


def by_key(folder, setting, fails=False):
    """Return a mapping of tuples, and say that it was computed."""
    if fails:
        raise ArithmeticError("of no use")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "computed").open("a") as file:
        file.write(f"{setting.seed}\n")
    return {("direct", None): setting.seed / 3, ("sampled", 10): setting.seed / 7}


def as_rows(folder, setting):
    return [{"seed": setting.seed}]


def parts(out, seeds, function=by_key, depends=None, workers=1):
    options = ParallelReproduction(out=out, workers=workers)
    jobs = [(out / "runs", Setting(seed)) for seed in seeds]
    return run_parts(function, jobs, options, "test", depends)


def computed(out):
    return (out / "runs" / "computed").read_text().split()


def test_results_are_what_the_function_returned_each_computed_once(tmp_path):
    expected = [{("direct", None): s / 3, ("sampled", 10): s / 7} for s in (1, 2, 3)]
    assert parts(tmp_path, (1, 2)) == expected[:2]
    assert parts(tmp_path, (1, 3, 2)) == [expected[0], expected[2], expected[1]]
    assert computed(tmp_path) == ["1", "2", "3"]
    assert parts(tmp_path, (1,), as_rows) == [[{"seed": 1}]]


def test_results_do_not_depend_on_the_number_of_workers(tmp_path):
    one, two = (parts(tmp_path / str(n), (1, 2), workers=n) for n in (1, 2))
    assert one == two
    names = [sorted(path.name for path in (tmp_path / n / "cells").iterdir()) for n in "12"]
    assert names[0] == names[1]
    for name in names[0]:
        first, second = (tmp_path / n / "cells" / name for n in "12")
        assert first.read_bytes() == second.read_bytes()


def test_a_folder_of_results_may_be_moved(tmp_path):
    parts(tmp_path / "one", (1,))
    shutil.move(tmp_path / "one", tmp_path / "two")
    parts(tmp_path / "two", (1,))
    assert computed(tmp_path / "two") == ["1"]


def test_another_model_in_the_same_place_is_measured_anew(tmp_path):
    model = tmp_path / "model"
    for content in ("a", "a", "b"):
        model.write_text(content)
        parts(tmp_path / "out", (1,), depends=digest_of(model))
    assert computed(tmp_path / "out") == ["1", "1"]
    assert digest_of("bundled") is None


def test_a_part_that_fails_is_named(tmp_path):
    options = ParallelReproduction(out=tmp_path, workers=1)
    with pytest.raises(CellError, match=r"1 of 1 .*test, True: ArithmeticError: of no use"):
        run_parts(by_key, [(tmp_path, Setting(1), True)], options, "test")
    (trace,) = (tmp_path / "cells").iterdir()
    assert "ArithmeticError" in trace.read_text()


def test_files_of_results_are_json(tmp_path):
    parts(tmp_path, (1,))
    (file,) = (tmp_path / "cells").iterdir()
    assert json.loads(file.read_text())["cell"]["label"] == "test"
