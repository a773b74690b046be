"""More episodes than environments: batches of them, one after another.

Axes: ``N`` environments, ``E`` episodes.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from langrl.errors import ConfigError
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.protocols import Agent


def run_batches(
    env: VectorEnv[Any, Any, Any],
    agent: Agent,
    episodes: int,
    seed: int,
    options: dict[str, Any] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Episodes:
    """Run E episodes in N environments, N at a time; the last ones of the last batch are left out.

    For worlds of which many side by side take too much memory. The first batch is what
    ``run_episodes`` runs with this seed.

    Args:
        env: see ``run_episodes``.
        agent: acts on all of them at once.
        episodes: E; those that begin where the instruction is satisfied are among them.
        seed: of tasks and agent.
        options: passed to ``env.reset``.
        on_step: called with (episodes finished, episodes) after each step.

    Raises:
        ConfigError: see ``run_episodes``; or if E is below 1.
    """
    if episodes < 1:
        raise ConfigError(f"episodes is how many there are, at least 1, got {episodes}")
    found: list[Episodes] = []
    for begun in range(0, episodes, env.num_envs):
        later = np.random.SeedSequence([seed, begun]).generate_state(1)[0]

        def report(done: int, _: int, begun: int = begun) -> None:
            if on_step is not None:
                on_step(min(begun + done, episodes), episodes)

        found.append(run_episodes(env, agent, int(later) if begun else seed, options, report))
    return _joined(found, episodes)


def _joined(parts: list[Episodes], episodes: int) -> Episodes:
    """Return the first E episodes of some batches as one."""
    skipped = sum(part.started_satisfied for part in parts)
    instructions = tuple(chain.from_iterable(part.instructions for part in parts))
    count = min(len(instructions), episodes)
    return Episodes(
        success=np.concatenate([part.success for part in parts])[:count],
        steps=np.concatenate([part.steps for part in parts])[:count],
        ambiguity_bits=np.concatenate([part.ambiguity_bits for part in parts])[:count],
        started_satisfied=skipped,
        instructions=instructions[:count],
        shortest_steps=np.concatenate([part.shortest_steps for part in parts])[:count],
        paths=list(chain.from_iterable(part.paths for part in parts))[:count],
    )
