import numpy as np
import pytest
import torch
from command_line import read_results, run_langrl

from langrl.envs.grid.rooms import DONE, FORWARD, ahead, facing, pose_distances
from langrl.envs.minigrid_levels.env import MiniGridLevelEnv
from langrl.envs.minigrid_levels.goals import reachable_poses
from langrl.envs.minigrid_levels.planning import action_towards, steps_to
from langrl.envs.minigrid_levels.reading import LOCKED, PICKUP, SHUT, TOGGLE, as_rooms, pose_of
from langrl.evaluation.comparison import compare, summarise
from langrl.evaluation.rollouts import run_episodes
from langrl.functional.energies import ENERGIES
from langrl.grounding.level_candidates import LevelPoses
from langrl.models.config import GridCriticConfig
from langrl.models.critics.grid import GridCritic
from langrl.models.critics.level import NEVER, LevelCritic
from langrl.tasks.grid.level_suite import level_suite
from langrl.tasks.grid.levels import LevelPlanner


@pytest.fixture(scope="module")
def grid_run(small_run):
    return small_run("grid")


@pytest.fixture(scope="module")
def critic():
    torch.manual_seed(0)
    config = GridCriticConfig(channels=8, depth=2, width=16, embedding=8)
    return LevelCritic(GridCritic(4, ENERGIES["neg_half_sq_l2"], config)).eval()


def before_a_shut_door():
    env = MiniGridLevelEnv("BabyAI-OpenDoor-v0")
    env.reset(seed=1)
    cells = np.zeros(env.layout.shape[:2], bool)
    cells[tuple(np.argwhere(env.layout[..., 2] == SHUT)[0])] = True
    targets = facing(cells[None], np.ones((1, *cells.shape), bool))[0]
    while (
        way := action_towards(env.layout, steps_to(env.layout, targets), pose_of(env._level))
    ) is not None:
        env.step(way)
    return env


def test_without_doors_the_way_is_as_long_as_in_grid_worlds():
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
    env.reset(seed=0)
    layout = env.layout
    free = as_rooms(layout[None])[..., 0] == 1
    targets = facing(env.denoted_cells[None], free)
    theirs = pose_distances(free, targets)[0].astype(float)
    theirs[theirs >= 10_000] = np.inf
    assert np.array_equal(steps_to(layout, targets[0]), theirs)


@torch.no_grad()
def test_the_critic_of_a_level_is_that_of_grid_worlds_with_what_can_be_done(critic):
    env = before_a_shut_door()
    observation = torch.from_numpy(env.layout[None].copy())
    plain = torch.from_numpy(as_rooms(env.layout[None]))
    pose = pose_of(env._level)
    goals = torch.tensor([[[*pose, act] for act in (DONE, PICKUP, TOGGLE)]])
    actions = torch.arange(7)[None]
    context = critic.initial_context(observation)
    embedded = critic.embed_actions(context, observation, actions)
    scores = critic.score(embedded, critic.embed_goals(context, goals))[0]  # [7, 3]
    inner = critic.critic
    room = inner.initial_context(plain)
    own = inner.score(
        inner.embed_actions(room, plain, torch.arange(4)[None]),
        inner.embed_goals(room, goals[..., :3]),
    )[0, :, 0]
    assert torch.allclose(scores[:2], own[:2, None].expand(2, 3), atol=1e-5)
    assert scores[FORWARD].max() < -20  # into a shut door
    assert torch.allclose(scores[TOGGLE, :2], own[FORWARD].expand(2), atol=1e-5)  # opens the way
    assert torch.isclose(scores[TOGGLE, 2], torch.maximum(own[FORWARD], own[DONE]), atol=1e-5)
    assert torch.isclose(scores[DONE, 0], own[DONE], atol=1e-5)
    assert torch.isclose(scores[PICKUP, 1], own[DONE], atol=1e-5)
    assert scores[PICKUP, 0] < NEVER + 10
    assert not critic.scene_changed(observation, observation).any()


def test_candidates_are_what_can_be_done_where_one_can_come():
    env = MiniGridLevelEnv("BabyAI-OpenDoor-v0")
    env.reset(seed=0)
    goals, weights = LevelPoses().draw(env.layout[None], np.random.default_rng(0))
    real = goals[0][weights[0] == 0]
    poses = reachable_poses(env.layout)
    assert {DONE, TOGGLE} <= set(real[:, 3].tolist())
    assert (real[:, 3] == DONE).sum() == len(poses)
    assert env.denotation(real, "open a door").sum() == (real[:, 3] == TOGGLE).sum()
    assert len(np.unique(real, axis=0)) == len(real)


def test_what_is_carried_is_no_candidate_to_pick_up():
    env = MiniGridLevelEnv("BabyAI-PickupDist-v0")
    env.reset(seed=0, options={"instruction": "pick up a ball"})
    cells = env.layout[..., 0] == 5
    targets = facing(cells[None], np.ones((1, *cells.shape), bool))[0]
    while (
        way := action_towards(env.layout, steps_to(env.layout, targets), pose_of(env._level))
    ) is not None:
        env.step(way)
    env.step(PICKUP)
    goals, weights = LevelPoses().draw(env.layout[None], np.random.default_rng(0))
    real = goals[0][weights[0] == 0]
    row, column = ahead(real[real[:, 3] == PICKUP])
    mine = pose_of(env._level)
    assert len(row)
    assert not ((row == mine[0]) & (column == mine[1])).any()


def test_a_locked_door_is_no_way():
    env = MiniGridLevelEnv("BabyAI-UnlockLocal-v0")
    env.reset(seed=0)
    layout = env.layout
    assert (layout[..., 2] == LOCKED).any()
    poses = reachable_poses(layout)
    assert not (layout[poses[:, 0], poses[:, 1], 2] == LOCKED).any()


@pytest.mark.parametrize(
    "level", ["BabyAI-GoToLocal-v0", "BabyAI-PickupDist-v0", "BabyAI-GoToDoor-v0"]
)
def test_the_planner_succeeds_by_shortest_ways(level):
    suite = level_suite(level)
    settings = suite.settings.model_copy(update={"episodes": 10})
    found = compare(
        {"oracle": LevelPlanner}, lambda: suite.tasks(settings, None, "held_out"), 0, "planner"
    )["oracle"]
    row = summarise(found)
    assert row["episodes"] == 10
    assert row["success"] > 0.85  # a held-out word may be misspelled beyond reading
    assert row["spl"] > 0.85


def test_missions_of_unknown_denotation_count_by_what_the_level_says():
    suite = level_suite("BabyAI-GoToSeqS5R2-v0")
    settings = suite.settings.model_copy(update={"episodes": 4})
    found = compare(dict(suite.baselines), lambda: suite.tasks(settings), 0, "judged")["random"]
    assert np.isnan(found.ambiguity_bits).any()
    assert found.known.all()
    assert summarise(found)["episodes"] == 4


def test_a_run_is_evaluated_in_a_level(grid_run, tmp_path, capsys):
    flags = ["--env", "BabyAI-GoToObj-v0", "--methods", "log_sum_exp", "oracle", "random"]
    common = [*flags, "--episodes", "4", "--out", tmp_path]
    assert run_langrl("evaluate", grid_run, *common, "--phrasings", "seen") == 0
    rows = read_results(tmp_path)["rows"]
    assert [row["method"] for row in rows] == ["log_sum_exp", "oracle", "random"]
    assert {row["level"] for row in rows} == {"BabyAI-GoToObj-v0"}
    assert {row["success"] for row in rows if row["method"] == "oracle"} == {1.0}
    assert (tmp_path / "figures" / "posterior.png").is_file()
    assert run_langrl("evaluate", grid_run, *common, "--instruction", "pick up a key") == 0
    assert "denotes 1 objects" in capsys.readouterr().out
    assert (tmp_path / "figures" / "instruction.png").is_file()


def test_a_run_that_sees_a_part_is_evaluated_in_minigrids_view(small_run, tmp_path, capsys):
    flags = ["--env", "BabyAI-GoToLocal-v0", "--methods", "log_sum_exp", "random"]
    common = [*flags, "--episodes", "4", "--out", tmp_path]
    run = small_run("partial")
    assert run_langrl("evaluate", run, *common, "--phrasings", "seen") == 0
    assert [row["episodes"] for row in read_results(tmp_path)["rows"]] == [4, 4]
    assert run_langrl("evaluate", run, *common, "--instruction", "pick up a key") == 0
    assert "the agent would" in capsys.readouterr().out


def test_what_is_no_level_for_a_run_is_named(grid_run, small_run, tmp_path, capsys):
    for run, level, message in (
        (grid_run, "BabyAI-GoToObi-v0", "did you mean 'BabyAI-GoToObj-v0'"),
        (grid_run, "MiniGrid-Empty-5x5-v0", "has goal cells"),
        (grid_run, "langrl/GridGoTo-v0", "such as BabyAI-GoToLocal-v0"),
        (grid_run, "", "minigrid has no level named ''; give one"),
        (small_run("maze"), "BabyAI-GoToObj-v0", "a run of street-maze does not act in levels"),
    ):
        assert run_langrl("evaluate", run, "--env", level, "--out", tmp_path) == 2
        assert message in capsys.readouterr().err


def test_the_planner_opens_the_door_in_the_place_that_is_named():
    suite = level_suite("BabyAI-OpenDoorLoc-v0")
    settings = suite.settings.model_copy(update={"episodes": 12})
    episodes = run_episodes(suite.tasks(settings), LevelPlanner(), 0)
    assert sum(" you" in text for text in episodes.instructions) > 3
    assert episodes.success.all()
