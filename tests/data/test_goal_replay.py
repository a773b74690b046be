from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from counting_worlds import SPACES, Walk, action_in, seen
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from scipy.stats import chi2_contingency, chisquare

from langrl.data.config import GoalReplayConfig
from langrl.data.goal_replay import GoalReplay
from langrl.envs.goal_engine import GoalSpaces
from langrl.errors import CheckpointError, ConfigError, TrajectoryError
from langrl.settings import with_changes

MODES = list(AutoresetMode)
N = 5
KEYS = {
    "state", "action", "next_state", "achieved", "goal", "uniform_goal", "random_goal", "episode"
}  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make_replay(capacity=N * 37, spaces=SPACES, num_envs=N, folder=None, **settings):
    settings = GoalReplayConfig(capacity=capacity, **settings)
    return GoalReplay(spaces, num_envs, settings, folder=folder)


def walked(steps, mode=AutoresetMode.SAME_STEP, **settings):
    """Return a replay of some steps."""
    replay, walk = make_replay(**settings), Walk(N, mode)
    for _ in range(steps):
        replay.add(*walk.step())
    return replay


def violations(batch):
    """Return how many transitions are not of one episode, with its own action and a future."""
    state, goal = batch["state"], batch["goal"]
    later = batch.get("uniform_goal", goal)
    length = 1 + (5 * state[:, 1] + 3 * state[:, 0]) % SPACES.max_episode_steps
    following = state + torch.tensor([0, 0, 1])
    right = (
        (goal[:, :2] == state[:, :2]).all(1)
        & (goal[:, 2] > state[:, 2])
        & (goal[:, 2] <= length)
        & (later[:, :2] == state[:, :2]).all(1)
        & (later[:, 2] > state[:, 2])
        & (later[:, 2] <= length)
        & (batch["action"] == torch.from_numpy(action_in(state.numpy()))).all(1)
        & (batch["next_state"] == following).all(1)
        & (batch["achieved"] == state).all(1)
        & (batch["random_goal"][:, 2] >= 1)
    )
    # One number for each episode, another one for every other episode.
    own, numbers = (1000 * state[:, 1] + state[:, 0]).tolist(), batch["episode"].tolist()
    assert len(set(zip(own, numbers, strict=True))) == len(set(own)) == len(set(numbers))
    assert right.shape == (len(state),)
    return int((~right).sum())


@pytest.mark.parametrize("mode", MODES)
def test_no_transition_and_no_future_crosses_episodes(mode):
    replay, walk, generator = make_replay(tail="by_end"), Walk(N, mode), seeded()
    drawn, wrong, first = 0, 0, []
    while drawn < 100_000:
        for _ in range(13):  # rings of 37 slots: overwritten in the middle of episodes
            replay.add(*walk.step())
        batch = replay.sample(2500, generator)
        assert set(batch) == KEYS
        wrong += violations(batch)
        drawn += 2500
        first.append(batch["episode"].min().item())
    assert wrong == 0
    assert first[0] < first[-1]  # old episodes were forgotten


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [1, 7, 36, 37, 38, 200])
def test_every_stored_transition_is_equally_likely(mode, steps):
    replay, walk, taken = make_replay(), Walk(N, mode), []
    for _ in range(steps):
        before, actions, moved = walk.step()
        replay.add(before, actions, moved)
        taken += [tuple(state) for state in before.observation[moved.acted]]
    drawn = replay.sample(20_000, seeded(1))["state"]
    states, counts = drawn.unique(dim=0, return_counts=True)
    found = {tuple(state.tolist()) for state in states}
    assert len(found) == len(replay)
    for number in range(N):  # the newest ones of each environment
        own = [state for state in taken if state[0] == number]
        kept = sum(state[0] == number for state in found)
        assert found >= set(own[len(own) - kept :])
        assert kept == len(own) or kept >= 37 // 2 - 1  # a ring of 37 states was full
    assert chisquare(counts.numpy()).pvalue > 1e-3


def law_of(longest, discount, clip):
    law = (1 - discount) * discount ** np.arange(longest)
    if clip:
        law[-1] = discount ** (longest - 1)
    return law / law.sum()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tail", ["clip", "renormalise", "by_end"])
def test_futures_follow_the_geometric_law_to_the_end_of_the_episode(mode, tail):
    """Episode 4 of environment 0 terminates after 3 steps, and episode 1 is cut off after 6."""
    replay = walked(60, mode, capacity=N * 100, tail=tail, discount=0.7)
    batch = replay.sample(200_000, seeded(2))
    for episode, length in ((4, 3), (1, 6)):
        clip = tail == "clip" or (tail == "by_end" and episode % 2 == 0)
        own = (batch["state"] == torch.tensor([0, episode, 0])).all(1)
        counts = np.bincount(batch["goal"][own][:, 2].long().numpy() - 1)
        assert len(counts) == length
        assert chisquare(counts, law_of(length, 0.7, clip) * counts.sum()).pvalue > 1e-3
        evenly = np.bincount(batch["uniform_goal"][own][:, 2].long().numpy() - 1)
        assert len(evenly) == length
        assert chisquare(evenly).pvalue > 1e-3


def test_the_futures_of_an_episode_that_goes_on_are_those_so_far():
    replay, walk = make_replay(tail="renormalise", discount=0.7), Walk(N, AutoresetMode.SAME_STEP)
    for _ in range(4):
        replay.add(*walk.step())
    batch = replay.sample(20_000, seeded())
    own = (batch["state"] == torch.tensor([3, 0, 0])).all(1)  # that episode has 1 step
    assert not own.any() or (batch["goal"][own][:, 2] <= 1).all()
    # environment 1's first episode has 4 steps and is over; environment 2's has 7 and goes on
    own = (batch["state"] == torch.tensor([2, 0, 1])).all(1)
    counts = np.bincount(batch["goal"][own][:, 2].long().numpy() - 2)
    assert len(counts) == 3  # steps 2, 3 and 4
    assert chisquare(counts, law_of(3, 0.7, False) * counts.sum()).pvalue > 1e-3


def test_random_goals_are_futures_of_transitions_drawn_apart():
    replay = walked(30)
    batch = replay.sample(40_000, seeded())
    same = (batch["random_goal"][:, :2] == batch["state"][:, :2]).all(1).float().mean().item()
    episodes = batch["episode"].unique(return_counts=True)[1].double() / 40_000
    assert same == pytest.approx(episodes.square().sum().item(), abs=0.005)
    # Each alone has the law of goals.
    goals, others = (
        torch.bincount(batch[name][:, 2].long(), minlength=10)[1:].numpy()
        for name in ("goal", "random_goal")
    )
    assert chi2_contingency([goals, others]).pvalue > 1e-3


@pytest.mark.parametrize("mode", MODES)
def test_groups_are_transitions_of_one_episode_each(mode):
    replay = walked(150, mode)
    groups = replay.sample_groups(40, 25, seeded())
    assert set(groups) == KEYS - {"random_goal", "uniform_goal"}
    assert groups["state"].shape == (40, 25, 3)
    assert groups["action"].shape == (40, 25, 2)
    assert (groups["episode"] == groups["episode"][:, :1]).all()
    flat = {name: value.flatten(0, 1) for name, value in groups.items()}
    assert violations({**flat, "random_goal": flat["goal"]}) == 0
    assert len(groups["episode"][:, 0].unique()) > 20


def test_transitions_of_groups_are_equally_likely():
    replay = walked(150)
    _, counts = torch.cat(
        [replay.sample_groups(8, 4, seeded(seed))["state"].flatten(0, 1) for seed in range(700)]
    ).unique(dim=0, return_counts=True)
    assert len(counts) == len(replay)
    mean = 700 * 32 / len(replay)
    # Groups are drawn together, hence wider than a Poisson law: four transitions of one episode.
    assert (counts - mean).abs().max().item() < 6 * (4 * mean) ** 0.5


def test_cut_ends_open_episodes_as_a_time_limit_does():
    replay, walk = make_replay(tail="by_end"), Walk(N, AutoresetMode.SAME_STEP)
    for _ in range(3):
        replay.add(*walk.step())
    replay.cut()
    walk.reset()  # episodes begin anew in the middle
    before = len(replay)
    for _ in range(3):
        replay.add(*walk.step())
    assert len(replay) == before + 3 * N
    assert violations(replay.sample(5000, seeded())) == 0


def test_rows_that_start_anew_without_an_end_are_cut_off():
    replay, walk = make_replay(), Walk(N, AutoresetMode.SAME_STEP)
    before, actions, moved = walk.step()
    never, always = np.zeros(N, bool), np.ones(N, bool)
    moved = replace(moved, terminated=never, truncated=never)
    first = seen(before.observation + np.array([0, 7, 0], np.float32))
    replay.add(before, actions, replace(moved, seen=first, started=always))
    then = first.observation + np.array([0, 0, 1], np.float32)
    moved = replace(moved, final_observation=then, final_achieved=then, started=never)
    replay.add(first, actions, moved)
    batch = replay.sample(500, seeded())
    assert torch.equal(batch["state"][:, 1], batch["goal"][:, 1])
    assert set(batch["state"][:, 1].tolist()) == {0, 7}


def clones(state):
    return {name: value.clone() for name, value in state.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [0, 5, 120])
@pytest.mark.parametrize("files", [False, True])
def test_a_restored_replay_goes_on_as_if_nothing_had_happened(mode, steps, files, tmp_path):
    """Episodes are in the middle; nothing was stored, a part of the ring, or all of it."""
    one, walk = make_replay(memory_map=files, folder=tmp_path / "one"), Walk(N, mode)
    for _ in range(steps):
        one.add(*walk.step())
    state = clones(one.state())
    two = make_replay(memory_map=files, folder=tmp_path / "two")
    for _ in range(3 if steps else 0):  # whatever was there is gone
        two.add(*Walk(N, mode).step())
    two.load_state(state)
    for _ in range(50):
        step = walk.step()
        one.add(*step)
        two.add(*step)
        left, right = (replay.sample(64, seeded(3)) for replay in (one, two))
        assert len(one) == len(two)
        assert all(torch.equal(left[name], right[name]) for name in KEYS)
    again = two.state()
    assert all(torch.equal(value, again[name]) for name, value in one.state().items())


def test_only_what_is_in_use_is_stored():
    replay = walked(10, capacity=N * 100_000)
    assert sum(value.nbytes for value in replay.state().values()) < 10_000


def test_a_replay_of_other_sizes_is_refused():
    state = walked(5).state()
    with pytest.raises(CheckpointError, match=r"5 environments with 37 states.*replay.capacity"):
        make_replay(capacity=N * 38).load_state(state)
    other = replace(SPACES, goal=spaces.Box(-1, 1, (2,), np.float32))
    with pytest.raises(CheckpointError, match=r"achieved of the stored replay is \[3\]"):
        make_replay(spaces=other).load_state(state)


def test_arrays_in_files_draw_what_arrays_in_memory_do(tmp_path):
    one = walked(90).sample(100, seeded())
    replay = walked(90, memory_map=True, folder=tmp_path / "replay")
    two = replay.sample(100, seeded())
    assert all(torch.equal(one[name], two[name]) for name in KEYS)
    stored = np.fromfile(tmp_path / "replay" / "observation.bin", np.float32)
    assert stored.size == N * 37 * 3
    assert set(stored[::3]) == set(range(N))
    assert not list(tmp_path.glob("*.bin"))


def test_files_need_a_folder_with_enough_space(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"replay.memory_map needs a run folder"):
        make_replay(memory_map=True)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ConfigError, match=r"0.0 GB and .* lower replay.capacity"):
        make_replay(memory_map=True, folder=tmp_path)
    make_replay(folder=tmp_path)  # a folder alone changes nothing
    assert not list(tmp_path.iterdir())


PICTURES = GoalSpaces(
    observation=spaces.Box(0, 255, (4, 3, 3), np.uint8),
    goal=spaces.Box(0, 255, (4, 3, 3), np.uint8),
    action=spaces.Discrete(4),
    max_episode_steps=None,
)


def test_pictures_stay_bytes_and_discrete_actions_are_int64():
    replay = make_replay(spaces=PICTURES, num_envs=2, capacity=10)
    images = np.arange(72, dtype=np.uint8).reshape(2, 4, 3, 3)
    moved = SimpleNamespace(
        acted=np.array([True, True]),
        terminated=np.zeros(2, bool),
        truncated=np.zeros(2, bool),
        started=np.zeros(2, bool),
        final_observation=images + 100,
        final_achieved=images + 100,
    )
    replay.add(seen(images), np.array([3, 1], np.int32), moved)
    batch = replay.sample(50, seeded())
    assert batch["state"].dtype == batch["goal"].dtype == torch.uint8
    assert batch["goal"].shape == (50, 4, 3, 3)
    assert batch["action"].dtype == torch.int64
    assert torch.equal(batch["goal"], batch["state"] + 100)
    second = batch["state"][:, 0, 0, 0] == 36
    assert set(batch["action"][second].tolist()) == {1}
    assert set(batch["action"][~second].tolist()) == {3}


def recorded(lengths, ends=()):
    """Return trajectories of counting states of the lengths; those numbered in ends terminate."""
    states = np.array(
        [(0, number, time) for number, length in enumerate(lengths) for time in range(length)],
        np.float64,
    )
    last = np.cumsum(lengths) - 1
    arrays = {name: np.zeros(len(states), bool) for name in ("last", "terminated")}
    arrays["last"][last] = True
    arrays["terminated"][last[list(ends)]] = True
    actions = action_in(states)
    actions[last] = np.nan  # they have no meaning
    return SimpleNamespace(observations=states, achieved=states, actions=actions, **arrays)


@pytest.mark.parametrize("files", [False, True])
def test_recorded_trajectories_are_drawn_evenly_with_their_futures(files, tmp_path):
    replay = make_replay(
        num_envs=1, capacity=10, tail="by_end", discount=0.7, memory_map=files, folder=tmp_path
    )
    replay.fill(recorded([3, 1, 7, 6], ends=[2]))  # more than the capacity: all are kept
    assert len(replay) == 2 + 0 + 6 + 5
    batch = replay.sample(60_000, seeded())
    assert all(value.isfinite().all() for value in batch.values())
    state, goal = batch["state"], batch["goal"]
    assert torch.equal(batch["action"], torch.from_numpy(action_in(state.numpy())))
    assert torch.equal(batch["next_state"], state + torch.tensor([0, 0, 1]))
    assert torch.equal(goal[:, 1], state[:, 1])
    assert (goal[:, 2] > state[:, 2]).all()
    assert chisquare(state.unique(dim=0, return_counts=True)[1].numpy()).pvalue > 1e-3
    for number, longest, clip in ((2, 6, True), (3, 5, False)):
        own = (state == torch.tensor([0, number, 0])).all(1)
        counts = np.bincount(goal[own][:, 2].long().numpy() - 1)
        assert chisquare(counts, law_of(longest, 0.7, clip) * counts.sum()).pvalue > 1e-3


def test_a_last_trajectory_without_an_end_is_cut_off():
    data = recorded([4, 3])
    data.last[-1] = False
    replay = make_replay(num_envs=1, tail="by_end")
    replay.fill(data)
    assert len(replay) == 5
    assert data.last.sum() == 1  # not written to


def test_recorded_data_go_on_with_steps_that_are_taken():
    replay = make_replay(num_envs=1)
    replay.fill(recorded([1] * 20 + [6, 9]))
    walk = Walk(1, AutoresetMode.SAME_STEP, first=30)
    for _ in range(60):
        replay.add(*walk.step())
        batch = replay.sample(200, seeded())
        assert torch.equal(batch["goal"][:, 1], batch["state"][:, 1])
        assert (batch["goal"][:, 2] > batch["state"][:, 2]).all()
    assert batch["state"][:, 1].min() > 30  # the data are forgotten


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": np.zeros((7, 3))}, r"action of the data is \[7, 3\], .*\[7, 2\]"),
        ({"observations": np.zeros((7, 4))}, r"observation of the data is \[7, 4\]"),
        ({"achieved": np.zeros(7)}, r"achieved of the data is \[7\]"),
        ({"last": np.ones(7, bool)}, "no trajectory has two states"),
        ({"last": np.ones(0, bool)}, "no trajectory has two states"),
    ],
)
def test_recorded_data_of_another_environment_are_refused(change, message):
    data = SimpleNamespace(**{**vars(recorded([3, 4])), **change})
    with pytest.raises(TrajectoryError, match=message):
        make_replay(num_envs=1).fill(data)


def test_an_episode_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"45 states are 9 for each of 5.*up to 10.*to 50 or"):
        make_replay(capacity=N * 9)
    make_replay(capacity=N * 10)
    endless = replace(SPACES, max_episode_steps=None)
    with pytest.raises(ConfigError, match=r"up to 2; set it to 10 or more"):
        make_replay(capacity=N * 1, spaces=endless)


def test_an_episode_without_a_limit_may_outgrow_its_ring():
    endless = replace(SPACES, max_episode_steps=None)
    replay, walk = make_replay(capacity=N * 4, spaces=endless), Walk(N, AutoresetMode.DISABLED)
    for _ in range(100):
        replay.add(*walk.step())
        assert violations(replay.sample(100, seeded())) == 0


@pytest.mark.parametrize("name", ["sample", "sample_groups"])
def test_an_empty_replay_has_nothing_to_draw(name):
    replay = make_replay()
    arguments = (4, seeded()) if name == "sample" else (4, 2, seeded())
    with pytest.raises(ConfigError, match="the replay is empty; act before learning"):
        getattr(replay, name)(*arguments)


def test_the_generator_decides_the_batch():
    replay = walked(50)
    one, two, other = (replay.sample(64, seeded(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(one[name], two[name]) for name in KEYS)
    assert not torch.equal(one["state"], other["state"])
    assert not torch.equal(one["goal"], one["random_goal"])


@pytest.mark.parametrize("discount", [1, 1.5])
def test_a_discount_of_1_is_refused_with_one_that_works(discount):
    with pytest.raises(ConfigError, match=r"discount: a geometric .* below 1, such as 0.99, got"):
        with_changes(GoalReplayConfig(), {"discount": discount}, "replay")
