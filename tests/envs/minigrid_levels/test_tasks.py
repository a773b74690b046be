import numpy as np
import pytest

from langrl.envs.minigrid_levels.reading import DONE, PICKUP, TOGGLE
from langrl.envs.minigrid_levels.tasks import Task, acts_of, read_task, write_task

RED_BALL = ("thing", "red", "ball")


@pytest.mark.parametrize(
    ("text", "acts", "meaning"),
    [
        ("go to the red ball", (DONE,), RED_BALL),
        ("pick up the red ball", (PICKUP,), RED_BALL),
        ("Pick the red ball up!", (PICKUP,), RED_BALL),
        ("you must fetch a red ball", (PICKUP,), RED_BALL),
        ("hello there, grab that crimson orb", (PICKUP,), RED_BALL),
        ("get a red ball", (DONE, PICKUP), RED_BALL),
        ("open the yellow door", (TOGGLE,), ("thing", "yellow", "door")),
        ("could you please open whichever gate", (TOGGLE,), ("thing", None, "door")),
        ("pick up anything but a ball", (PICKUP,), None),
    ],
)
def test_verbs_and_objects_are_read(text, acts, meaning):
    task = read_task(text)
    assert task is not None
    assert task.acts == acts
    assert task.meaning == (meaning or ("except", ("thing", None, None), ("thing", None, "ball")))


@pytest.mark.parametrize(
    "text",
    [
        "put the red ball next to a key",
        "go to the key, then open the door",
        "pick up a ball in front of you on your left",
        "sing",
    ],
)
def test_what_has_no_goal_here_is_not_read(text):
    assert read_task(text) is None


def test_of_a_text_that_cannot_be_read_the_verb_is_found():
    assert acts_of("pick up the ball on your left") == (PICKUP,)
    assert acts_of("open a door behind you") == (TOGGLE,)
    assert acts_of("go to the ball on your left") == (DONE,)


@pytest.mark.parametrize("phrasing", ["seen", "held_out", "noisy"])
@pytest.mark.parametrize("acts", [(DONE,), (PICKUP,), (TOGGLE,), (DONE, PICKUP)])
def test_what_is_written_is_read_back(phrasing, acts):
    generator, tasks = np.random.default_rng(0), []
    for colour, name in (("red", "ball"), (None, "key"), ("grey", None)):
        task = Task(acts, ("thing", colour, name))
        tasks += [(task, write_task(task, generator, phrasing)) for _ in range(8)]
    said = [(task, text) for task, text in tasks if acts != (DONE, PICKUP) or "get" in text]
    # Of a held-out text with a typo, or of "get", another reading is as good.
    right = np.mean([read_task(text) == task for task, text in said] or [1])
    assert right > 0.85
    assert len({text for _, text in tasks}) > 8
