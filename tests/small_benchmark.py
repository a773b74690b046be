"""A small suite and a small profile of the benchmark, which trains next to nothing."""

from langrl.benchmark import planning
from langrl.benchmark.profiles import PROFILES, Profile, Recipe
from langrl.benchmark.results import load_results
from langrl.benchmark.suites import SUITES, Suite, hash_tasks
from langrl.benchmark.tasks import draw_tasks_of_modes
from langrl.envs.intents import MODES

NAME = "langrl/Small-v1"
STREET, GRID = "street-slit", "grid-goto"
TINY_STREET = {
    "data.num_trajectories": 50,
    "data.num_pairs": 200,
    "learner.steps": 6,
    "learner.batch_size": 16,
    "learner.language_batch_size": 8,
    "critic.width": 16,
    "critic.embedding": 8,
    "text.width": 16,
    "grounding.candidates": 50,
    "grounding.directions": 8,
    "logging.checkpoint_every": 2,
}
PROFILE = Profile(
    about="for tests",
    worlds=(STREET,),
    seeds=1,
    entrants=("oracle", "posterior-pays", "offline-log_sum_exp"),
    tasks=4,
    prices=(0.2,),
    calibration=20,
    training={"offline": {"street": Recipe(TINY_STREET)}},
)


def small_suite(seed: int = 3, worlds: tuple[str, ...] = (STREET, GRID)) -> Suite:
    """Return a suite with four pairs of tasks in each world and mode."""
    digests = {}
    for world in worlds:
        drawn = draw_tasks_of_modes(world, 4, seed)
        digests[world] = hash_tasks(task for mode in MODES for task in drawn[mode])
    return Suite(NAME, seed, 4, digests)


def outcomes_of(out):
    """Return the outcomes in a folder by entrant, world and seed, but for the seconds."""
    found = {}
    for cell in load_results(out).cells:
        columns = cell.outcomes.to_json()
        del columns["seconds"]
        found[cell.entrant, cell.world, cell.seed] = columns
    return found


def with_small_suite(function, *arguments):
    """Call a function where the small suite is the benchmark's own, as another process may not."""
    planning.SUITE = NAME
    SUITES.setdefault(NAME, small_suite())
    PROFILES.setdefault("small", PROFILE)
    return function(*arguments)


class SmallEngine:
    """An engine in whose processes there is the small suite."""

    def __init__(self, engine):
        self._engine = engine

    def map(self, function, jobs):
        """As the engine's."""
        return self._engine.map(with_small_suite, [(function, *job) for job in jobs])
