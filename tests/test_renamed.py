import importlib
import subprocess
import sys

import pytest

from langrl.renamed.aliases import MOVED_MODULES, MOVED_NAMES, RENAMED

OLD = [
    ("langrl.agents.policies", "GoalPolicy"),
    ("langrl.agents.policies", "predict"),
    ("langrl.agents.baselines", "OracleAgent"),
    ("langrl.agents.grid_saved", "picture_language"),
    ("langrl.envs.goals", "MazeGoals"),
    ("langrl.envs.goals", "PoseGoals"),
    ("langrl.envs.grammar", "Phrasing"),
    ("langrl.envs.grid_grammar", "draw_meaning"),
    ("langrl.envs.wrappers", "AddInstruction"),
    ("langrl.envs.wrappers", "GoalEnv"),
    ("langrl.envs.wrappers", "InstructionToGoal"),
    ("langrl.experiment.evaluation", "run_episodes"),
    ("langrl.grounding.described", "learn_language"),
    ("langrl.grounding.described", "EmbeddedPictures"),
    ("langrl.data.sounds", "SoundPictures"),
    ("langrl.models.config", "RoomCriticConfig"),
    ("langrl.models.critics", "GoalCritic"),
    ("langrl.models.language_image", "load_language_image_model"),
    ("langrl.models.room_critic", "RoomCritic"),
    ("langrl.models.vae", "build_vae"),
]
SB3 = [
    ("langrl.agents.sb3", "GoalEncoderExtractor"),
    ("langrl.agents.sb3", "ContrastiveReplayBuffer"),
    ("langrl.agents.sb3_vector", "VectorAdapter"),
    ("langrl.experiment.callbacks", "InstructionEvaluation"),
]


@pytest.mark.parametrize(("name", "now"), RENAMED.items())
def test_a_name_that_changed_is_not_the_name_of_something_else(name, now):
    assert name != now
    assert now not in RENAMED


def moved(module, name):
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{name} is langrl\.\S+ now"):
        return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("module", "name"), OLD)
def test_an_old_path_gives_what_is_at_the_new_one_and_warns(module, name):
    found = moved(module, name)
    places = (MOVED_NAMES | MOVED_MODULES)[module]
    now = RENAMED.get(name, name)
    assert any(getattr(importlib.import_module(place), now, None) is found for place in places)


@pytest.mark.parametrize(("module", "name"), SB3)
def test_an_old_path_of_the_parts_for_sb3_works(module, name):
    pytest.importorskip("stable_baselines3")
    assert moved(module, name).__name__ == name


def test_every_place_that_an_old_path_leads_to_is_there():
    pytest.importorskip("stable_baselines3")
    for places in (MOVED_NAMES | MOVED_MODULES).values():
        for place in places:
            assert vars(importlib.import_module(place)), place


def test_a_module_of_a_package_is_imported_without_a_warning():
    code = (
        "import warnings; warnings.simplefilter('error', DeprecationWarning)\n"
        "from langrl.envs.wrappers import checks; from langrl.models import config\n"
        "assert not hasattr(config, 'nothing')"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_name_that_never_was_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match=r"'langrl\.agents\.policies' has no attribute 'Nobody'"
    ):
        _ = importlib.import_module("langrl.agents.policies").Nobody
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("langrl.never")


def test_the_code_itself_uses_no_old_path():
    code = (
        "import warnings; warnings.filterwarnings('error', message='langrl')\n"
        "import langrl.cli.commands, langrl.agents.goal_policy, langrl.reproduce.grid_goto"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
