import shlex
import shutil

import pytest
from command_line import read_results, run_langrl

from langrl.checkpoint import find_checkpoint, read_checkpoint
from langrl.errors import ConfigError
from langrl.models.critics.level import LevelCritic, LevelHistoryCritic
from langrl.play.playground import open_run
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.grid.level_suite import LevelSuite
from langrl.tasks.loading import load_agent
from langrl.tasks.presets import load_config, parse_config
from langrl.tasks.registry import TASKS, config_beside
from langrl.tasks.suite import suite_of

LEVEL = "BabyAI-GoToRedBallGrey-v0"
SHORT = " --evaluation.episodes 2 --logging.log-every 4 --logging.checkpoint-every 4"
FULL = shlex.split(
    f"--config babyai --env {LEVEL} --data.rooms 3 --data.trajectories-per-room 2"
    " --learner.steps 8 --learner.rooms 3 --learner.states 4 --learner.warmup 2"
    " --critic.embedding 8 --critic.channels 8 --critic.depth 1 --critic.width 16" + SHORT
)
PARTIAL = shlex.split(
    f"--config babyai-partial --env {LEVEL} --data.walkers bot --data.rooms 3"
    " --data.trajectories-per-room 1 --data.segments 2 --data.length 16 --learner.steps 8"
    " --learner.explorations 3 --learner.states 4 --learner.warmup 2 --learner.anchors 8"
    " --critic.embedding 8 --critic.width 16 --history.model.embedding 8"
    " --history.model.context 8 --history.model.horizon 2 --history.model.width 16" + SHORT
)


@pytest.fixture(scope="module", params=[FULL, PARTIAL], ids=["full", "partial"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("level") / "run"
    assert run_langrl("train", *request.param, "--out", folder) == 0
    return folder


def test_a_run_in_a_level_is_evaluated_there(run):
    methods = {row["method"] for row in read_results(run)["rows"]}
    assert {"log_sum_exp", "max_goal", "random"} <= methods
    suite = suite_of(config_beside(run))
    assert isinstance(suite, LevelSuite)
    assert suite.level == LEVEL
    assert isinstance(load_agent(run).critic, LevelCritic | LevelHistoryCritic)


def test_its_agents_act_in_other_levels(run, tmp_path):
    command = "--env BabyAI-GoToObj-v0 --episodes 2 --methods log_sum_exp --phrasings seen --out"
    assert run_langrl("evaluate", run, *command.split(), tmp_path / "e") == 0
    assert [row["method"] for row in read_results(tmp_path / "e")["rows"]] == ["log_sum_exp"]


def test_a_resumed_run_has_the_same_bits_whatever_was_kept_of_its_walks(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    weights = read_checkpoint(find_checkpoint(run)).tensors["weights"]
    shutil.rmtree(find_checkpoint(copy))
    shutil.rmtree(copy / "replay")
    (copy / "results.json").unlink()
    assert run_langrl("train", "--resume", copy) == 0
    again = read_checkpoint(find_checkpoint(copy)).tensors["weights"]
    assert weights.keys() == again.keys()
    assert all(weights[name].equal(again[name]) for name in weights)


def test_what_sees_the_whole_level_is_played_with_there(run):
    if "partial" in (run / "config.yaml").read_text():
        with pytest.raises(ConfigError, match="cannot be played with"):
            open_run(run)
    else:
        assert open_run(run).world.level == LEVEL


@pytest.mark.parametrize("name", ["grid", "grid-partial"])
def test_where_and_who_change_what_is_learned(name, tmp_path):
    model = TASKS[name].config_class
    module = TASKS[name].module("run")
    tiny = {"data": {"rooms": 1, "trajectories_per_room": 1}, "learner": {"steps": 1}}
    data = {
        module.build(model.model_validate(tiny | more), tmp_path / str(n)).data_sha256
        for n, more in enumerate(
            [
                {},
                {"env": LEVEL},
                {"env": "BabyAI-GoToObj-v0"},
                {"env": LEVEL, "data": tiny["data"] | {"walkers": "bot"}},
            ]
        )
    }
    assert len(data) == 4


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            "env: BabyAI-GoToObj-v0\nworld: {worlds: [crowded]}",
            "world.worlds has no effect in Baby",
        ),
        ("data: {walkers: bot}", "data.walkers bot needs env"),
        ("env: FetchReach-v4", "env is a level of MiniGrid or BabyAI here"),
        (
            "env: BabyAI-GoToObj-v0\ngrounding: {compare_separate: true}",
            "grounding.compare_separate has no effect in BabyAI-GoToObj-v0",
        ),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(fields, told):
    with pytest.raises(ConfigError, match=told):
        parse_config(f"task: grid\n{fields}\n", "x.yaml", GridRunConfig)


@pytest.mark.parametrize("level", ["BabyAI-GoToLocol-v0", "MiniGrid-Empty-5x5-v0"])
def test_a_level_that_cannot_be_learned_in_is_refused(level, tmp_path):
    config = load_config("babyai", GridRunConfig).model_copy(update={"env": level})
    with pytest.raises(ValueError, match=r"did you mean|goal"):
        TASKS["grid"].module("run").build(config, tmp_path)


def test_the_demo_follows_a_text_and_draws_film_strips(tmp_path):
    config = tmp_path / "tiny.yaml"
    config.write_text(
        f"task: grid\nenv: {LEVEL}\n"
        "data: {rooms: 2, trajectories_per_room: 2}\n"
        "critic: {embedding: 8, channels: 8, depth: 1, width: 16}\n"
        "learner: {steps: 2, rooms: 2, states: 4, warmup: 1}\nevaluation: {episodes: 2}\n"
    )
    words = ["--world", "babyai", "--config", config, "--instruction", "go to a red ball"]
    assert run_langrl("demo", *words, "--out", tmp_path / "demo") == 0
    methods = {row["method"] for row in read_results(tmp_path / "demo")["rows"]}
    assert {"log_sum_exp", "oracle", "random"} <= methods
    drawn = {path.name for path in (tmp_path / "demo" / "figures").iterdir()}
    assert {"instruction.png", "film-log_sum_exp.gif", "posterior.png"} <= drawn
