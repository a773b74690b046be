"""Goal worlds side by side: transitions in every way of starting anew, and exact restoring."""

import gymnasium as gym
import numpy as np
import pytest
import toy_goal_worlds
from gymnasium.vector import AutoresetMode
from toy_goal_worlds import LIMIT, NEAR

from langrl.envs import goal_vector
from langrl.envs.goal_engine import GoalEngine
from langrl.envs.goal_vector import GoalVector, episode_seeds
from langrl.errors import (
    CheckpointError,
    ConfigError,
    GroundingError,
    LangRLError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)

LINE = "toys/Line-v0"
ENGINES = ("sync", "async", "array")
MODES = tuple(mode.value for mode in AutoresetMode)
ROWS = 4
FIELDS = (
    "acted", "reward", "terminated", "truncated", "success", "final_observation",
    "final_achieved", "started",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _array_engine(monkeypatch):
    engines = {**goal_vector.ENGINES, "toys/ArrayLine-v0": "toy_goal_worlds:LineEngine"}
    monkeypatch.setattr(goal_vector, "ENGINES", engines)


def make(how, rows=ROWS, seed=0, **kwargs):
    """A vector of lines: by an engine, or around a vector environment of a mode."""
    if how in MODES:
        return GoalVector(toy_goal_worlds.make_vector(rows, how, **kwargs), seed=seed)
    name = "toys/ArrayLine-v0" if how == "array" else LINE
    return GoalVector(name, rows, how, seed=seed, **kwargs)


def draw(vector, generator):
    action = vector.spaces.action
    if not action.shape:
        return generator.integers(action.n, size=vector.num_envs)
    return vector.spaces.to_action(generator.uniform(-1, 1, (vector.num_envs, *action.shape)))


def run(vector, steps, seed):
    generator = np.random.default_rng(seed)
    return [vector.step(draw(vector, generator)) for _ in range(steps)]


def assert_same(one, two):
    for a, b in zip(one, two, strict=True):
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        assert_seen_same(a.seen, b.seen)


def assert_seen_same(one, two):
    for name in ("observation", "achieved", "desired"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


@pytest.mark.parametrize("how", ENGINES + MODES)
def test_a_step_leads_within_one_episode_and_starts_show_its_first_state(how):
    vector = make(how)
    seen, names, waiting = vector.reset(), set(), np.zeros(ROWS, bool)
    ends = {"terminated": 0, "truncated": 0}
    for moved in run(vector, 300, seed=1):
        before, final = seen.observation, moved.final_observation
        acted = moved.acted
        np.testing.assert_array_equal(acted, ~waiting)
        np.testing.assert_array_equal(final[acted, 0], before[acted, 0])  # of the same episode
        np.testing.assert_array_equal(final[acted, 1], before[acted, 1] + 1)
        np.testing.assert_array_equal(moved.final_achieved[:, 0], final[:, 2])
        reached = np.abs(moved.final_achieved - seen.desired)[:, 0] < NEAR
        np.testing.assert_array_equal(moved.success[acted], reached[acted])
        np.testing.assert_array_equal(moved.terminated, reached & acted)
        cut_off = (final[:, 1] == LIMIT) & ~reached & acted
        np.testing.assert_array_equal(moved.truncated, cut_off)
        np.testing.assert_array_equal(moved.reward, (reached & acted).astype(np.float32))
        assert not moved.success[~acted].any()

        now = moved.seen.observation
        np.testing.assert_array_equal(now[moved.started, 1], 0)
        assert not set(now[moved.started, 0].tolist()) & names  # never met before
        np.testing.assert_array_equal(now[~moved.started], final[~moved.started])
        ended = moved.terminated | moved.truncated
        if how == "NextStep":
            np.testing.assert_array_equal(moved.started, waiting)
            waiting = ended
        else:
            np.testing.assert_array_equal(moved.started, ended)
        names |= set(before[:, 0].tolist())
        seen = moved.seen
        for name, count in ends.items():
            ends[name] = count + int(getattr(moved, name).sum())
    assert min(ends.values()) >= 20
    vector.close()


@pytest.mark.parametrize("how", ENGINES + MODES)
def test_what_is_returned_is_never_changed_later(how):
    vector = make(how)
    seen = vector.reset()
    kept, copies = [seen], [seen.observation.copy()]
    for moved in run(vector, 2 * LIMIT, seed=0):
        kept.append(moved.seen)
        copies.append(moved.seen.observation.copy())
    for one, two in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(one.observation, two)
    vector.close()


@pytest.mark.parametrize("reports", ["success", "is_success", None])
@pytest.mark.parametrize("how", ["sync", *MODES])
def test_success_is_read_in_every_way_it_is_reported(how, reports):
    moves = run_after_reset(make(how, reports=reports), 60)
    assert sum(moved.success.sum() for moved in moves) > 5
    for moved in moves:
        np.testing.assert_array_equal(moved.success, moved.terminated)


def run_after_reset(vector, steps, seed=1):
    vector.reset()
    moves = run(vector, steps, seed)
    vector.close()
    return moves


def test_success_does_not_end_episodes_of_worlds_that_go_on():
    moves = run_after_reset(make("sync", terminates=False), 60)
    assert sum(moved.success.sum() for moved in moves) > 5
    assert not any(moved.terminated.any() for moved in moves)
    assert all(moved.truncated.all() for moved in moves[LIMIT - 1 :: LIMIT])


def test_processes_change_nothing():
    assert_same(run_after_reset(make("sync"), 40), run_after_reset(make("async"), 40))


@pytest.mark.parametrize("how", ["sync", "array"])
def test_episodes_depend_on_the_seed_the_row_and_their_number_alone(how):
    few, many = make(how, rows=2), make(how, rows=3)
    assert_seen_same_rows(few.reset(), many.reset(), 2)
    assert_seen_same_rows(few.reset(), many.reset(), 2)
    other = make(how, rows=2, seed=1).reset()
    assert (other.observation[:, 0] != make(how, rows=2).reset().observation[:, 0]).all()


def assert_seen_same_rows(one, two, rows):
    for name in ("observation", "achieved", "desired"):
        np.testing.assert_array_equal(getattr(one, name)[:rows], getattr(two, name)[:rows])


def test_seeds_of_episodes_differ_and_are_as_the_engines_take_them():
    rows, numbers = (part.ravel() for part in np.indices((200, 200)))
    found = np.concatenate([episode_seeds(seed, rows, numbers) for seed in (0, 1)])
    assert found.dtype == np.int64
    assert found.min() >= 0
    assert found.max() < 2**31
    # 80,000 draws of 2**31 numbers meet about 1.5 times.
    assert len(np.unique(found)) >= len(found) - 12
    halves = np.bincount(found >> 30, minlength=2) / len(found)
    assert abs(halves[0] - 0.5) < 0.01


def test_numbers_of_episodes_and_rows_are_not_exchanged():
    one = episode_seeds(0, np.array([0, 1, 2]), np.array([1, 0, 2]))
    assert len(set(one.tolist())) == 3


@pytest.mark.parametrize("seen", ["dict", "image"])
@pytest.mark.parametrize("actions", ["discrete", "square"])
def test_every_sort_of_space_passes(seen, actions):
    moves = run_after_reset(make("sync", seen=seen, actions=actions), 10)
    shape, dtype = {"dict": ((16,), np.float32), "image": ((4, 5, 1), np.uint8)}[seen]
    assert moves[-1].seen.observation.shape == (ROWS, *shape)
    assert moves[-1].seen.observation.dtype == dtype


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("actions", ["discrete", "square"])
def test_given_vectors_of_images_and_other_actions_pass(mode, actions):
    moves = run_after_reset(make(mode, seen="image", actions=actions), 10)
    assert moves[-1].seen.observation.shape == (ROWS, 4, 5, 1)


class TestRestoring:
    def restored(self, make_one, steps, more):
        """Moves after storing within episodes: of the vector itself, and of a restored one."""
        first, second = make_one(0), make_one(99)
        first.reset()
        moves = run(first, steps, seed=1)
        state = first.state()
        seen = second.load_state(state)
        assert_seen_same(seen, moves[-1].seen)
        both = run(first, more, seed=2), run(second, more, seed=2)
        first.close()
        second.close()
        return state, *both

    @pytest.mark.parametrize("how", ENGINES)
    @pytest.mark.parametrize("steps", [1, LIMIT - 1, LIMIT, 3 * LIMIT + 2])
    def test_it_is_exact_wherever_an_episode_is(self, how, steps):
        state, one, two = self.restored(lambda seed: make(how, seed=seed), steps, 3 * LIMIT)
        assert_same(one, two)
        assert sum(moved.truncated.sum() for moved in one) > 0  # the counter goes on too
        assert all(values.dtype.kind in "biuf" for values in state.values())

    @pytest.mark.parametrize("actions", ["discrete", "square"])
    def test_other_actions_are_repeated(self, actions):
        _, one, two = self.restored(lambda seed: make("sync", seed=seed, actions=actions), 11, 20)
        assert_same(one, two)

    def test_a_vector_that_runs_can_be_put_back(self):
        vector = make("sync")
        vector.reset()
        run(vector, 10, seed=0)
        state = vector.state()
        one = run(vector, 20, seed=1)
        vector.load_state(state)
        assert_same(one, run(vector, 20, seed=1))

    def test_a_state_is_a_copy(self):
        vector = make("sync")
        vector.reset()
        run(vector, 4, seed=0)
        state = vector.state()
        copies = {name: values.copy() for name, values in state.items()}
        run(vector, 20, seed=1)
        for name, values in copies.items():
            np.testing.assert_array_equal(state[name], values, err_msg=name)

    @pytest.mark.parametrize("engine", ["sync", "auto"])
    @pytest.mark.parametrize(
        "name", ["langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0", "toys/TaskLine-v0"]
    )
    def test_it_is_exact_in_other_worlds(self, name, engine):
        _, one, two = self.restored(lambda seed: GoalVector(name, 2, engine, seed=seed), 30, 30)
        assert_same(one, two)

    def test_noise_of_mazes_is_restored(self):
        def noisy(seed):
            name = "langrl/StreetMaze-Fork-v0"
            return GoalVector(name, 2, "sync", seed=seed, angle_noise=20.0)

        _, one, two = self.restored(noisy, 30, 30)
        assert_same(one, two)

    @pytest.mark.parametrize("name", ["FetchReach-v4", "PointMaze_UMaze-v3"])
    @pytest.mark.parametrize("engine", ["sync", "async"])
    def test_it_is_exact_for_robots(self, name, engine):
        pytest.importorskip("gymnasium_robotics")
        _, one, two = self.restored(
            lambda seed: GoalVector(name, 2, engine, max_episode_steps=20, seed=seed), 33, 30
        )
        assert_same(one, two)
        assert sum(moved.truncated.sum() for moved in one) >= 2

    @pytest.mark.parametrize("name", ["pointmaze-medium-v0", "pointmaze-teleport-v0"])
    def test_it_is_exact_for_ogbench(self, name):
        pytest.importorskip("ogbench")
        _, one, two = self.restored(
            lambda seed: GoalVector(name, 2, "sync", max_episode_steps=40, seed=seed), 50, 50
        )
        assert_same(one, two)

    def test_a_world_that_does_not_repeat_itself_is_refused(self):
        vector = make("sync", forgets=True)
        vector.reset()
        run(vector, 3, seed=0)
        with pytest.raises(CheckpointError, match=r"toys/Line-v0 does not repeat.*reset\(seed="):
            vector.load_state(vector.state())

    def test_a_state_of_other_worlds_is_refused(self):
        vector = make("sync")
        with pytest.raises(CheckpointError, match="no state before its first reset"):
            vector.state()
        vector.reset()
        state = vector.state()
        with pytest.raises(CheckpointError, match="of 4 environments, and here are 3"):
            make("sync", rows=3).load_state(state)
        with pytest.raises(CheckpointError, match="the state is of actions"):
            make("sync", actions="discrete").load_state(state)
        with pytest.raises(CheckpointError, match="does not repeat"):
            make("sync", seen="dict").load_state(state)

    @pytest.mark.parametrize("mode", MODES)
    def test_a_given_vector_says_that_it_cannot(self, mode):
        vector = make(mode)
        vector.reset()
        assert not vector.restorable
        for refused in (vector.state, lambda: vector.load_state({})):
            with pytest.raises(CheckpointError, match=r"SyncVectorEnv.*engine sync or async"):
                refused()
        assert make("sync").restorable


class TestEngines:
    def test_auto_takes_arrays_where_langrl_has_them(self):
        vector = GoalVector("toys/ArrayLine-v0", 2)
        vector.reset()
        assert "engine.rows" in vector.state()
        synced = GoalVector("toys/ArrayLine-v0", 2, options={"goal": 3.0})
        np.testing.assert_array_equal(synced.reset().desired, [[3.0], [3.0]])

    def test_the_array_engine_is_one(self):
        assert isinstance(toy_goal_worlds.LineEngine(2, 3), GoalEngine)

    def test_a_batched_world_of_a_user_runs_where_it_is_asked_for(self):
        assert GoalVector("toys/Batched-v0", 2).restorable
        assert not GoalVector("toys/Batched-v0", 2, "array").restorable
        assert not GoalVector("toys/OnlyBatched-v0", 2).restorable
        moves = run_after_reset(GoalVector("toys/OnlyBatched-v0", 3), 40)
        assert sum((~moved.acted).sum() for moved in moves) > 5

    def test_options_are_those_of_every_reset(self):
        vector = GoalVector("toys/TaskLine-v0", 2, options={"task_id": 5})
        vector.reset()
        for moved in run(vector, 3 * LIMIT, seed=0):
            np.testing.assert_array_equal(moved.seen.desired, [[5, 0], [5, 0]])

    def test_a_time_limit_is_the_users(self):
        for how in ("sync", "array"):
            vector = make(how, max_episode_steps=3)
            assert vector.spaces.max_episode_steps == 3
            vector.reset()
            moves = run(vector, 6, seed=3)
            assert max(moved.final_observation[:, 1].max() for moved in moves) == 3

    @pytest.mark.parametrize(
        ("arguments", "error", "told"),
        [
            ({"engine": "fast"}, UnknownNameError, "no engine named 'fast'"),
            ({"engine": "array"}, ConfigError, "toys/Line-v0 has no batched engine of its own"),
            ({"num_envs": 0}, ConfigError, "envs is a whole number from 1, got 0"),
            ({"seen": "text", "engine": "sync"}, ShapeError, "observation has a Text"),
            ({"seen": "text", "engine": "async"}, ShapeError, "observation has a Text"),
            ({"colour": 1}, ConfigError, "cannot make 'toys/Line-v0'"),
        ],
    )
    def test_what_cannot_be_run_is_refused(self, arguments, error, told):
        with pytest.raises(error, match=told):
            GoalVector(LINE, **{"num_envs": 1, **arguments})

    def test_arrays_take_no_options(self):
        with pytest.raises(ConfigError, match="takes no reset options; use sync or async"):
            GoalVector("toys/ArrayLine-v0", 2, "array", options={"goal": 1})

    def test_no_time_limit_is_refused_by_every_engine(self, monkeypatch):
        engines = {"toys/Endless-v0": "toy_goal_worlds:LineEngine"}
        for how in ("sync", "array"):
            if how == "array":
                monkeypatch.setattr(goal_vector, "ENGINES", engines)
            with pytest.raises(ConfigError, match="max_episode_steps: toys/Endless-v0 has no time"):
                GoalVector("toys/Endless-v0", 1, how)


class TestGivenVectors:
    def test_one_that_does_not_say_how_it_starts_anew_is_refused(self):
        vector = toy_goal_worlds.make_vector(2)
        vector.metadata = {}
        with pytest.raises(ConfigError, match="not known how it starts episodes anew"):
            GoalVector(vector, max_episode_steps=LIMIT)

    def test_one_without_goals_is_refused(self):
        with pytest.raises(GroundingError, match=r"no goals: it observes Box \[4\].*GoalEnv"):
            GoalVector(gym.make_vec("CartPole-v1", 2))

    def test_one_whose_parts_are_no_boxes_is_refused(self):
        with pytest.raises(ShapeError, match="observation of SyncVectorEnv is no Box"):
            GoalVector(toy_goal_worlds.make_vector(2, seen="dict"), max_episode_steps=3)

    def test_its_limit_is_asked_for_where_it_is_unknown(self):
        vector = gym.vector.SyncVectorEnv([toy_goal_worlds.Line] * 2)
        with pytest.raises(ConfigError, match="max_episode_steps: SyncVectorEnv has no time limit"):
            GoalVector(vector)
        assert GoalVector(vector, max_episode_steps=9).spaces.max_episode_steps == 9

    def test_arguments_of_environments_are_refused(self):
        with pytest.raises(ConfigError, match="make the vector environment with them"):
            GoalVector(toy_goal_worlds.make_vector(2), options={"goal": 1})


class TestActions:
    @pytest.mark.parametrize(
        ("actions", "given", "error", "told"),
        [
            ("square", np.zeros((2, 1, 2)), ShapeError, r"needs actions \[2, 2\], got \[2, 1, 2\]"),
            ("square", np.zeros((3, 2)), ShapeError, r"needs actions \[2, 2\], got \[3, 2\]"),
            ("square", np.full((2, 2), np.nan), NonFiniteError, "an action is not finite"),
            ("discrete", np.zeros(2), ShapeError, "from 0 to 2, got float64"),
            ("discrete", np.array([0, 3]), ShapeError, "from 0 to 2, got int64 from 0 to 3"),
            ("discrete", np.array([-1, 0]), ShapeError, "from -1 to 0"),
        ],
    )
    def test_what_is_no_action_is_refused_and_changes_nothing(self, actions, given, error, told):
        vector, other = (make("sync", rows=2, actions=actions) for _ in range(2))
        vector.reset(), other.reset()
        with pytest.raises(error, match=told):
            vector.step(given)
        assert_same(run(vector, 3, seed=0), run(other, 3, seed=0))

    def test_a_vector_is_reset_first(self):
        with pytest.raises(LangRLError, match=r"call reset\(\)"):
            make("sync").step(np.zeros((ROWS, 2)))
