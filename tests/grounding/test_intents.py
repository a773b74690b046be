import numpy as np
import pytest
import torch
from grid_rooms_by_hand import EAST, NORTH, ROOM, SOUTH

from langrl.envs.grid.rooms import observe
from langrl.envs.questions import grid_questions, maze_questions
from langrl.grounding.intents import GridIntents, MazeIntents, intent_log_posterior

OBJECTS = {(1, 6), (4, 1), (6, 1), (6, 6)}


def cells(mask, width):
    return {divmod(int(number), width) for number in np.flatnonzero(mask)}


@pytest.fixture
def grid():
    return GridIntents(grid_questions(8))


@pytest.fixture
def maze(world):
    return MazeIntents(world, maze_questions(world.walls.shape))


@pytest.fixture
def observation():
    return observe(ROOM[None], np.array([[1, 1, EAST]]))


def test_the_intents_of_a_room_are_its_objects(grid, observation):
    assert cells(grid.possible(observation)[0], 8) == OBJECTS


def test_a_text_denotes_objects_of_its_own_room(grid, observation):
    denoted = grid.denoted(np.concatenate([observation] * 2), ["go to the key", "find a ball"])
    assert [cells(mask, 8) for mask in denoted] == [{(4, 1)}, {(1, 6), (6, 1)}]


def test_what_the_grammar_cannot_read_may_mean_anything(grid, maze, observation):
    assert cells(grid.denoted(observation, ["dance"])[0], 8) == OBJECTS
    start = np.array([[0.5, 0.5]], np.float32)
    assert np.array_equal(maze.denoted(start, ["dance"]), maze.possible(start))


def test_a_pose_reaches_the_cell_that_it_faces(grid):
    poses = np.array([[3, 1, SOUTH], [1, 5, EAST], [5, 1, NORTH]])
    assert [divmod(int(n), 8) for n in grid.reached(poses)] == [(4, 1), (1, 6), (4, 1)]
    said = GridIntents(grid_questions(8), said_done=True).goals(
        observe(ROOM[None], np.array([[1, 1, EAST]]))[0]
    )
    assert said.shape[1] == 4
    assert (said[:, 3] == 1).all()


def test_goals_of_a_room_reach_each_object_and_nothing_else(grid, observation):
    reached = grid.reached(grid.goals(observation[0]))
    assert {divmod(int(n), 8) for n in reached} == OBJECTS


def test_goals_of_a_maze_are_one_in_each_free_cell(maze, world):
    reached = maze.reached(maze.goals(np.zeros(2)))
    assert sorted(reached) == list(np.flatnonzero(~world.walls.reshape(-1)))


def test_labels_are_those_of_the_questions(grid, observation):
    labels = grid.labels(observation)[0]
    names = grid.questions.names
    red_ball, blue_ball = 1 * 8 + 6, 6 * 8 + 1
    assert labels[names.index("type"), red_ball] == labels[names.index("type"), blue_ball]
    assert labels[names.index("colour"), red_ball] != labels[names.index("colour"), blue_ball]
    assert (labels[:, 0] == -1).all()  # a wall


def test_labels_of_a_maze_are_of_free_cells(maze, world):
    labels = maze.labels(np.zeros((2, 2)))
    assert labels.shape == (2, len(maze.questions.names), world.walls.size)
    assert ((labels >= 0).all(1) == ~world.walls.reshape(-1)).all()


def test_how_many_candidates_reach_an_intent_does_not_matter():
    # Three candidates reach intent 0, one reaches intent 2; all are equally likely.
    reached = torch.tensor([[0, 0, 0, 2]])
    possible = torch.tensor([[True, False, True]])
    found = intent_log_posterior(torch.zeros(1, 4), torch.zeros(1, 4), reached, possible).exp()
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.0, 0.5]]).double())


def test_scores_of_candidates_are_averaged_by_their_prior():
    scores = torch.tensor([[1.0, 3.0, 2.0]]).log()
    prior = torch.tensor([[0.5, 0.25, 0.25]]).log()
    reached, possible = torch.tensor([[0, 0, 1]]), torch.ones(1, 2, dtype=torch.bool)
    found = intent_log_posterior(scores + prior, prior, reached, possible).exp()
    mean = (1.0 * 0.5 + 3.0 * 0.25) / 0.75
    expected = torch.tensor([[mean, 2.0]]).double()
    torch.testing.assert_close(found, expected / expected.sum(), atol=1e-6, rtol=0)


def test_padding_and_candidates_that_reach_no_intent_count_for_nothing():
    scores, prior = torch.zeros(1, 4), torch.tensor([[0.0, 0.0, 0.0, -torch.inf]])
    reached, possible = torch.tensor([[0, 1, 2, 0]]), torch.tensor([[True, True, False]])
    found = intent_log_posterior(scores + prior, prior, reached, possible).exp()
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5, 0.0]]).double())


def test_where_candidates_reach_no_intent_each_is_as_likely():
    possible = torch.tensor([[True, True, False]])
    zeros, reached = torch.zeros(1, 2), torch.tensor([[2, 2]])
    found = intent_log_posterior(zeros, zeros, reached, possible).exp()
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5, 0.0]]).double())
