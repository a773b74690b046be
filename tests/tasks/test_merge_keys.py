import pytest

from langrl.errors import ConfigError
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import parse_config


@pytest.mark.parametrize(
    ("text", "width", "depth"),
    [
        ("critic: &a {width: 64}\ntext: {<<: *a}", 64, 2),
        ("critic: &a {width: 64}\ntext: {<<: *a, width: 32}", 32, 2),
        ("critic: &a {width: 64}\ntext: {width: 32, <<: *a}", 32, 2),
        ("critic: &a {width: 64}\ntext:\n  <<: [*a, {depth: 3, width: 5}]", 64, 3),
    ],
)
def test_a_merge_key_brings_in_what_the_mapping_does_not_say(text, width, depth):
    found = parse_config(text, "mine", MazeRunConfig).text
    assert (found.width, found.depth) == (width, depth)


@pytest.mark.parametrize(
    "text",
    [
        "critic: &a {width: 64}\ntext: {<<: *a, width: 32, width: 16}",
        "text: {<<: {width: 3}, <<: {depth: 2}}",
        "text: {width: 3, 'width': 4}",
        "seed: 1\nseed: 2",
    ],
)
def test_a_key_that_is_written_twice_is_refused(text):
    with pytest.raises(ConfigError, match="appears twice; keep one"):
        parse_config(text, "mine", MazeRunConfig)


def test_a_merge_of_what_is_no_mapping_is_one_line():
    with pytest.raises(ConfigError, match="expected a mapping") as caught:
        parse_config("text: {<<: 3}", "mine", MazeRunConfig)
    assert "\n" not in str(caught.value)
