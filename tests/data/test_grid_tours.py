import numpy as np
import pytest
import torch

from langrl.data.grid_tours import NO_ACTION, GridTours, TourReplay, grid_tours
from langrl.envs.grid_rooms import (
    DONE,
    GRID_WORLDS,
    best_actions,
    draw_rooms,
    is_free,
    is_object,
    move,
    pose_distances,
)
from langrl.envs.grid_views import egocentric_views
from langrl.errors import TrajectoryError


def draw(rooms: int = 6, per_room: int = 2, legs: int = 3, seed: int = 0, **options) -> GridTours:
    generator = np.random.default_rng(seed)
    return grid_tours(
        draw_rooms(GRID_WORLDS["goto"], rooms, generator), per_room, legs, generator, **options
    )


def test_tours_are_whole_walks_in_one_room_each():
    tours = draw()
    legs = tours.legs
    assert tours.tour[-1] + 1 == 12
    assert (legs.terminals == (legs.actions == DONE)).all()
    assert legs.terminals.sum() == 12 * 3
    np.testing.assert_array_equal(legs.room, tours.tour // 2)
    inside = np.diff(tours.tour) == 0
    moved = move(is_free(legs.rooms[legs.room[:-1]]), legs.poses[:-1], legs.actions[:-1])
    np.testing.assert_array_equal(moved[inside], legs.poses[1:][inside])


def test_experts_without_noise_take_shortest_ways():
    tours = draw(action_noise=0.0)
    legs = tours.legs
    for index in np.flatnonzero(~legs.terminals)[:80]:
        free = is_free(legs.rooms[legs.room[index]][None])
        target = np.zeros((*free.shape, 4), bool)
        target[0, *legs.poses[legs.ends[index]]] = True
        distances = pose_distances(free, target)
        _, before = best_actions(free, distances, legs.poses[index][None])
        _, after = best_actions(free, distances, legs.poses[index + 1][None])
        assert after[0] == before[0] - 1


def test_object_share_decides_where_legs_end():
    always, anywhere = (draw(rooms=40, object_share=share) for share in (1.0, 0.0))
    ends_at_object = [
        is_object(tours.faced[tours.legs.terminals][:, None, None])[:, 0, 0]
        for tours in (always, anywhere)
    ]
    assert ends_at_object[0].all()
    assert 0 < ends_at_object[1].mean() < 0.5


def test_action_before_a_tour_is_none():
    tours = draw()
    starts = tours.first[:-1]
    assert (tours.actions_before[starts] == NO_ACTION).all()
    others = np.setdiff1d(np.arange(len(tours.tour)), starts)
    np.testing.assert_array_equal(tours.actions_before[others], tours.legs.actions[others - 1])


def test_views_are_of_the_states():
    tours = draw(rooms=2)
    legs = tours.legs
    np.testing.assert_array_equal(
        tours.views(5), egocentric_views(legs.rooms[legs.room], legs.poses, 5)
    )


def replay_of(tours: GridTours, **options) -> TourReplay:
    settings = {"view": 7, "length": 20, "discount": 0.9, "tail": "clip"} | options
    return TourReplay([tours], device=torch.device("cpu"), **settings)


def test_batch_holds_beginnings_of_tours_and_futures_of_the_same_leg():
    tours = draw(rooms=1, per_room=1, legs=3)
    legs = tours.legs
    batch = replay_of(tours).sample(4, 50, torch.Generator().manual_seed(0))
    length = min(20, len(tours.tour))
    assert (batch["mask"].sum(1) == length).all()
    views = torch.from_numpy(tours.views(7)[:length])
    assert torch.equal(batch["view"][0, :length], views)
    assert (batch["state"] < length).all()
    faced = tours.faced
    for state, action, goal in zip(
        batch["state"].flatten(), batch["action"].flatten(), batch["goal"].flatten(0, 1),
        strict=True,
    ):  # fmt: skip
        assert action == legs.actions[state]
        possible = (
            faced[state : legs.ends[state] + 1]
            if action == DONE
            else faced[state + 1 : legs.ends[state] + 1]
        )
        assert (possible == goal.numpy()).all(1).any()


def test_same_generator_gives_the_same_batch():
    replay = replay_of(draw())
    first = replay.sample(3, 5, torch.Generator().manual_seed(7))
    second = replay.sample(3, 5, torch.Generator().manual_seed(7))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_tours_that_do_not_fit_their_legs_are_refused():
    tours = draw(rooms=2, per_room=1, legs=2)
    for wrong in (tours.tour[:-1], tours.tour + 1, np.zeros_like(tours.tour)):
        with pytest.raises(TrajectoryError, match="tour numbers"):
            GridTours(tours.legs, wrong)
