"""Profiles: how much of the benchmark is run, from half a minute to some hours.

A profile fixes the tasks, the trainings and the entrants, so that folders of one profile can be
compared; which entrants, worlds and seeds are run can be narrowed by flags.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from langrl.benchmark.level_world import LEVELS


@dataclass(frozen=True)
class Recipe:
    """How a profile trains a family of agents in worlds of one type.

    Args:
        changes: fields of the family's preset that are others here, with dots.
        preset: another preset than the family's.
        shared: whether one run is for all worlds of the type, which the preset names.
        worlds: where it is trained; None: in all of the profile's. Its entrants act nowhere else.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    shared: bool = False
    worlds: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Profile:
    """How much of the benchmark is run.

    Args:
        about: what it is for, in a few words.
        worlds: names of worlds.
        seeds: of training and acting, 0 to ``seeds - 1``.
        entrants: names of entrants.
        tasks: tasks of each world and mode, at most; an ambiguous task and its twin are two.
        prices: of a question, at which entrants that ask are evaluated.
        calibration: tasks on layouts apart that conformal sets are calibrated on.
        training: by family and then "street" or "grid", where it is another than the preset's.
        levels: more worlds, in suites that have levels of BabyAI. What acts there was trained in
            grid worlds.
        level_tasks: tasks of each level, at most.
    """

    about: str
    worlds: tuple[str, ...]
    seeds: int
    entrants: tuple[str, ...]
    tasks: int
    prices: tuple[float, ...]
    calibration: int
    training: Mapping[str, Mapping[str, Recipe]] = field(default_factory=dict)
    levels: tuple[str, ...] = ()
    level_tasks: int = 0

    def digest(self, worlds: Collection[str]) -> str:
        """Return a sha256 of what decides results in some worlds: of all but the words about it.

        What it says of levels decides nothing where there are none.
        """
        fields = asdict(self) | {"about": ""}
        if not any(level in worlds for level in LEVELS):
            del fields["levels"], fields["level_tasks"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def worlds_in(self, worlds: Collection[str]) -> tuple[str, ...]:
        """Return the profile's worlds, of those that a suite has."""
        return tuple(world for world in (*self.worlds, *self.levels) if world in worlds)

    def tasks_in(self, world: str) -> int:
        """Return how many tasks of a world and mode are run, at most."""
        return self.level_tasks if world in LEVELS else self.tasks


STREETS = tuple(f"street-{name}" for name in ("fork", "blank", "island", "slit", "blocker"))
GRIDS = tuple(f"grid-{name}" for name in ("goto", "crowded", "rooms", "relations", "nine-rooms"))
PRICES = (0.05, 0.2, 0.8)
ASKING = ("never", "always", "pays", "conformal")
STRATEGIES = ("log_sum_exp", "nearest_goal", "sampled_goal", "max_goal")

REFERENCES = ("oracle", "nearest_object", "random", *(f"posterior-{ask}" for ask in ASKING))
CONTRASTIVE = tuple(
    f"{family}-{how}" for family in ("offline", "online") for how in (*STRATEGIES, *ASKING)
)

SMOKE = Profile(
    about="whether it runs: half a minute, with trainings that learn next to nothing",
    worlds=("street-fork", "grid-goto"),
    seeds=1,
    entrants=(
        "oracle", "random", "posterior-never", "posterior-always", "posterior-pays",
        "offline-log_sum_exp", "offline-nearest_goal",
    ),
    tasks=24,
    prices=(0.2,),
    calibration=50,
    levels=("level-goto-local",),
    level_tasks=8,
    training={
        "offline": {
            "street": Recipe(
                {
                    "data.num_trajectories": 500,
                    "data.num_pairs": 5_000,
                    "learner.steps": 60,
                    "learner.batch_size": 64,
                    "grounding.candidates": 500,
                }
            ),
            "grid": Recipe(
                {
                    "data.rooms": 50,
                    "learner.steps": 10,
                    "learner.rooms": 8,
                    "learner.states": 16,
                    "learner.warmup": 1,
                    "critic.channels": 16,
                }
            ),
        }
    },
)  # fmt: skip

FAST = Profile(
    about="a first answer: ten minutes on two cores, with short trainings",
    worlds=("street-fork", "grid-goto"),
    seeds=1,
    entrants=(*REFERENCES, *CONTRASTIVE, "offline-direct", "cloning"),
    tasks=120,
    prices=PRICES,
    calibration=400,
    levels=("level-goto-local", "level-pickup-loc"),
    level_tasks=48,
    training={
        "offline": {"street": Recipe({"grounding.candidates": 2000})},
        "online": {
            "street": Recipe({"learner.env_steps": 200_000}),
            "grid": Recipe(
                {
                    "learner.env_steps": 300_000,
                    "learner.updates": 16,
                    "collect.warmup": 20_000,
                    "rooms.channels": 32,
                    "rooms.depth": 4,
                }
            ),
        },
    },
)

_WORLDS = ("goto", "crowded", "rooms", "relations", "rooms", "nine_rooms")  # as grid-all, and one
_ALL_GRIDS = {"grid": Recipe({"world.worlds": _WORLDS}, preset="grid-all", shared=True)}
FULL = Profile(
    about="the table of the README: every world, three seeds, the presets' trainings; four hours",
    worlds=(*STREETS, *GRIDS),
    seeds=3,
    entrants=(
        *REFERENCES, *CONTRASTIVE, "offline-direct", "sb3_goals-max_goal",
        "sb3_goals-sampled_goal", "sb3_reads", "cloning",
    ),
    tasks=288,
    prices=PRICES,
    calibration=2_000,
    levels=tuple(LEVELS),
    level_tasks=144,
    training={
        "offline": _ALL_GRIDS,
        "cloning": _ALL_GRIDS,
        # Minutes between checkpoints. Among several rooms, a run would take up to an hour.
        "online": {
            "grid": Recipe(
                {"logging.checkpoint_every": 1_000},
                worlds=("grid-goto", "grid-crowded", "grid-relations"),
            )
        },
        # Where Stable-Baselines3 has a preset, for about as long as "online" in grid worlds.
        "sb3_goals": {
            "street": Recipe({"policy.steps": 80_000}, worlds=("street-fork",)),
            "grid": Recipe({"policy.steps": 300_000}, worlds=("grid-goto",)),
        },
        "sb3_reads": {
            "street": Recipe({"policy.steps": 500_000}, worlds=("street-fork",)),
            "grid": Recipe({"policy.steps": 1_000_000}, worlds=("grid-goto",)),
        },
    },
)  # fmt: skip

PROFILES: dict[str, Profile] = {"smoke": SMOKE, "fast": FAST, "full": FULL}
