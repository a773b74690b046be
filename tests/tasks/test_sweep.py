import math
from collections import Counter

import numpy as np
import pytest

from langrl.errors import ConfigError, UnknownNameError
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.sweep import (
    Range,
    fields_of,
    grid_settings,
    metric_of,
    random_settings,
    read_grid,
    read_ranges,
    summarise_sweep,
    sweep_cells,
)

CONFIG = MazeRunConfig()


def drawn(ranges, count, seed=0, grid=None):
    generator = np.random.default_rng(seed)
    given = read_ranges(ranges, CONFIG)
    settings = random_settings(CONFIG, read_grid(grid or [], CONFIG), given, count, generator)
    return [setting.changes for setting in settings]


def test_fields_are_those_of_the_flags():
    fields = dict(fields_of(MazeRunConfig))
    assert {"seed", "learner.steps", "critic.width", "grounding.strategy"} <= set(fields)
    assert "learner" not in fields


def test_a_grid_has_every_combination_and_the_last_field_changes_fastest():
    grid = read_grid(["learner.steps=5,10", "critic.energy=dot,neg_l2"], CONFIG)
    settings = grid_settings(CONFIG, grid)
    assert [setting.changes for setting in settings] == [
        {"learner.steps": steps, "critic.energy": energy}
        for steps in (5, 10)
        for energy in ("dot", "neg_l2")
    ]
    assert settings[1].config.critic.energy == "neg_l2"
    assert settings[1].config == CONFIG.model_copy(
        update={
            "learner": CONFIG.learner.model_copy(update={"steps": 5}),
            "critic": CONFIG.critic.model_copy(update={"energy": "neg_l2"}),
        }
    )


@pytest.mark.parametrize("name", ["learner.learning-rate", "--learner.learning-rate"])
def test_fields_may_be_written_as_flags(name):
    (setting,) = grid_settings(CONFIG, read_grid([f"{name}=1e-3"], CONFIG))
    assert setting.changes == {"learner.learning_rate": 0.001}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learner.step=1", "did you mean 'learner.steps'"),
        ("learner", "write field=a,b,c"),
        ("=1", "write field=a,b,c"),
        ("learner.steps=", "a value is empty"),
        ("learner.steps=1,,2", "a value is empty"),
        ("seed=1,2", "--seeds sets seed"),
        ("task=grid", "--config sets task"),
    ],
)
def test_wrong_grids_are_refused_with_a_repair(text, said):
    with pytest.raises((ConfigError, UnknownNameError), match=said):
        read_grid([text], CONFIG)


def test_a_field_is_changed_once():
    with pytest.raises(ConfigError, match="there twice"):
        read_grid(["learner.steps=1", "learner.steps=2"], CONFIG)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learner.steps=few", r"learner.steps=few: learner.steps: takes a whole number, got 'few'"),
        ("learner.steps=0", "greater than"),
        ("critic.energy=dott", "takes 'cosine' or 'dot'"),
    ],
)
def test_values_that_the_config_refuses_name_the_field(text, said):
    with pytest.raises(ConfigError, match=said):
        grid_settings(CONFIG, read_grid([text], CONFIG))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learner.steps=5", "write learner.steps=low:high"),
        ("learner.steps=9:5", "write learner.steps=low:high"),
        ("learner.steps=a:b", "write learner.steps=low:high"),
        ("learner.steps=1:nan", "write learner.steps=low:high"),
        ("learner.steps=1:5:ln", "write learner.steps=low:high"),
        ("learner.steps=0:5:log", "low is above 0"),
        ("learner.stepss=1:5", "did you mean 'learner.steps'"),
    ],
)
def test_wrong_ranges_are_refused_with_a_repair(text, said):
    with pytest.raises((ConfigError, UnknownNameError), match=said):
        read_ranges([text], CONFIG)


def test_a_range_is_of_a_field_with_numbers():
    with pytest.raises(ConfigError, match=r"critic.energy: it takes no numbers; use --grid"):
        drawn(["critic.energy=1:2"], 2)


def test_more_settings_of_one_seed_begin_with_the_same_ones():
    ranges = ["learner.learning_rate=1e-4:1e-2:log", "learner.steps=5:50"]
    few, more = (drawn(ranges, count, grid=["critic.energy=dot,neg_l2"]) for count in (3, 6))
    assert more[:3] == few
    assert drawn(ranges, 3, seed=1) != few
    for changes in more:
        assert 1e-4 <= changes["learner.learning_rate"] <= 1e-2
        assert changes["learner.steps"] in range(5, 51)
        assert changes["critic.energy"] in ("dot", "neg_l2")


def test_settings_that_are_drawn_are_different():
    assert sorted(each["learner.steps"] for each in drawn(["learner.steps=5:8"], 4)) == [5, 6, 7, 8]
    with pytest.raises(ConfigError, match="there are 4 settings"):
        drawn(["learner.steps=5:8"], 5)


def test_ranges_are_uniform_in_numbers_or_in_logarithms():
    generator = np.random.default_rng(0)
    whole = Counter(Range(1, 4).draw(generator, whole=True) for _ in range(4000))
    assert set(whole) == {1, 2, 3, 4}
    assert max(whole.values()) < 1.15 * min(whole.values())
    logs = [math.log10(Range(1e-4, 1, True).draw(generator, whole=False)) for _ in range(4000)]
    assert np.histogram(logs, 4, (-4, 0))[0] == pytest.approx(1000, rel=0.1)


def test_each_config_has_a_run_folder_of_its_own(tmp_path):
    settings = grid_settings(CONFIG, read_grid(["learner.steps=5,10"], CONFIG))
    cells = sweep_cells(settings, 2, tmp_path, "langrl sweep")
    assert [cell.label.rpartition("-")[0] for cell in cells] == [
        f"steps={steps}-seed-{seed}" for steps in (5, 10) for seed in (0, 1)
    ]
    other = CONFIG.model_copy(update={"threads": 2})
    again = sweep_cells(
        grid_settings(other, {"learner.steps": ["5", "10"]}), 2, tmp_path, "langrl sweep"
    )
    assert not {cell.output for cell in cells} & {cell.output for cell in again}


RESULT = {
    "rows": [
        {"method": "direct", "success": 0.0, "note": "x"},
        {"method": "log_sum_exp", "success": 0.5},
        {"method": "log_sum_exp", "success": 1.0},
    ],
    "metrics": {"loss": 2.0},
    "train_seconds": 1.0,
}


def test_a_metric_is_a_mean_over_rows_or_the_last_one_in_training():
    assert metric_of(RESULT, "success", "log_sum_exp") == 0.75
    assert metric_of(RESULT, "loss", "log_sum_exp") == 2.0
    with pytest.raises(UnknownNameError, match="did you mean 'success'"):
        metric_of(RESULT, "sucess", "direct")
    with pytest.raises(UnknownNameError, match="did you mean 'log_sum_exp'"):
        metric_of(RESULT, "success", "log_sum")


def test_the_table_has_means_over_seeds_of_the_runs_own_method():
    settings = grid_settings(CONFIG, read_grid(["learner.steps=5,10"], CONFIG))
    worse = RESULT | {"rows": [{"method": "log_sum_exp", "success": 0.25}], "train_seconds": 3.0}
    own = CONFIG.grounding.strategy
    results = [RESULT, worse, worse, worse]
    for result in results:
        result["rows"] = [row | {"method": own} for row in result["rows"][-1:]]
    rows = summarise_sweep(settings, results, "success", None)
    assert rows[0] == {
        "learner.steps": 5, "method": own, "seeds": 2, "success": 0.625,
        "success_sem": pytest.approx(0.375), "train_seconds": 2.0,
    }  # fmt: skip
    assert rows[1]["success"] == 0.25
