import numpy as np
import pytest
import torch

from langrl.data.grid.exploration import (
    NO_ACTION,
    ExplorationReplay,
    GridExplorations,
    planner_trajectories,
)
from langrl.envs.grid.rooms import (
    DONE,
    GRID_WORLDS,
    best_actions,
    draw_rooms,
    is_free,
    is_object,
    move,
    pose_distances,
)
from langrl.envs.grid.views import egocentric_views
from langrl.errors import TrajectoryError


def draw(
    rooms: int = 6, per_room: int = 2, segments: int = 3, seed: int = 0, **options
) -> GridExplorations:
    generator = np.random.default_rng(seed)
    return planner_trajectories(
        draw_rooms(GRID_WORLDS["goto"], rooms, generator), per_room, segments, generator, **options
    )


def test_tours_are_whole_walks_in_one_room_each():
    explorations = draw()
    segments = explorations.segments
    assert explorations.exploration[-1] + 1 == 12
    assert (segments.terminals == (segments.actions == DONE)).all()
    assert segments.terminals.sum() == 12 * 3
    np.testing.assert_array_equal(segments.room, explorations.exploration // 2)
    inside = np.diff(explorations.exploration) == 0
    moved = move(
        is_free(segments.rooms[segments.room[:-1]]), segments.poses[:-1], segments.actions[:-1]
    )
    np.testing.assert_array_equal(moved[inside], segments.poses[1:][inside])


def test_experts_without_noise_take_shortest_ways():
    explorations = draw(action_noise=0.0)
    segments = explorations.segments
    for index in np.flatnonzero(~segments.terminals)[:80]:
        free = is_free(segments.rooms[segments.room[index]][None])
        target = np.zeros((*free.shape, 4), bool)
        target[0, *segments.poses[segments.ends[index]]] = True
        distances = pose_distances(free, target)
        _, before = best_actions(free, distances, segments.poses[index][None])
        _, after = best_actions(free, distances, segments.poses[index + 1][None])
        assert after[0] == before[0] - 1


def test_object_share_decides_where_legs_end():
    always, anywhere = (draw(rooms=40, object_share=share) for share in (1.0, 0.0))
    ends_at_object = [
        is_object(explorations.faced[explorations.segments.terminals][:, None, None])[:, 0, 0]
        for explorations in (always, anywhere)
    ]
    assert ends_at_object[0].all()
    assert 0 < ends_at_object[1].mean() < 0.5


def test_action_before_a_tour_is_none():
    explorations = draw()
    starts = explorations.first[:-1]
    assert (explorations.actions_before[starts] == NO_ACTION).all()
    others = np.setdiff1d(np.arange(len(explorations.exploration)), starts)
    np.testing.assert_array_equal(
        explorations.actions_before[others], explorations.segments.actions[others - 1]
    )


def test_views_are_of_the_states():
    explorations = draw(rooms=2)
    segments = explorations.segments
    np.testing.assert_array_equal(
        explorations.views(5), egocentric_views(segments.rooms[segments.room], segments.poses, 5)
    )


def replay_of(explorations: GridExplorations, **options) -> ExplorationReplay:
    settings = {"view": 7, "length": 20, "discount": 0.9, "tail": "clip"} | options
    return ExplorationReplay([explorations], device=torch.device("cpu"), **settings)


def test_batch_holds_beginnings_of_tours_and_futures_of_the_same_leg():
    explorations = draw(rooms=1, per_room=1, segments=3)
    segments = explorations.segments
    batch = replay_of(explorations).sample(4, 50, torch.Generator().manual_seed(0))
    length = min(20, len(explorations.exploration))
    assert (batch["mask"].sum(1) == length).all()
    views = torch.from_numpy(explorations.views(7)[:length])
    assert torch.equal(batch["view"][0, :length], views)
    assert (batch["state"] < length).all()
    faced = explorations.faced
    for state, action, goal in zip(
        batch["state"].flatten(), batch["action"].flatten(), batch["goal"].flatten(0, 1),
        strict=True,
    ):  # fmt: skip
        assert action == segments.actions[state]
        possible = (
            faced[state : segments.ends[state] + 1]
            if action == DONE
            else faced[state + 1 : segments.ends[state] + 1]
        )
        assert (possible == goal.numpy()).all(1).any()


def test_same_generator_gives_the_same_batch():
    replay = replay_of(draw())
    first = replay.sample(3, 5, torch.Generator().manual_seed(7))
    second = replay.sample(3, 5, torch.Generator().manual_seed(7))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_tours_that_do_not_fit_their_legs_are_refused():
    explorations = draw(rooms=2, per_room=1, segments=2)
    for wrong in (
        explorations.exploration[:-1],
        explorations.exploration + 1,
        np.zeros_like(explorations.exploration),
    ):
        with pytest.raises(TrajectoryError, match="exploration numbers"):
            GridExplorations(explorations.segments, wrong)
