import numpy as np
import pytest

from langrl.data.grid.exploration import GridExplorations
from langrl.data.grid.explorer import explorer_trajectories
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import DONE, FORWARD, GRID_WORLDS, draw_rooms, is_free, move
from langrl.envs.grid.views import UNSEEN, egocentric_views, seen_cells


def draw(world: str = "rooms", rooms: int = 8, segments: int = 3, seed: int = 0, **options):
    generator = np.random.default_rng(seed)
    drawn = draw_rooms(GRID_WORLDS[world], rooms, generator)
    return explorer_trajectories(drawn, 2, segments, generator, **{"view": 7} | options)


@pytest.mark.parametrize("world", ["goto", "rooms", "nine_rooms"])
def test_searchers_walk_by_the_rules_and_end_legs_in_front_of_objects(world):
    explorations = draw(world)
    segments = explorations.segments
    assert isinstance(explorations, GridExplorations)
    assert (np.bincount(explorations.exploration[segments.actions == DONE]) == 3).all()
    assert (explorations.faced[segments.terminals][:, 0] >= TYPES["door"]).all()
    inside = np.diff(explorations.exploration) == 0
    moved = move(
        is_free(segments.rooms[segments.room[:-1]]), segments.poses[:-1], segments.actions[:-1]
    )
    np.testing.assert_array_equal(moved[inside], segments.poses[1:][inside])


def corridor() -> np.ndarray:
    """A corridor with a ball at its east end and a key at its west end, [1, 3, 9, 2]."""
    room = np.zeros((1, 3, 9, 2), np.uint8)
    room[...] = (WALL, COLOURS["grey"])
    room[0, 1, 1:-1] = (EMPTY, 0)
    room[0, 1, 1] = (TYPES["key"], COLOURS["red"])
    room[0, 1, -2] = (TYPES["ball"], COLOURS["red"])
    return room


def test_object_in_view_is_gone_to_straight():
    for seed in range(20):
        explorations = explorer_trajectories(
            corridor(), 1, 1, np.random.default_rng(seed), view=7, action_noise=0.0
        )
        poses, actions = explorations.segments.poses, explorations.segments.actions
        views = egocentric_views(corridor().repeat(len(poses), 0), poses, 7)
        target = explorations.faced[-1]
        sights = (views[..., :2] == target).all(-1).any((1, 2))
        first = int(sights.argmax())
        # from where it is first seen: turns to it, as many steps as cells between, and done
        assert sights[first]
        after = actions[first:-1].tolist()
        turns = [action for action in after if action != FORWARD]
        assert len(turns) <= 2
        assert after == turns + [FORWARD] * abs(poses[-1, 1] - poses[first, 1])


def test_searchers_find_objects_in_nine_rooms_quickly():
    explorations = draw("nine_rooms", rooms=20, segments=1, action_noise=0.0)
    lengths = np.diff(explorations.first)
    assert lengths.mean() < 40
    assert lengths.max() < 150


def test_seen_cells_are_those_of_the_view():
    generator = np.random.default_rng(0)
    rooms = draw_rooms(GRID_WORLDS["rooms"], 20, generator)
    poses = np.array(
        [[5, 2, turn % 4] if r[5, 2, 0] == EMPTY else [1, 1, 0] for turn, r in enumerate(rooms)]
    )
    seen = seen_cells(rooms, poses)
    views = egocentric_views(rooms, poses)
    inside = (views[..., 0] != UNSEEN).sum((1, 2))
    assert (seen.sum((1, 2)) <= inside).all()
    each = np.arange(len(rooms))
    assert seen[each, poses[:, 0], poses[:, 1]].all()


def test_same_generator_gives_the_same_tours_and_another_one_others():
    one, two, other = draw(seed=1), draw(seed=1), draw(seed=2)
    np.testing.assert_array_equal(one.segments.poses, two.segments.poses)
    assert not np.array_equal(one.segments.poses[:50], other.segments.poses[:50])


def test_noise_makes_tours_longer():
    calm, noisy = draw(action_noise=0.0, rooms=30), draw(action_noise=0.4, rooms=30)
    assert len(noisy.exploration) > 1.2 * len(calm.exploration)
