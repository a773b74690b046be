import contextlib
import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import run_langrl
from small_benchmark import NAME, PROFILE, STREET, outcomes_of

from langrl import benchmark
from langrl.benchmark import planning
from langrl.benchmark.entrants import ENTRANTS, Setting
from langrl.benchmark.families import FAMILIES, World, config_of, worlds_of
from langrl.benchmark.planning import plan
from langrl.benchmark.profiles import PROFILES
from langrl.benchmark.results import load_results
from langrl.benchmark.running import run_plan
from langrl.benchmark.suites import SUITES
from langrl.errors import CellError, ConfigError, ResultsError, UnknownNameError
from langrl.tasks.registry import config_beside
from langrl.training import cells
from langrl.training.engines.local import LocalEngine

HERE = LocalEngine(1)


def run_small(out, **options):
    made = plan(out, "small", **options)
    run_plan(made, HERE)
    return made


class Still:
    """Stays where it is, in any world."""

    def __init__(self, world):
        self.world = world

    def reset(self, generator=None, mask=None):
        pass

    def act(self, observations, instructions):
        count = len(observations["observation"])
        return np.zeros((count, 2), np.float32) if self.world == STREET else np.zeros(count, int)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, drawn_suite):
    """A folder with everything of the small profile, to be read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SUITES, NAME, drawn_suite)
        patch.setattr(planning, "SUITE", NAME)
        patch.setitem(PROFILES, "small", PROFILE)
        out = tmp_path_factory.mktemp("benchmark") / "out"
        run_small(out)
    return out


def test_a_run_leaves_a_file_for_each_entrant_world_and_seed(finished):
    files = sorted(path.relative_to(finished).as_posix() for path in finished.rglob("*.json"))
    cells_ = [path for path in files if path.startswith("cells/")]
    assert cells_ == [
        f"cells/{name}/{STREET}-seed-0.json"
        for name in ("offline-log_sum_exp", "oracle", "posterior-pays")
    ]
    assert {path for path in files if path.split("/")[0] in ("training", "calibration")} == {
        f"training/offline/{STREET}-seed-0.json",
        f"calibration/offline/{STREET}-seed-0.json",
        f"calibration/posterior/{STREET}-seed-0.json",
    }
    results = load_results(finished)
    assert {results.role(name) for name in ("oracle", "posterior-pays")} == {"reference"}
    (run,) = results.runs("posterior-pays").values()
    assert len(run) == 3 * 4  # any, hidden, and hidden at a price
    assert len(next(iter(results.runs("oracle").values()))) == 2 * 4
    (cell,) = results.only("offline-log_sum_exp").cells
    assert cell.about["train_seconds"] >= 0
    assert cell.about["command"] == (
        "langrl benchmark run --suite langrl/Small-v1 --profile small"
        " --agents offline-log_sum_exp --worlds street-slit --seeds 1"
    )
    assert {"langrl", "torch"} <= set(cell.about["versions"])


def test_what_is_there_is_left_alone_and_more_can_be_added(small, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    before = {path: path.read_bytes() for path in out.rglob("*.json")}
    run_small(out, names=["oracle", "random"], agents={"still": Still})
    assert all(path.read_bytes() == content for path, content in before.items())
    assert set(load_results(out).entrants) == {
        "offline-log_sum_exp", "oracle", "posterior-pays", "random", "still",
    }  # fmt: skip


def test_an_agent_of_ones_own_is_measured_anew_each_time(small, tmp_path):
    options = {"names": ["oracle"], "agents": {"mine": Still}}
    run_small(tmp_path, **options)
    path = tmp_path / "cells" / "mine" / f"{STREET}-seed-0.json"
    first = path.read_bytes()
    assert not load_results(tmp_path).runs("mine")[STREET, 0].success.any()
    options["agents"] = {"mine": ENTRANTS["oracle"].make(Setting(World(STREET)))}
    run_small(tmp_path, **options)
    assert path.read_bytes() != first
    assert load_results(tmp_path).runs("mine")[STREET, 0].success.all()


class Cut(BaseException):
    """The process has ended here, as kill -9 would end it."""


@pytest.mark.parametrize("writes", [1, 3, 6, 10])
def test_a_run_that_is_cut_off_at_any_write_goes_on_to_the_same_metrics(
    small,
    finished,
    tmp_path,
    monkeypatch,
    writes,
):
    replace, left = Path.replace, [writes]
    rename = Path.rename

    def counted(original):
        def move(self, target):
            if left[0] == 0:
                raise Cut
            left[0] -= 1
            return original(self, target)

        return move

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted(replace))
        patch.setattr(Path, "rename", counted(rename))
        with contextlib.suppress(Cut):
            run_small(tmp_path)
    run_small(tmp_path)
    assert outcomes_of(tmp_path) == outcomes_of(finished)


def test_a_damaged_result_is_computed_again(small, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    path = out / "cells" / "oracle" / f"{STREET}-seed-0.json"
    path.write_text(path.read_text()[:100])
    run_small(out)
    assert outcomes_of(out) == outcomes_of(finished)


def test_a_full_disk_is_one_line_and_nothing_is_lost(
    small,
    finished,
    tmp_path,
    monkeypatch,
    capsys,
):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    before = outcomes_of(out)

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(cells, "write_atomically", full)
    flags = ["--profile", "small", "--agents", "oracle", "random", "--workers", 1, "--out", out]
    assert run_langrl("benchmark", "run", *flags) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert error.endswith("no space left on device; make room\n")
    assert outcomes_of(out) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"names": ["oracl"]}, UnknownNameError, "no entrant named 'oracl'; did you mean 'oracle'"),
        ({"worlds": ["street-slt"]}, UnknownNameError, "did you mean 'street-slit'"),
        ({"seeds": 0}, ConfigError, "seeds is how many there are, at least 1, got 0"),
        ({"agents": {"oracle": Still}}, ConfigError, "'oracle' is an entrant of the benchmark"),
        ({"agents": {"../x": Still}}, ConfigError, "an entrant's name is letters, digits"),
        ({"agents": {"mine": 3}}, ConfigError, "int has no method reset"),
        ({"imports": ["nowhere_at_all:X"]}, ConfigError, "cannot import 'nowhere_at_all'"),
        ({"imports": ["numpy"]}, ConfigError, "as in mypackage:MyAgent, got 'numpy'"),
    ],
)
def test_what_there_is_not_is_named(small, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        plan(tmp_path, "small", **options)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "worlds"),
    [("nearest_object", "grid-goto, grid-crowded"), ("sb3_reads", "street-fork, grid-goto only")],
)
def test_entrants_that_act_elsewhere_are_named(tmp_path, name, worlds):
    pytest.importorskip("stable_baselines3")
    with pytest.raises(ConfigError, match=f"{name} acts in {worlds}.* street-slit is none"):
        plan(tmp_path, "full", names=[name], worlds=["street-slit"])


def test_an_unknown_profile_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="no profile named 'fst'; did you mean 'fast'"):
        plan(tmp_path, "fst")


def test_results_of_another_suite_or_profile_are_refused(small, finished, tmp_path):
    about = json.loads((finished / "benchmark.json").read_text())
    for change, message in (
        ({"hash": "0" * 64}, "holds results of langrl/Small-v1 000000000000, and this version has"),
        ({"profile": "fast"}, "holds results of the profile fast, which do not compare"),
        ({"digest": ""}, "holds results of an earlier version"),
    ):
        (tmp_path / "benchmark.json").write_text(json.dumps(about | change))
        with pytest.raises(ResultsError, match=message):
            plan(tmp_path, "small")
    (tmp_path / "benchmark.json").write_text("{")
    with pytest.raises(ResultsError, match=r"benchmark.json is damaged"):
        plan(tmp_path, "small")


def test_a_run_folder_is_an_entrant_in_its_own_worlds(small, small_run, tmp_path):
    blank = small_run("maze")
    with pytest.raises(ConfigError, match="was trained in street-blank, not in street-slit; give"):
        plan(tmp_path, "small", names=[str(blank)])
    assert worlds_of(config_beside(blank)) == ("street-blank",)


def test_the_results_of_a_run_folder_are_those_of_its_agents(
    small,
    finished,
    tmp_path,
    monkeypatch,
):
    run = finished / "runs" / "offline" / f"{STREET}-seed-0"
    mine = tmp_path / "mine"
    shutil.copytree(run, mine)
    made = run_small(tmp_path / "out", names=[str(mine)])
    assert [own.entrant.name for own in made.own] == ["mine"]
    found = load_results(tmp_path / "out")
    assert found.entrants == ("mine",)
    assert len(found.runs("mine")[STREET, 0]) == 8


def test_wrong_actions_are_one_line_and_the_others_are_kept(small, tmp_path):
    class Wrong(Still):
        def act(self, observations, instructions):
            return np.zeros(3)

    with pytest.raises(CellError, match=r"Wrong gave float64 \[3\] for 4 observations"):
        run_small(tmp_path, names=["oracle"], agents={"wrong": Wrong})
    assert load_results(tmp_path).entrants == ("oracle",)


def test_pythons_function_does_what_the_command_does(small, tmp_path, capsys):
    found = benchmark.run(
        {"mine": Still}, profile="small", entrants=["oracle"], out=tmp_path / "out", workers=1
    )
    assert found.entrants == ("mine", "oracle")
    assert (tmp_path / "out" / "report.html").is_file()
    printed = capsys.readouterr().out
    assert "mine" in printed
    assert "report.html" in printed
    first, second = (tmp_path / "out" / "cells" / name for name in ("oracle", "mine"))
    assert run_langrl("benchmark", "compare", first, second) == 0
    assert "improvement" in capsys.readouterr().out


def test_every_entrant_of_a_profile_exists_and_can_be_trained_somewhere():
    for name, profile in PROFILES.items():
        assert set(profile.worlds) <= set(SUITES["langrl/AmbiguousInstructions-v1"].worlds)
        for entrant in (ENTRANTS[each] for each in profile.entrants):
            worlds = [World(world) for world in profile.worlds]
            fit = [world for world in worlds if world.kind in entrant.kinds]
            assert fit
            for world in fit if entrant.family is not None else ():
                if entrant.family.startswith("sb3"):
                    pytest.importorskip("stable_baselines3")
                config = config_of(entrant.family, world, 3, name)
                assert config.seed == 3
                assert world.name in worlds_of(config)


def test_every_family_has_a_preset_in_each_of_its_worlds():
    for name, family in FAMILIES.items():
        for entrant in ENTRANTS.values():
            if entrant.family == name:
                assert set(entrant.kinds) & set(family.presets)
