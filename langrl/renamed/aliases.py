"""Public import paths of version 0.1: they work for one release more, and warn.

Delete this folder and what imports it in the release after.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Modules that are still there, or are packages now: where their missing names are.
MOVED_NAMES = {
    "langrl.agents.sb3": ("langrl.agents.sb3.extractors", "langrl.agents.sb3.replay"),
    "langrl.agents.baselines": ("langrl.tasks.maze.baselines",),
    "langrl.envs.goals": ("langrl.envs.maze.goals", "langrl.envs.grid.goals"),
    "langrl.envs.wrappers": (
        "langrl.envs.wrappers.instructions",
        "langrl.envs.wrappers.goals",
        "langrl.grounding.instruction_to_goal",
    ),
    "langrl.models.critics": ("langrl.models.critics.maze",),
    "langrl.models.language_image": ("langrl.models.language_image.model",),
    "langrl.models.vae": ("langrl.models.vae.model",),
    "langrl.models.config": ("langrl.models.config",),
}
MOVED_MODULES = {
    "langrl.agents.policies": ("langrl.agents.goal_policy", "langrl.evaluation.policies"),
    "langrl.agents.grid_saved": ("langrl.tasks.grid.agent",),
    "langrl.agents.saved": ("langrl.tasks.loading",),
    "langrl.agents.sb3_vector": ("langrl.agents.sb3.vector_env",),
    "langrl.experiment.callbacks": ("langrl.agents.sb3.callbacks",),
    "langrl.experiment.evaluation": ("langrl.evaluation.rollouts",),
    "langrl.experiment.reproduce.joined_models": ("langrl.reproduce.joined_models",),
    "langrl.envs.gridworld": ("langrl.envs.grid.env",),
    "langrl.envs.grid_grammar": ("langrl.envs.grid.grammar", "langrl.envs.grid.meanings"),
    "langrl.envs.grid_rooms": ("langrl.envs.grid.rooms",),
    "langrl.envs.grid_words": ("langrl.envs.grid.words",),
    "langrl.envs.street_maze": ("langrl.envs.maze.env",),
    "langrl.envs.maze_world": ("langrl.envs.maze.world",),
    "langrl.envs.grammar": ("langrl.envs.maze.grammar", "langrl.envs.phrasing"),
    "langrl.envs.layouts": ("langrl.envs.maze.layouts",),
    "langrl.envs.vector_wrappers": ("langrl.envs.wrappers.vector",),
    "langrl.models.room_critic": ("langrl.models.critics.grid",),
    "langrl.models.history_critic": ("langrl.models.critics.recurrent",),
    "langrl.models.instruction_net": ("langrl.models.critics.instructed",),
    "langrl.models.picture_language": ("langrl.models.language_image.language",),
    "langrl.models.vae_config": ("langrl.models.vae.config",),
    "langrl.grounding.described": ("langrl.grounding.language_critic",),
    "langrl.data.sounds": ("langrl.data.grid.sounds",),
}
PACKAGES = ("langrl.experiment", "langrl.experiment.reproduce")  # of modules above
RENAMED = {
    "EmbeddedPictures": "EmbeddedImages",
    "HistoryCritic": "RecurrentCritic",
    "HistoryCriticConfig": "RecurrentCriticConfig",
    "PictureLanguage": "ImageLanguage",
    "RoomCritic": "GridCritic",
    "RoomCriticConfig": "GridCriticConfig",
    "SoundPictures": "SoundImages",
    "build_room_critic": "build_grid_critic",
    "draw_sound_pictures": "draw_sound_images",
    "picture_language": "image_language",
    "train_on_pictures": "train_on_images",
}
"""Classes and functions that have another name now."""


def find(module: str, name: str) -> Any:
    """Return what ``module`` had by a name, from where it is now, with a DeprecationWarning.

    Raises:
        AttributeError: if it is nowhere.
    """
    if not name.startswith("__"):
        now = RENAMED.get(name, name)
        for place in (MOVED_NAMES | MOVED_MODULES)[module]:
            home = vars(importlib.import_module(place))
            if now in home and _is_of(home[now], place):
                warnings.warn(
                    f"{module}.{name} is {place}.{now} now; the old path goes next release",
                    DeprecationWarning,
                    stacklevel=3,
                )
                return home[now]
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def _is_of(value: Any, place: str) -> bool:
    """Whether a module has a value of its own, and has not imported it from another of langrl."""
    owner = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", place)
    return owner == place or not str(owner).startswith("langrl")


def names_of(module: str) -> Callable[[str], Any]:
    """Return a module's ``__getattr__``, which finds names that it had before."""
    return partial(find, module)


class _Finder(MetaPathFinder, Loader):
    """Makes modules of old paths, when nothing else has found them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in MOVED_MODULES or fullname in PACKAGES:
            return ModuleSpec(fullname, self, is_package=fullname in PACKAGES)
        return None

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in MOVED_MODULES:
            module.__getattr__ = names_of(module.__name__)  # type: ignore[method-assign]


def install() -> None:
    """Let old paths be imported; doing it again changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
