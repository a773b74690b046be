import pytest
import yaml
from pydantic import ValidationError

from langrl.envs.maze.layouts import LAYOUTS
from langrl.errors import ConfigError
from langrl.settings import dump_config
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config, parse_config, preset_names
from langrl.tasks.sb3.config import Sb3RunConfig

SORTS = (
    MazeRunConfig, GridRunConfig, GridPartialRunConfig, Sb3RunConfig, LanguageImageRunConfig,
    CpcRunConfig, GoalRunConfig
)  # fmt: skip


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_being_written_and_read(name):
    config = load_config(name, *SORTS)
    assert parse_config(dump_config(config), "copy", *SORTS) == config


def test_there_is_a_preset_for_every_published_maze():
    assert {f"street-{name}" for name in LAYOUTS} <= set(preset_names())


def test_a_file_overrides_the_defaults_field_by_field(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("learner:\n  learning_rate: 1e-3\nseed: 7\n")
    config = load_config(str(path), MazeRunConfig)
    assert config.learner.learning_rate == 1e-3
    assert config.seed == 7
    assert config.critic == MazeRunConfig().critic


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("leraner: {steps: 3}", ["mine", "'leraner'", "did you mean 'learner'"]),
        ("learner: {stesp: 3}", ["'learner.stesp'", "did you mean 'steps'"]),
        ("learner: {steps: many}", ["learner.steps", "'many'"]),
        ("learner: {steps: 0}", ["learner.steps", "greater than or equal to 1"]),
        ("critic: {energy: cosin}", ["critic.energy", "'cosine'"]),
        ("data: {kinds: [rows]}", ["data.kinds", "did you mean 'row'"]),
        ("seed: 1\nseed: 2", ["'seed' appears twice"]),
        ("- 1", ["must be a mapping"]),
        ("a: [", ["is not YAML"]),
        ("seed: !!python/object/apply:os.system ['true']", ["is not YAML"]),
        ("? [1, 2]\n: 3", ["is not YAML"]),
        ("task: grid\nworld: {worlds: [gotoo]}", ["world.worlds", "did you mean 'goto'"]),
    ],
)
def test_what_is_wrong_in_a_config_is_named_in_one_line(text, words):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "mine", MazeRunConfig, GridRunConfig)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_a_config_of_another_command_is_refused_by_its_task(tmp_path):
    with pytest.raises(ConfigError, match="task is 'grid'; this command takes street-maze"):
        load_config("grid-goto", MazeRunConfig)
    with pytest.raises(ConfigError, match="task is 'chess'"):
        parse_config("task: chess", "mine", MazeRunConfig, GridRunConfig)


def test_an_unknown_preset_is_answered_with_the_closest_one():
    with pytest.raises(ConfigError, match="did you mean 'street-fork'"):
        load_config("street-frok", MazeRunConfig)


def test_a_missing_or_huge_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no config file"):
        load_config(str(tmp_path / "none.yaml"), MazeRunConfig)
    huge = tmp_path / "huge.yaml"
    huge.write_text("#" * 1_000_001)
    with pytest.raises(ConfigError, match="larger than 100 kB"):
        load_config(str(huge), MazeRunConfig)


def test_configs_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        MazeRunConfig().seed = 3


def test_every_field_says_what_it_is():
    def fields(model):
        for name, field in model.model_fields.items():
            inner = field.annotation
            if hasattr(inner, "model_fields"):
                yield from fields(inner)
            else:
                yield f"{model.__name__}.{name}", field

    every = [pair for sort in SORTS for pair in fields(sort)]
    undescribed = [name for name, field in every if not field.description]
    assert not undescribed
    assert yaml.safe_load(dump_config(MazeRunConfig()))["learner"]["steps"] == 2500
