"""Comparisons: several agents on the same tasks, as rows for a table and for results.json.

Axes: ``n`` episodes.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from langrl.envs.autoreset import autoreset_mode
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
    shared: dict[str, Any] | None = None,
) -> dict[str, Episodes]:
    """Run each agent through the same tasks: same starts, instructions and noise.

    Agents that have an attribute ``shared`` get one dict, in which they keep what the others would
    compute again from the same parts: candidates, their embeddings and language scores. Their
    results are those that each would have alone.

    Args:
        agents: how to make each, by name.
        make_env: returns the tasks, which start again with each agent; see ``run_episodes``.
        seed: of the tasks and the agents.
        label: of the progress bar.
        options: of the environment's ``reset``.
        shared: the dict of an earlier comparison, whose agents have the same weights.

    Raises:
        ConfigError: if what makes an agent or the environment is no function, or the environment
            is no vector environment.
    """
    if not isinstance(agents, Mapping):
        raise ConfigError(
            f"agents is a dict such as {{'mine': lambda: agent}}, got {type(agents).__name__}"
        )
    for name, make in {**agents, "make_env": make_env}.items():
        if not callable(make) or (hasattr(make, "act") and not isinstance(make, type)):
            raise ConfigError(
                f"compare needs functions that make agents and environments, a new one each time,"
                f" and {name!r} is a {type(make).__name__}; give a lambda that makes it"
            )
    results, shared = {}, {} if shared is None else shared
    with closing(make_env()) as env:
        autoreset_mode(env)  # or an error, before agents are made
        for name, make_agent in agents.items():
            agent = make_agent()
            if hasattr(agent, "shared"):
                agent.shared = shared
            try:
                with progress(f"{label}: {name}", env.num_envs, estimate_from=0.2) as bar:
                    results[name] = run_episodes(
                        env, agent, seed, options, lambda done, _: bar.update(done, "episodes")
                    )
            finally:
                if hasattr(agent, "shared"):
                    agent.shared = None  # its weights may be trained further
    return results


def summarise(episodes: Episodes) -> dict[str, Any]:
    """Return success and SPL with their standard errors over episodes; None where unknown."""
    known = episodes.known
    if not known.any():
        return {"episodes": 0} | dict.fromkeys(COLUMNS)
    success = mean_and_sem(episodes.success[known].tolist())
    spl = episodes.spl[~np.isnan(episodes.shortest_steps)].tolist()
    shown = (*success, *(mean_and_sem(spl) if spl else (None, None)))
    return {"episodes": int(known.sum())} | dict(zip(COLUMNS, shown, strict=True))
