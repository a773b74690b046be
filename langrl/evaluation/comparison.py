"""Comparisons: several agents on the same tasks, as rows for a table and for results.json.

Axes: ``n`` episodes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from langrl.errors import ConfigError
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.evaluation.statistics import mean_and_sem
from langrl.protocols import Agent
from langrl.training.logs import progress

COLUMNS = ("success", "success_sem", "spl", "spl_sem")


def compare(
    agents: Mapping[str, Callable[[], Agent]],
    make_env: Callable[[], VectorEnv[Any, Any, Any]],
    seed: int,
    label: str,
    options: dict[str, Any] | None = None,
) -> dict[str, Episodes]:
    """Run each agent through the same tasks: same starts, instructions and noise.

    Agents are made by name; ``label`` is the progress bar's, the rest as for ``run_episodes``.

    Raises:
        ConfigError: if what makes an agent or the environment is no function.
    """
    for name, make in {**agents, "make_env": make_env}.items():
        if not callable(make) or (hasattr(make, "act") and not isinstance(make, type)):
            raise ConfigError(
                f"compare needs functions that make agents and environments, a new one each time,"
                f" and {name!r} is a {type(make).__name__}; give a lambda that makes it"
            )
    results = {}
    for name, make_agent in agents.items():
        env = make_env()
        with progress(f"{label}: {name}", env.num_envs) as bar:
            results[name] = run_episodes(
                env, make_agent(), seed, options, lambda done, _: bar.update(done, "episodes")
            )
        env.close()
    return results


def summarise(episodes: Episodes) -> dict[str, Any]:
    """Return success and SPL with their standard errors over episodes; None where unknown."""
    known = ~np.isnan(episodes.shortest_steps)
    if not known.any():
        return {"episodes": 0} | dict.fromkeys(COLUMNS)
    success = mean_and_sem(episodes.success[known].tolist())
    spl = mean_and_sem(episodes.spl[known].tolist())
    return {"episodes": int(known.sum())} | dict(zip(COLUMNS, (*success, *spl), strict=True))
