"""Tasks of the benchmark in levels of BabyAI: what is drawn, who acts there, and what is said."""

import json
from collections import Counter

import numpy as np
import pytest
from command_line import run_langrl

from langrl.benchmark import default_folder
from langrl.benchmark.beliefs import beliefs_of, intents_of
from langrl.benchmark.calibration import calibration_tasks, first_observations
from langrl.benchmark.entrants import ENTRANTS, Setting
from langrl.benchmark.evaluating import evaluate_entrant
from langrl.benchmark.families import World, config_of, made_for, run_name, worlds_of
from langrl.benchmark.level_situations import draw_situations
from langrl.benchmark.level_world import LEFT_OUT, LEVEL_IDS, LEVELS
from langrl.benchmark.planning import plan
from langrl.benchmark.profiles import FAST, FULL, PROFILES, SMOKE
from langrl.benchmark.results import load_results
from langrl.benchmark.rollout import roll_out
from langrl.benchmark.suites import SUITES
from langrl.benchmark.tasks import draw_tasks, make_tasks_env
from langrl.envs.minigrid_levels.reading import DONE, PICKUP, as_rooms
from langrl.envs.minigrid_levels.tasks import denoted_by, read_task
from langrl.envs.phrasing import TASK_PHRASINGS
from langrl.errors import ConfigError, ResultsError, UnknownNameError
from langrl.grounding.beliefs import ExactBeliefs
from langrl.tasks.grid.levels import LevelPlanner
from langrl.tasks.loading import agents_of_run
from langrl.tasks.registry import config_beside

FIRST, SECOND = (f"langrl/AmbiguousInstructions-v{n}" for n in (1, 2))
LOCAL = "level-goto-local"
PAIRS = 6
TASKS = {name: draw_tasks(name, PAIRS, 3, "any") for name in LEVELS}


@pytest.fixture(params=list(LEVELS))
def tasks(request):
    return TASKS[request.param]


# -- what is drawn -----------------------------------------------------------------------------


def test_each_ambiguous_task_has_a_twin_that_denotes_what_is_meant(tasks):
    for task, twin in zip(tasks[::2], tasks[1::2], strict=True):
        assert (task.start, task.room, task.pair) == (twin.start, twin.room, twin.pair)
        assert twin.denoted == (task.intended,) == (twin.intended,)
        assert task.intended in task.denoted
        assert twin.bits == 0 < task.bits
        assert task.instruction != twin.instruction
    assert {task.phrasing for task in tasks} == set(TASK_PHRASINGS)
    assert {task.level for task in tasks if not task.twin} == {1, 2}


def test_a_text_denotes_what_the_task_says_and_asks_for_what_the_level_does(tasks):
    wanted = (PICKUP,) if tasks[0].world == "level-pickup-loc" else (DONE,)
    for task in tasks:
        read = read_task(task.instruction)
        denoted = denoted_by(read, as_rooms(task.room_array[None])[0, ..., :2], task.room_array)
        np.testing.assert_array_equal(denoted.cells, task.denoted_mask)
        assert read.acts == wanted


def test_places_are_named_in_one_level_alone():
    kinds = {
        name: {task.kind for task in draw_tasks(name, 40, 0, "any")}
        for name in ("level-goto-local", "level-pickup-loc")
    }
    assert kinds["level-goto-local"] <= {"type", "colour", "full"}
    assert {"place", "full"} <= kinds["level-pickup-loc"]


def test_a_seed_fixes_the_tasks(tasks):
    name = tasks[0].world
    assert draw_tasks(name, PAIRS, 3, "any") == tasks
    assert draw_tasks(name, PAIRS, 4, "any") != tasks


def test_a_level_of_ambiguity_that_cannot_be_had_is_refused(monkeypatch):
    monkeypatch.setattr("langrl.benchmark.level_situations._ROUNDS", 1)
    with pytest.raises(ConfigError, match="has too few tasks; leave a level of ambiguity out"):
        draw_situations("BabyAI-GoToObj-v0", (1,), False, 2, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="are not about one object; choose another level"):
        draw_situations("BabyAI-PutNextLocal-v0", (1,), False, 2, np.random.default_rng(0))


def test_levels_have_no_hidden_intents():
    with pytest.raises(ConfigError, match="has no tasks of mode 'hidden': a level ends by itself"):
        draw_tasks(LOCAL, 1, 0)
    with pytest.raises(ConfigError, match="use mode 'any'"):
        SUITES[SECOND].tasks(LOCAL, "hidden")
    assert {task.mode for task in calibration_tasks(LOCAL, 4, 0)} == {"any"}


# -- environments ------------------------------------------------------------------------------


def test_the_environment_starts_the_tasks_and_starts_them_again(tasks):
    envs = make_tasks_env(tasks)
    observation, info = envs.reset(seed=0)
    assert observation["instruction"] == tuple(task.instruction for task in tasks)
    np.testing.assert_array_equal(observation["observation"], first_observations(tasks))
    np.testing.assert_allclose(info["ambiguity_bits"], [task.bits for task in tasks])
    np.testing.assert_allclose(info["shortest_steps"], [task.shortest_steps for task in tasks])
    envs.step(np.zeros(len(tasks), int))
    mask = np.arange(len(tasks)) == 1
    again, _ = envs.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(again["observation"][1], observation["observation"][1])
    assert again["instruction"][1] == tasks[1].instruction
    assert (again["observation"][0] != observation["observation"][0]).any()
    envs.close()


def test_the_planner_of_experts_reaches_the_ceiling_by_the_shortest_way(tasks):
    outcomes = roll_out(tasks, LevelPlanner(), 0).outcomes
    assert outcomes.success.all()
    np.testing.assert_array_equal(outcomes.steps, outcomes.shortest_steps)
    assert (outcomes.value == 1).all()


def test_who_knows_less_does_less():
    tasks = draw_tasks(LOCAL, 12, 0, "any")
    shares = {}
    for name in ("oracle", "nearest_object", "random"):
        agent = ENTRANTS[name].make(Setting(World(LOCAL)))
        shares[name] = roll_out(tasks, agent, 0).outcomes.success.mean()
    assert shares["oracle"] == 1 > shares["nearest_object"]
    assert shares["random"] < 1


def test_nothing_can_be_asked_in_a_level():
    with pytest.raises(ConfigError, match="wraps a vector environment of a world of langrl"):
        make_tasks_env(TASKS[LOCAL], price=0.2)


# -- beliefs -----------------------------------------------------------------------------------


def test_exact_beliefs_are_uniform_over_what_is_denoted(tasks):
    beliefs = ExactBeliefs(intents_of(tasks[0].world))
    texts = [task.instruction for task in tasks]
    found = beliefs.log_posterior(first_observations(tasks), texts).exp().numpy()
    expected = np.stack([task.denoted_mask.reshape(-1) for task in tasks])
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True))


def test_each_object_has_goals_that_can_be_reached(tasks):
    intents = intents_of(tasks[0].world)
    seen = first_observations(tasks[:1])
    goals = intents.goals(seen[0])
    possible = np.flatnonzero(intents.possible(seen)[0])
    assert set(intents.reached(goals).tolist()) <= set(possible.tolist())
    meant = np.ravel_multi_index(tasks[0].intended, intents.shape)
    assert meant in intents.reached(goals)
    labels = intents.labels(seen)[0]
    assert (labels[:, possible] >= 0).all()
    unknown = intents.denoted(seen, ["sing a song about nothing"])
    np.testing.assert_array_equal(unknown, intents.possible(seen))


# -- agents of grid worlds ---------------------------------------------------------------------


def test_agents_of_a_run_in_grid_worlds_act_in_levels(small_run, monkeypatch):
    run = small_run("grid")
    trained = agents_of_run(run, config_beside(run))
    entrant = ENTRANTS["offline-log_sum_exp"]
    agent = entrant.make(Setting(World(LOCAL), trained=trained))
    rollout = roll_out(TASKS[LOCAL][:4], agent, 0)
    assert len(rollout.outcomes) == 4
    assert np.isfinite(rollout.outcomes.nll).all()
    beliefs = beliefs_of(agent, LOCAL)
    assert beliefs.intents.shape == (8, 8)
    assert made_for(World("grid-goto"), trained) is trained
    assert set(LEVELS) < set(worlds_of(config_beside(run)))
    partial = config_beside(small_run("partial"))
    assert worlds_of(partial) == ()


def test_a_run_takes_part_in_levels_as_in_its_own_worlds(small_run, tmp_path, monkeypatch):
    run = str(small_run("grid"))
    with pytest.raises(ConfigError, match="was trained in grid-goto, not in grid-rooms; give"):
        plan(tmp_path, "smoke", names=[run], worlds=["grid-rooms"])
    with pytest.raises(ConfigError, match=r"trained in grid-goto and can act in level-.*, not in"):
        plan(tmp_path, "smoke", suite=SECOND, names=[run], worlds=["grid-rooms"])
    made = plan(tmp_path, "smoke", suite=SECOND, names=[run], worlds=[LOCAL])
    monkeypatch.setitem(PROFILES, "smoke", SMOKE)
    found = evaluate_entrant(made.own[0].entrant, LOCAL, 0, "smoke", SECOND, "command")
    assert len(found["outcomes"]["task"]) == SMOKE.level_tasks
    assert {row["world"] for row in found["examples"]} <= {LOCAL}
    assert all(len(row["room"][0][0]) == 2 for row in found["examples"])


def test_levels_use_the_runs_of_grid_worlds():
    world = World(LOCAL)
    assert (world.kind, world.own_name, world.env_id) == (
        "level", "goto_local", "BabyAI-GoToLocal-v0",
    )  # fmt: skip
    assert World.of(world.env_id) == world
    for profile in ("smoke", "fast", "full"):
        grid = World("grid-goto")
        assert run_name("offline", world, 0, profile) == run_name("offline", grid, 0, profile)
        assert config_of("offline", world, 0, profile) == config_of("offline", grid, 0, profile)


# -- plans -------------------------------------------------------------------------------------


def test_a_plan_has_levels_in_the_second_version_alone(tmp_path):
    for name, profile in PROFILES.items():
        if name in ("smoke", "fast", "full"):
            first, second = (plan(tmp_path, name, suite=suite) for suite in (FIRST, SECOND))
            assert first.worlds == plan(tmp_path, name).worlds == profile.worlds
            assert second.worlds == (*profile.worlds, *profile.levels)
    assert set(FULL.levels) == set(LEVELS)
    assert SMOKE.level_tasks < FAST.level_tasks < FULL.level_tasks


def test_what_a_profile_says_of_levels_does_not_change_its_first_version():
    """Folders that were begun before there were levels go on."""
    worlds = SUITES[FIRST].worlds
    assert FAST.digest(worlds) == (
        "cd612a85d3f037819b63d318a8840c51bd5ed1a6a641f8988ebabbf06feae5b3"
    )
    assert FAST.digest(SUITES[SECOND].worlds) != FAST.digest(worlds)


def test_who_cannot_act_in_levels_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"posterior-pays acts in .* of which level-goto-local"):
        plan(tmp_path, "smoke", suite=SECOND, names=["posterior-pays"], worlds=[LOCAL])
    kinds = {name: "level" in entrant.kinds for name, entrant in ENTRANTS.items()}
    acts = {name for name, here in kinds.items() if here}
    assert acts == {
        "oracle", "nearest_object", "random", "offline-log_sum_exp", "offline-nearest_goal",
        "offline-sampled_goal", "offline-max_goal",
    }  # fmt: skip


def test_names_of_the_other_version_say_which_flag_is_missing(tmp_path):
    with pytest.raises(UnknownNameError, match=f"no world 'level-goto-open'; add --suite {SECOND}"):
        plan(tmp_path, "smoke", worlds=["level-goto-open"])
    with pytest.raises(UnknownNameError, match="no benchmark suite named"):
        plan(tmp_path, "smoke", suite="langrl/Ambiguous-v9")


def test_folders_of_the_other_version_are_refused(tmp_path):
    told = {"suite": SECOND, "hash": SUITES[SECOND].version_hash, "profile": "smoke", "digest": ""}
    (tmp_path / "benchmark.json").write_text(json.dumps(told))
    with pytest.raises(
        ResultsError, match=f"holds results of {SECOND}.*; add --suite {SECOND}, or"
    ):
        plan(tmp_path, "smoke")
    assert default_folder("fast") == default_folder("fast", FIRST)
    assert default_folder("fast", SECOND).name == "benchmark-fast-v2"


# -- the command -------------------------------------------------------------------------------


def test_the_command_runs_levels_reports_and_compares(tmp_path, capsys):
    out = tmp_path / "out"
    flags = ["--profile", "smoke", "--suite", SECOND, "--worlds", LOCAL, "--workers", 1]
    run = ["benchmark", "run", *flags, "--agents", "oracle", "random", "--out", out]
    assert run_langrl(*run) == 0
    results = load_results(out, SUITES[SECOND].version_hash)
    assert results.suite == SECOND
    counts = Counter(cell.entrant for cell in results.cells)
    assert counts == {"oracle": 1, "random": 1}
    assert len(results.runs("oracle")[LOCAL, 0]) == SMOKE.level_tasks
    assert results.runs("oracle")[LOCAL, 0].success.all()
    page = (out / "report.html").read_text()
    assert SECOND in page
    assert "oracle" in page
    assert f"--suite {SECOND}" in results.only("random").cells[0].about["command"]
    capsys.readouterr()
    cells = out / "cells"
    assert run_langrl("benchmark", "compare", cells / "oracle", cells / "random") == 0
    assert "oracle" in capsys.readouterr().out


def test_the_list_has_both_versions_and_says_what_levels_leave_out(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for suite in SUITES.values():
        monkeypatch.setattr(
            type(suite), "tasks", lambda self, world, mode: draw_tasks("street-slit", 1, 0, "any")
        )
    assert run_langrl("benchmark", "list") == 0
    printed = capsys.readouterr().out
    for name, suite in SUITES.items():
        assert name in printed
        assert suite.version_hash[:16] in printed
    assert all(world in printed for world in LEVELS)
    assert "what levels of BabyAI have not" in printed
    assert all(what.split(",")[0] in printed for what in LEFT_OUT)
    assert list(LEVEL_IDS) == [level.env_id for level in LEVELS.values()]
