"""The time of a comparison of methods: together, with what they share, or one by one."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from langrl.tasks.registry import load_run_config
from langrl.tasks.run import build_run
from langrl.tasks.suite import Makers, TaskSuite, suite_of
from langrl.training.jobs import one_thread

EPISODES = 100
_LITTLE: dict[str, dict[str, int]] = {  # data of runs that are not trained
    "street-fork": {"num_trajectories": 200, "num_pairs": 500},
    "grid-goto": {"rooms": 20, "trajectories_per_room": 2},
}


def evaluation(rounds: int) -> list[dict[str, Any]]:
    """Time comparisons of all methods of untrained agents, in seconds of the processor.

    The variants take turns. Each has tasks of its own, so that neither finds images of grid worlds
    that the other has embedded.
    """
    rows = []
    for preset, data in _LITTLE.items():
        config: Any = load_run_config(preset)
        config = config.model_copy(update={"data": config.data.model_copy(update=data)})
        with one_thread():
            suite = suite_of(config)
            agents = suite.agents(build_run(config, Path()).agent)
            seconds: dict[str, list[float]] = {"together": [], "one by one": []}
            for number in range(rounds):
                for odd, (variant, compare) in enumerate(_VARIANTS.items()):
                    update = {"episodes": EPISODES, "seed": 2 * number + odd}
                    settings = suite.settings.model_copy(update=update)
                    seconds[variant].append(_time(partial(compare, suite, agents, settings)))
        median = {variant: statistics.median(values) for variant, values in seconds.items()}
        rows.append(
            {
                "benchmark": "evaluation",
                "variant": f"{preset}, {len(agents)} methods, {EPISODES} episodes",
                "seconds": median["together"],
                "one_by_one_seconds": median["one by one"],
                "ratio": median["one by one"] / median["together"],
            }
        )
    return rows


def _together(suite: TaskSuite, agents: Makers, settings: Any) -> None:
    suite.compare(agents, "together", settings)


def _one_by_one(suite: TaskSuite, agents: Makers, settings: Any) -> None:
    for name, make_agent in agents.items():
        suite.compare({name: make_agent}, "one by one", settings)


_VARIANTS = {"one by one": _one_by_one, "together": _together}


def _time(run: Callable[[], Any]) -> float:
    """Return the processor's seconds of a call: other programs' are not in it."""
    begin = time.process_time()
    run()
    return time.process_time() - begin
