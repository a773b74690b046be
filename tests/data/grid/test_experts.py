import signal

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from langrl.data.grid import experts as module
from langrl.data.grid.experts import GridReplay, GridTrajectories, draw_poses, grid_experts
from langrl.envs.grid.rooms import (
    DONE,
    FORWARD,
    GRID_WORLDS,
    LEFT,
    RIGHT,
    draw_rooms,
    facing,
    is_free,
    is_object,
    move,
    pose_distances,
)
from langrl.errors import LangRLError, TrajectoryError

ROOMS = draw_rooms(GRID_WORLDS["goto"], 6, np.random.default_rng(0))
EMPTY_ROOM = np.zeros((1, 5, 5, 2), np.uint8)
EMPTY_ROOM[..., 0], EMPTY_ROOM[:, 1:-1, 1:-1, 0] = 2, 1


def experts(rooms=ROOMS, per_room=5, seed=0, **settings):
    return grid_experts(rooms, per_room, np.random.default_rng(seed), **settings)


def by_trajectory(data):
    """Index of the first and of the last state of each trajectory."""
    last = np.flatnonzero(data.terminals)
    return np.append(0, last[:-1] + 1), last


def facing_objects(rooms, per_room):
    """For each trajectory, the poses that face one object of its room, drawn in turn."""
    cells = np.zeros((len(rooms) * per_room, *rooms.shape[1:3]), bool)
    for n in range(len(cells)):
        objects = np.argwhere(is_object(rooms[n // per_room]))
        cells[n][tuple(objects[n % len(objects)])] = True
    return facing(cells, is_free(rooms).repeat(per_room, 0))


# -- trajectories ----------------------------------------------------------------------------


@pytest.mark.parametrize("world", GRID_WORLDS)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_transitions_follow_the_moves_of_the_room(world, noise):
    rooms = draw_rooms(GRID_WORLDS[world], 4, np.random.default_rng(1))
    data = experts(rooms, action_noise=noise)
    free = is_free(rooms)[data.room]  # [T, H, W]
    assert free[np.arange(len(free)), data.poses[:, 0], data.poses[:, 1]].all()
    on = np.flatnonzero(~data.terminals)
    np.testing.assert_array_equal(
        move(free[on], data.poses[on], data.actions[on]), data.poses[on + 1]
    )
    np.testing.assert_array_equal(data.room[on], data.room[on + 1])
    assert np.isin(data.actions, (LEFT, RIGHT, FORWARD, DONE)).all()


def test_every_trajectory_ends_with_done_and_has_no_other():
    data = experts()
    np.testing.assert_array_equal(data.actions == DONE, data.terminals)
    assert data.terminals.sum() == 6 * 5
    starts, _ = by_trajectory(data)
    np.testing.assert_array_equal(data.room[starts], np.arange(6).repeat(5))
    np.testing.assert_array_equal(data.rooms, ROOMS)


@pytest.mark.parametrize("given", [False, True])
def test_without_noise_ways_are_the_shortest(given):
    targets = facing_objects(ROOMS, 5) if given else None
    data = experts(targets=targets, action_noise=0.0)
    starts, last = by_trajectory(data)
    free = is_free(ROOMS).repeat(5, 0)
    if targets is None:
        targets = np.zeros((30, 8, 8, 4), bool)
        targets[np.arange(30), *data.poses[last].T] = True
    expected = pose_distances(free, targets)[np.arange(30), *data.poses[starts].T]
    np.testing.assert_array_equal(last - starts, expected)
    assert expected.max() > 4


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_given_targets_are_reached_and_nothing_earlier_is_one(noise):
    targets = facing_objects(ROOMS, 5)
    data = experts(targets=targets, action_noise=noise)
    number = np.cumsum(data.terminals) - data.terminals
    np.testing.assert_array_equal(targets[number, *data.poses.T], data.terminals)


def test_noise_is_the_share_of_random_actions():
    for noise in (0.0, 0.2, 0.6):
        rooms = EMPTY_ROOM.repeat(300, 0)
        targets = np.zeros((300, 5, 5, 4), bool)
        targets[:, 1, 1, 0] = True
        data = experts(rooms, 1, targets=targets, action_noise=noise)
        distances = pose_distances(is_free(EMPTY_ROOM), targets[:1])[0]
        on = np.flatnonzero(~data.terminals)
        steps = distances[tuple(data.poses[on].T)] - distances[tuple(data.poses[on + 1].T)]
        wasted = (steps < 1).mean()
        assert noise * 0.45 <= wasted <= noise * 0.8  # one or two of three actions are as good


def test_walks_in_pieces_stay_in_their_rooms(monkeypatch):
    monkeypatch.setattr(module, "_WALKERS_AT_ONCE", 11)  # two rooms of five
    targets = facing_objects(ROOMS, 5)
    data = experts(targets=targets)
    number = np.cumsum(data.terminals) - data.terminals
    np.testing.assert_array_equal(data.room, number // 5)
    np.testing.assert_array_equal(targets[number, *data.poses.T], data.terminals)
    monkeypatch.setattr(module, "_WALKERS_AT_ONCE", 1)  # fewer than a room has
    assert experts().terminals.sum() == 30


def test_starts_are_uniform_over_free_poses():
    free = is_free(ROOMS[:1])
    poses = draw_poses(free.repeat(6000, 0), np.random.default_rng(0))
    counts = np.zeros((8, 8, 4), int)
    np.add.at(counts, tuple(poses.T), 1)
    assert not counts[~free[0]].any()
    assert chisquare(counts[free[0]].ravel()).pvalue > 1e-3


def test_the_generator_decides_the_trajectories():
    one, two, other = experts(seed=1), experts(seed=1), experts(seed=2)
    for name in ("room", "poses", "actions", "terminals"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.poses, other.poses)


def test_targets_and_rooms_are_not_changed():
    rooms, targets = ROOMS.copy(), facing_objects(ROOMS, 5)
    before = targets.copy()
    experts(rooms, targets=targets)
    np.testing.assert_array_equal(rooms, ROOMS)
    np.testing.assert_array_equal(targets, before)


def test_targets_that_cannot_be_reached_are_refused():
    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(LangRLError):
            experts(ROOMS[:1], 1, targets=np.zeros((1, 8, 8, 4), bool))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- the arrays ------------------------------------------------------------------------------


def by_hand(lengths=((3, 1), (2,), (1, 4)), size=4, room_number=0):
    """Trajectories whose poses are (room, trajectory, time) and whose rooms hold their number."""
    rooms = np.zeros((len(lengths), size, size, 2), np.uint8)
    rooms += np.arange(len(lengths), dtype=np.uint8)[:, None, None, None] + room_number
    states = [
        (room, number, time, time == length - 1)
        for room, trajectories in enumerate(lengths)
        for number, length in enumerate(trajectories)
        for time in range(length)
    ]
    room, number, time, terminals = np.array(states).T
    terminals = terminals.astype(bool)
    poses = np.stack([room + room_number, number, time], 1)
    return GridTrajectories(rooms, room, poses, np.where(terminals, DONE, FORWARD), terminals)


def altered(**changes):
    data = by_hand()
    names = ("rooms", "room", "poses", "actions", "terminals")
    return {name: getattr(data, name) for name in names} | changes


def test_ends_and_firsts_of_hand_made_trajectories():
    data = by_hand()  # 4 states in the first room, 2 in the second, 5 in the third
    assert data.room.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2]
    assert data.ends.tolist() == [2, 2, 2, 3, 5, 5, 6, 10, 10, 10, 10]
    assert data.first.tolist() == [0, 4, 6, 11]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"actions": np.zeros(10, int)}, "one entry per state"),
        ({"poses": np.zeros((12, 3), int)}, "one entry per state"),
        ({"room": np.zeros(10, int)}, "one entry per state"),
        ({"terminals": np.zeros(11, bool)}, "one entry per state"),  # the last one does not end
        ({"terminals": np.zeros(0, bool)}, "one entry per state"),
        ({"room": np.array([1] * 4 + [0] * 2 + [2] * 5)}, "sort the trajectories by room"),
        ({"room": np.array([0] * 6 + [2] * 5)}, "sort the trajectories by room"),
        ({"rooms": np.zeros((4, 4, 4, 2), np.uint8)}, "sort the trajectories by room"),
    ],
)
def test_malformed_trajectories_are_refused(changes, says):
    with pytest.raises(TrajectoryError, match=says):
        GridTrajectories(**altered(**changes))


def test_no_trajectories_are_refused():
    empty = np.zeros(0, int)
    with pytest.raises(TrajectoryError):
        GridTrajectories(ROOMS[:0], empty, np.zeros((0, 3), int), empty, np.zeros(0, bool))


@pytest.mark.parametrize(
    "changes",
    [
        {"room": np.array([0] * 4 + [1] * 2 + [5] * 5)},  # there is no room 5
        {"room": np.array([-1] * 4 + [0] * 2 + [1] * 5)},
        {"terminals": np.array([0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1], bool)},  # from room 0 into room 1
    ],
)
def test_states_without_a_room_and_trajectories_through_two_are_refused(changes):
    with pytest.raises(TrajectoryError):
        GridTrajectories(**altered(**changes))


# -- replay ----------------------------------------------------------------------------------


def replay(*parts, discount=0.9, tail="clip"):
    device = torch.device("cpu")
    return GridReplay(list(parts or (by_hand(),)), discount=discount, tail=tail, device=device)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_shapes_of_a_batch():
    batch = replay().sample(7, 5, seeded())
    shapes = {name: tuple(values.shape) for name, values in batch.items()}
    assert shapes == {"room": (7, 4, 4, 2), "pose": (7, 5, 3), "action": (7, 5), "goal": (7, 5, 3)}
    assert batch["room"].dtype == torch.uint8
    assert batch["pose"].dtype == batch["action"].dtype == batch["goal"].dtype == torch.int64


@pytest.mark.parametrize("tail", ["clip", "renormalise"])
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.99])
def test_goals_lie_ahead_in_the_same_trajectory_of_the_same_room(discount, tail):
    batch = replay(discount=discount, tail=tail).sample(200, 20, seeded())
    pose, goal, number = batch["pose"], batch["goal"], batch["room"][:, 0, 0, 0].long()
    assert (pose[..., 0] == number.unsqueeze(1)).all()
    assert torch.equal(pose[..., :2], goal[..., :2])  # room and trajectory
    done = batch["action"] == DONE
    assert torch.equal(pose[done], goal[done])
    assert (goal[~done][:, 2] > pose[~done][:, 2]).all()
    lengths = {(0, 0): 3, (0, 1): 1, (1, 0): 2, (2, 0): 1, (2, 1): 4}
    last = torch.tensor([lengths[tuple(row)] - 1 for row in goal[..., :2].flatten(0, 1).tolist()])
    assert (goal[..., 2].flatten() <= last).all()
    if discount == 0.0:
        assert (goal[~done][:, 2] == pose[~done][:, 2] + 1).all()


def test_rooms_are_uniform_and_so_are_the_states_of_each():
    batch = replay().sample(600, 20, seeded())
    number = batch["room"][:, 0, 0, 0]
    assert chisquare(torch.bincount(number.long())).pvalue > 1e-3
    for room, states in enumerate((4, 2, 5)):
        drawn = batch["pose"][number == room].flatten(0, 1)
        counts = torch.unique(drawn, dim=0, return_counts=True)[1]
        assert len(counts) == states
        assert chisquare(counts).pvalue > 1e-3


def test_a_batch_has_one_size_of_room_and_every_size_has_its_turn():
    both = replay(by_hand(), by_hand(((2, 2),), size=7, room_number=10))
    generator, sizes = seeded(), []
    for _ in range(60):
        batch = both.sample(3, 4, generator)
        sizes.append(batch["room"].shape[1])
        number = batch["room"][:, 0, 0, 0].long().unsqueeze(1)
        assert (batch["pose"][..., 0] == number).all()
        assert (number >= 10).all() if sizes[-1] == 7 else (number < 3).all()
    assert 15 < sizes.count(7) < 45
    assert set(sizes) == {4, 7}


@pytest.mark.parametrize("discount", [0.5, 0.9])
def test_distances_along_a_corridor_are_geometric(discount):
    length, long = 400, 60
    batch = replay(by_hand(((length,),)), discount=discount).sample(2, 10_000, seeded())
    time, future = batch["pose"][..., 2], batch["goal"][..., 2]
    distance = (future - time)[time < length - 1 - long].clamp(max=long)
    counts = torch.bincount(distance, minlength=long + 1)[1:].numpy()
    law = (1 - discount) * discount ** np.arange(long)
    law[-1] = discount ** (long - 1)  # that far, or farther
    many = law * counts.sum() > 10
    found, expected = (np.append(values[many], values[~many].sum()) for values in (counts, law))
    assert chisquare(found, expected / expected.sum() * found.sum()).pvalue > 1e-3


def test_the_generator_decides_the_batches():
    data = replay(experts())
    one, two, other = (data.sample(3, 4, seeded(seed)) for seed in (1, 1, 2))
    for name in one:
        assert torch.equal(one[name], two[name])
    assert not torch.equal(one["pose"], other["pose"])


def test_goals_of_experts_can_be_reached():
    data = experts(per_room=20)
    batch = replay(data).sample(20, 10, seeded())
    rooms = batch["room"].numpy().repeat(10, 0)
    poses, goals = (batch[name].flatten(0, 1).numpy() for name in ("pose", "goal"))
    targets = np.zeros((200, 8, 8, 4), bool)
    targets[np.arange(200), *goals.T] = True
    distances = pose_distances(is_free(rooms), targets)[np.arange(200), *poses.T]
    assert distances.max() < 100
    assert distances.max() > 4
