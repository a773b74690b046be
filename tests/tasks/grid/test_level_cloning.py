import numpy as np
import pytest

from langrl.checkpoint import find_checkpoint, read_checkpoint
from langrl.data.grid.demonstrations import draw_demonstrations
from langrl.evaluation.rollouts import run_episodes
from langrl.tasks.grid.level_cloning import clone_in_level
from langrl.tasks.grid.level_suite import level_suite
from langrl.tasks.registry import TASKS
from langrl.training.logs import read_metrics

LEVEL = "BabyAI-GoToRedBallGrey-v0"


def config_of(task, language, logging=None, **learner):
    model = TASKS[task].config_class
    tiny = {
        "grid": {"critic": {"channels": 8, "depth": 1, "width": 16}, "rooms": 4, "states": 4},
        "grid-partial": {"critic": {"width": 16}, "explorations": 4},
    }[task]
    critic = tiny.pop("critic")
    settings = {"steps": 4, "warmup": 1} | tiny | learner
    fields = {"env": LEVEL, "language": str(language), "critic": critic, "learner": settings}
    fields |= {"logging": logging or {}}
    return model.model_validate(fields)


@pytest.mark.parametrize("task", ["grid", "grid-partial"])
def test_a_cloned_policy_acts_and_is_trained_once(task, tiny_language, tmp_path, capsys):
    config = config_of(task, tiny_language)
    make = clone_in_level(config, 5, tmp_path / "a")
    suite = level_suite(LEVEL, None if task == "grid" else 7)
    env = suite.tasks(suite.settings.model_copy(update={"episodes": 2}))
    first = run_episodes(env, make(), 0)
    assert (first.steps > 0).all()
    again = run_episodes(env, clone_in_level(config, 5, tmp_path / "a")(), 0)
    assert np.array_equal(first.steps, again.steps)
    assert "using the cloned policy" in capsys.readouterr().out
    clone_in_level(config, 5, tmp_path / "b")
    weights, theirs = (
        read_checkpoint(find_checkpoint(tmp_path / name)).tensors["weights"] for name in "ab"
    )
    assert all(weights[name].equal(theirs[name]) for name in weights)


def test_of_more_demonstrations_the_first_are_the_same(tmp_path):
    few, more = (draw_demonstrations(LEVEL, n, 7, 0, tmp_path / str(n)) for n in (3, 6))
    assert few.missions == more.missions[:3]
    count = len(few.actions)
    assert np.array_equal(few.actions, more.actions[:count])
    assert np.array_equal(few.views, more.views[:count])
    assert more.demonstration[-1] == 5


def test_parts_between_changes_have_one_scene_each(tmp_path):
    shown = draw_demonstrations("BabyAI-OpenTwoDoors-v0", 4, None, 0, tmp_path)
    part, texts = shown.by_scene()
    assert len(texts) == part.terminals.sum() == len(part.rooms)
    assert len(texts) > 4  # a door was opened
    assert set(texts) == set(shown.missions)
    assert np.array_equal(part.rooms[part.room], shown.scenes[shown.scene])


def test_it_learns_what_it_is_shown(tiny_language, tmp_path):
    config = config_of("grid", tiny_language, steps=160, logging={"log_every": 10})
    clone_in_level(config, 20, tmp_path)
    losses = [row["loss"] for row in read_metrics(tmp_path / "metrics.jsonl")]
    assert losses[-1] < losses[0] - 0.2
