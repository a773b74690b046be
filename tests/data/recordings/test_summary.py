import numpy as np
import pytest

from langrl.data.recordings.recording import Recording
from langrl.data.recordings.summary import number_rows, summary_rows

LAST = np.array([0, 0, 1, 0, 1], bool)
POSITIONS = np.array([[0, 0], [3, 4], [3, 5], [9, 9], [9, 11]], np.float32)


def recording(**changes):
    given = {
        "layout": "d4rl",
        "observations": POSITIONS,
        "actions": np.array([[1], [3], [99], [5], [99]], np.float32),
        "last": LAST,
        "terminated": np.array([0, 0, 1, 0, 0], bool),
    }
    return Recording(**(given | changes))


def summary(found):
    return {row["measure"]: row["value"] for row in summary_rows(found)}


def test_trajectories_are_counted_and_measured():
    found = summary(recording(rewards=np.array([0, 1, 0, 0, 0], np.float32), left_out=2))
    assert found["layout"].startswith("d4rl: observations, actions, terminals (ended for good)")
    assert (found["trajectories"], found["states"], found["transitions"]) == (2, 5, 3)
    names = ("shortest trajectory", "median trajectory", "longest trajectory")
    assert [found[name] for name in names] == [2, 2.5, 3]
    assert (found["ended by time"], found["ended for good"]) == (1, 1)
    assert (found["observation"], found["action"]) == ("2 numbers", "1 number")
    assert found["rewards other than 0"] == pytest.approx(0.2)
    assert found["left out: trajectories of one state"] == 2
    assert found["mean move"] == pytest.approx((5 + 1 + 2) / 3)
    assert (found["largest move"], found["largest move, from state"]) == (5, 0)
    assert found["achieved goals"] == "not recorded"


def test_a_move_between_trajectories_is_none():
    assert summary(recording())["largest move"] == 5  # from (3, 5) to (9, 9) it is 7.2


def test_images_and_choices_are_described():
    images = np.zeros((5, 4, 6, 3), np.uint8)
    found = recording(observations=images, actions=np.array([0, 2, 9, 1, 9]))
    told = summary(found)
    assert told["observation"] == "4 x 6 x 3 pixels"
    assert told["action"] == "choices 0 to 2"
    assert "mean move" not in told
    assert number_rows(found) == []


def test_the_range_of_every_number_is_told():
    found = number_rows(recording(desired=POSITIONS))
    assert [(row["array"], row["number"]) for row in found] == [
        ("observation", 0),
        ("observation", 1),
        ("action", 0),
        ("desired goal", 0),
        ("desired goal", 1),
    ]
    action = found[2]  # those at last states are not used
    assert (action["min"], action["mean"], action["max"]) == (1, 3, 5)
    assert action["std"] == pytest.approx(np.std([1, 3, 5]))
