"""Grounding strategies: from scores of candidates to a choice of action or goal.

Axes: ``N`` episodes, ``A`` actions that are compared, ``M`` candidate goals.

A strategy is called at every step of a batch of episodes. Those that commit remember one
candidate per episode and keep it: an agent that decides anew at each step goes back and forth
between goals that are equally far.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Generator, Tensor

from langrl.errors import GroundingError
from langrl.functional.marginals import monte_carlo

UNDECIDED = -1


@dataclass(frozen=True)
class Scores:
    """What a strategy decides on.

    Args:
        language_score: h(g, l) [N, M].
        log_weights: log p(g) - log q(g) of the candidates [N, M].
        compute_critic: returns f(s, a, g) [N, A, M]; called only if a strategy uses it.
        direct: state-actions against the instruction [N, A]; None if encoders are not shared.
        labels: what each candidate answers to each of Q questions, int64 [N, Q, M]; None where
            nothing can be asked.
    """

    language_score: Tensor
    log_weights: Tensor
    compute_critic: Callable[[], Tensor] | None = None
    direct: Tensor | None = None
    labels: Tensor | None = None

    @cached_property
    def critic(self) -> Tensor:
        """f(s, a, g) [N, A, M]."""
        if self.compute_critic is None:
            raise GroundingError("this strategy needs a critic; compose it with one")
        return self.compute_critic()

    @property
    def log_posterior(self) -> Tensor:
        """log p(g|l) over the candidates [N, M]."""
        return (self.language_score + self.log_weights).log_softmax(-1)


@dataclass(frozen=True)
class Decision:
    """What a strategy answers: scores of actions [N, A], or a candidate each [N].

    ``posterior`` [N, M] is p(g|l) over the candidates; ``ask`` [N] is True where the agent should
    ask which goal was meant, and ``question`` [N] is then the number of the question, else -1.
    Strategies of ``langrl.grounding.asking`` ask; the others never do.
    """

    posterior: Tensor
    ask: Tensor
    action_scores: Tensor | None = None
    goal: Tensor | None = None
    question: Tensor | None = None


Answer = tuple[Decision, Tensor | None]  # and what to remember


class Grounding(Protocol):
    """A strategy; ``needs`` names what it requires: "critic", "shared encoder", "questions".

    One that also has ``keeps_goals = True`` is not asked again once every episode has a goal, until
    a text changes.
    """

    needs: ClassVar[frozenset[str]]

    def ground(self, scores: Scores, memory: Tensor | None, generator: Generator) -> Answer:
        """Decide for N episodes.

        Args:
            scores: see ``Scores``.
            memory: the candidate that each episode is committed to [N], -1 where it is not
                yet; None at the start.
            generator: source of randomness.
        """


def _decide(
    scores: Scores, action_scores: Tensor | None = None, goal: Tensor | None = None
) -> Decision:
    posterior = scores.log_posterior.exp()
    ask = torch.zeros(len(posterior), dtype=torch.bool, device=posterior.device)
    return Decision(posterior, ask, action_scores, goal)


class Direct:
    """Compare state-actions with the instruction itself, as if a text were a goal.

    Right only where both critics share their goal encoder and goals are uniform on the sphere
    or Gaussian. Source: arXiv:2501.11326, Lemmas 2 and 3.
    """

    needs: ClassVar = frozenset({"critic", "shared encoder"})

    def ground(self, scores: Scores, memory: Tensor | None, generator: Generator) -> Answer:
        """Score actions by the text's embedding; see ``Grounding.ground``."""
        if scores.direct is None:
            raise GroundingError("direct needs a shared encoder; use log_sum_exp instead")
        return _decide(scores, action_scores=scores.direct), memory


class LogSumExp:
    """Marginalise over all candidates at every step. Source: arXiv:2501.11326, Lemma 1."""

    needs: ClassVar = frozenset({"critic"})

    def ground(self, scores: Scores, memory: Tensor | None, generator: Generator) -> Answer:
        """Score actions by log E_g[exp(f + h)]; see ``Grounding.ground``."""
        h = scores.language_score
        terms = scores.critic + (h + scores.log_weights).unsqueeze(1)  # [N, A, M]
        marginal = terms.logsumexp(-1) - math.log(terms.shape[-1])  # half the time of monte_carlo
        if not marginal.isfinite().all():  # which scores to blame, monte_carlo says
            marginal = monte_carlo(scores.critic, h.unsqueeze(-1), scores.log_weights).value
            marginal = marginal.squeeze(-1)
        return _decide(scores, action_scores=marginal), memory


class _Committing(ABC):
    """Chooses a candidate at an episode's first step and keeps it."""

    needs: ClassVar[frozenset[str]] = frozenset()
    keeps_goals: ClassVar[bool] = True
    """An episode that has a goal keeps it: agents need not ask again until the text changes."""

    def ground(self, scores: Scores, memory: Tensor | None, generator: Generator) -> Answer:
        """Answer with the goal committed to; see ``Grounding.ground``."""
        if memory is None:
            memory = torch.full_like(scores.language_score[:, 0], UNDECIDED, dtype=torch.int64)
        undecided = memory == UNDECIDED
        if undecided.any():
            memory = torch.where(undecided, self.choose(scores, generator), memory)
        return _decide(scores, goal=memory), memory

    @abstractmethod
    def choose(self, scores: Scores, generator: Generator) -> Tensor:
        """Return a candidate for each episode [N]."""


class SampledGoal(_Committing):
    """Commit to a goal drawn from the posterior p(g|l)."""

    def choose(self, scores: Scores, generator: Generator) -> Tensor:
        """Return a draw from the posterior [N]."""
        return torch.multinomial(scores.log_posterior.exp(), 1, generator=generator).squeeze(1)


class NearestGoal(_Committing):
    """Commit to the likely goal that the critic finds closest: argmax of max_a f + log p(g|l)."""

    needs: ClassVar = frozenset({"critic"})

    def choose(self, scores: Scores, generator: Generator) -> Tensor:
        """Return the candidate with the best sum of critic and log posterior [N]."""
        return (scores.critic.amax(1) + scores.log_posterior).argmax(-1)


class MaxGoal(_Committing):
    """Commit to the single most likely goal, argmax of p(g|l)."""

    def choose(self, scores: Scores, generator: Generator) -> Tensor:
        """Return the posterior's mode [N]."""
        return scores.log_posterior.argmax(-1)


GROUNDINGS: dict[str, Grounding] = {
    "direct": Direct(),
    "log_sum_exp": LogSumExp(),
    "sampled_goal": SampledGoal(),
    "nearest_goal": NearestGoal(),
    "max_goal": MaxGoal(),
}


def check_needs(grounding: Grounding, offered: frozenset[str]) -> None:
    """Raise GroundingError, by name, if a strategy needs what is not offered."""
    if missing := sorted(grounding.needs - offered):
        able = [name for name, other in GROUNDINGS.items() if other.needs <= offered]
        raise GroundingError(
            f"{type(grounding).__name__} needs a {' and a '.join(missing)};"
            f" pass one, or use one of: {', '.join(able)}"
        )
