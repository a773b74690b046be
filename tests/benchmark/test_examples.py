import json

import numpy as np
import pytest
from benchmark_folder import maze_example, room_example

from langrl.benchmark.examples import MOST_CANDIDATES, Example
from langrl.errors import ResultsError


@pytest.mark.parametrize("make", [maze_example, room_example])
def test_an_example_comes_back_from_json(make):
    example = make()
    again = Example.from_json(json.loads(json.dumps(example.to_json())))
    assert again.instruction == example.instruction
    assert again.answers == example.answers
    np.testing.assert_allclose(again.path, example.path, atol=0.01)
    np.testing.assert_array_equal(again.denoted, example.denoted)
    assert again.probabilities.sum() == pytest.approx(example.probabilities.sum(), abs=0.01)


def test_candidates_in_one_cell_of_a_maze_become_one():
    given = {"candidates": [[0.2, 0.3], [0.9, 0.1], [2.5, 3.5]], "probabilities": [0.1, 0.2, 0.7]}
    content = maze_example(**given).to_json()
    assert content["candidates"] == [[0.5, 0.5], [2.5, 3.5]]
    assert content["probabilities"] == [0.3, 0.7]


def test_only_the_most_likely_candidates_are_kept():
    count = MOST_CANDIDATES + 5
    poses = [(n % 7, n // 7 % 60, n % 4) for n in range(count)]
    chances = np.arange(count) / count
    content = room_example(candidates=poses, probabilities=chances).to_json()
    assert len(content["candidates"]) == MOST_CANDIDATES
    assert content["candidates"][0] == list(poses[5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": [[1, 2, 3]]}, r"path is \[any, 2\], got \[1, 3\]"),
        ({"path": []}, "path has no place"),
        ({"probabilities": [0.5]}, r"probabilities is \[\d+\], got \[1\]"),
        ({"candidates": [["a", "b"]]}, "candidates is an array of numbers"),
        ({"denoted": [[0, -1]]}, "denoted is finite numbers from 0"),
        ({"path": [[0, float("nan")]]}, "path is finite numbers from 0"),
        ({"layout": None}, "the layout of a maze, or the room of a grid world"),
        ({"instruction": 3}, "instruction is a text"),
        ({"instruction": "a" * 3000}, "at most 2,000 characters"),
        ({"answers": ("a", 1)}, "answers is a text"),
        ({"success": 1}, "success is true or false"),
        ({"intended": [1]}, r"intended is \[2\], got \[1\]"),
    ],
)
def test_a_field_that_is_wrong_is_named(changes, message):
    with pytest.raises(ResultsError, match=message):
        maze_example(**changes)


@pytest.mark.parametrize("content", [None, [], {}, {"colour": 1}])
def test_what_is_no_example_is_refused(content):
    with pytest.raises(ResultsError, match="example"):
        Example.from_json(content)
