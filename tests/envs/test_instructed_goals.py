import dataclasses

import numpy as np
import pytest
from goal_plane import REACH, PlaneEngine

from langrl.envs.goal_words import GoalWords
from langrl.envs.instructed_goals import InstructedGoals
from langrl.envs.maze.cells import CellFrame
from langrl.envs.regions import RegionFrame
from langrl.errors import (
    ConfigError,
    InstructionError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from langrl.evaluation.batches import run_batches
from langrl.evaluation.comparison import compare, summarise
from langrl.evaluation.rollouts import run_episodes

WORDS = GoalWords(RegionFrame(("left-right", "bottom-top"), (0.0, 0.0), (1.0, 1.0)))
CELLS = GoalWords(CellFrame(("..", ".."), scale=(2.0, 2.0), steps_per_cell=10.0))


def tasks(count=4, words=WORDS, **options):
    engine = PlaneEngine(
        count, **{k: options.pop(k) for k in ("limit", "ends_at") & options.keys()}
    )
    return InstructedGoals(engine, words, **options)


class Walker:
    """Goes one way, whatever it is told."""

    def __init__(self, right=1.0, up=0.0):
        self.action, self.batches = np.array([right, up]) * 2, []

    def reset(self, generator=None, mask=None):
        self.generator = generator

    def act(self, observations, instructions=None, starts=None):
        self.batches.append((observations["observation"].copy(), tuple(instructions)))
        return np.tile(self.action, (len(instructions), 1))


def test_what_is_achieved_counts_and_not_the_worlds_own_goal():
    env = tasks()
    seen, info = env.reset(seed=0, options={"instruction": "go to the far right"})
    assert seen["instruction"] == ("go to the far right",) * 4
    assert set(info) == {"is_success", "ambiguity_bits", "shortest_steps", "started_satisfied"}
    assert (info["ambiguity_bits"] == 2).all()  # 4 of 16 boxes
    assert np.isnan(info["shortest_steps"]).all()
    assert not info["started_satisfied"].any()
    places = seen["observation"]
    for _ in range(3):
        over = places[:, 0] >= 0.75 - REACH
        seen, reward, terminated, truncated, info = env.step(np.tile([2.0, 0.0], (4, 1)))
        np.testing.assert_array_equal(terminated, over)
        np.testing.assert_array_equal(reward, over)
        np.testing.assert_array_equal(info["is_success"], over)
        assert not truncated.any()
        places = seen["observation"]
        if over.any():
            places = env.reset(options={"reset_mask": over, "instruction": "far right"})[0][
                "observation"
            ]


def test_starts_that_satisfy_a_text_are_drawn_again():
    env = tasks(64)
    seen, info = env.reset(seed=1, options={"instruction": "left"})
    assert (seen["observation"][:, 0] >= 0.5).all()
    assert not info["started_satisfied"].any()
    redrawn = env._engine.resets[1]  # all rows were reset first
    assert 10 < len(redrawn) < 60


def test_texts_are_drawn_that_the_start_does_not_satisfy():
    env = tasks(64, kinds=("half", "end"))
    seen, info = env.reset(seed=1)
    assert len(set(seen["instruction"])) > 20
    for place, text in zip(seen["observation"], seen["instruction"], strict=True):
        assert not WORDS.denotation(place[None], text)[0]
    assert not info["started_satisfied"].any()
    assert env._engine.resets == [list(range(64))]


def test_where_every_start_satisfies_the_text_it_is_said():
    words = GoalWords(RegionFrame(("left-right", "bottom-top"), (2.0, 0.0), (3.0, 1.0)))
    env = tasks(words=words)
    _, info = env.reset(seed=0, options={"instruction": "left"})
    assert info["started_satisfied"].all()
    with pytest.raises(ConfigError, match="each of the 4 episodes starts where its instruction"):
        run_episodes(env, Walker(), 0, {"instruction": "left"})


def test_a_seed_fixes_starts_and_texts():
    first, again, other = (tasks(8).reset(seed=seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first["observation"], again["observation"])
    assert first["instruction"] == again["instruction"] != other["instruction"]
    assert not np.array_equal(first["observation"], other["observation"])


def test_episodes_of_an_agent_that_goes_right():
    episodes = run_episodes(tasks(20), Walker(), 0, {"instruction": "to the right"})
    assert episodes.success.all()
    starts = np.array([path[0, 0] for path in episodes.paths])
    assert (starts < 0.5).all()
    np.testing.assert_array_equal(episodes.steps, np.ceil((0.5 - starts) / REACH - 1e-4))
    assert np.isnan(episodes.spl).all()
    row = summarise(episodes)
    assert (row["episodes"], row["success"], row["spl"]) == (20, 1.0, None)


def test_an_agent_that_goes_the_other_way_fails_in_time():
    episodes = run_episodes(tasks(10, limit=30), Walker(-1), 0, {"instruction": "go to the right"})
    assert not episodes.success.any()
    assert (episodes.steps == 30).all()


def test_paths_are_weighted_where_steps_of_cells_are_known():
    episodes = run_episodes(tasks(12, CELLS), Walker(0, 1), 0, {"instruction": "column 1"})
    assert episodes.success.all()
    assert (episodes.shortest_steps == 10).all()
    assert (episodes.spl == 1).all()  # no path is longer than a cell
    assert summarise(episodes)["spl"] == 1


def test_a_text_beyond_the_grammar_is_followed_and_not_judged():
    episodes = run_episodes(tasks(3, limit=5), Walker(), 0, {"instruction": "go to the ball"})
    assert not episodes.known.any()
    assert summarise(episodes)["success"] is None
    assert (episodes.steps == 5).all()


def test_agents_are_compared_on_the_same_tasks_and_the_world_is_closed():
    env, agents = tasks(6), [Walker(), Walker(-1)]
    results = compare({"right": lambda: agents[0], "left": lambda: agents[1]}, lambda: env, 5, "x")
    (places, texts), (others, same) = (agent.batches[0] for agent in agents)
    np.testing.assert_array_equal(places, others)
    assert texts == same
    assert results["right"].instructions == results["left"].instructions
    assert env._engine.closed


def test_the_worlds_own_end_ends_an_episode():
    episodes = run_episodes(tasks(10, ends_at=0.6), Walker(), 0, {"instruction": "far right"})
    inside = np.array([path[0, 0] <= 0.6 - REACH for path in episodes.paths])
    assert not episodes.success[inside].any()
    assert (episodes.steps[inside] < 20).all()


def test_more_episodes_than_environments():
    agent = Walker()
    told = []
    episodes = run_batches(
        tasks(4), agent, 10, 0, {"instruction": "right"}, lambda *done: told.append(done)
    )
    assert len(episodes.success) == len(episodes.paths) == len(episodes.instructions) == 10
    first = run_episodes(tasks(4), Walker(), 0, {"instruction": "right"})
    np.testing.assert_array_equal(first.steps, episodes.steps[:4])
    starts = np.array([path[0] for path in episodes.paths])
    assert len(np.unique(starts, axis=0)) == 10
    assert told[-1] == (10, 10)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        run_batches(tasks(4), agent, 0, 0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"instruction": "left and right"}, "use 'or'"),
        ({"instruction": " "}, "the instruction is empty"),
        ({"instruction": "x" * 1001}, "1001 characters"),
        ({"position": 3}, "no reset option 'position'; use 'instruction'"),
    ],
)
def test_a_text_that_is_refused_starts_nothing(options, says):
    env = tasks()
    env.reset(seed=0)
    before = len(env._engine.resets)
    with pytest.raises(InstructionError, match=says):
        env.reset(options=options)
    assert len(env._engine.resets) == before


def test_actions_are_checked():
    env = tasks()
    env.reset(seed=0)
    with pytest.raises(ShapeError, match=r"actions \[4, \.\.\.\] of Box"):
        env.step(np.zeros((3, 2)))
    with pytest.raises(NonFiniteError, match="fix the agent"):
        env.step(np.full((4, 2), np.inf))


def test_what_cannot_work_is_refused_before_an_episode_begins():
    engine = PlaneEngine(2)
    engine.spaces = dataclasses.replace(engine.spaces, max_episode_steps=None)
    with pytest.raises(ConfigError, match="set max_episode_steps"):
        InstructedGoals(engine, WORDS)
    with pytest.raises(UnknownNameError, match="no instruction type named 'row'"):
        tasks(kinds=("row",))
