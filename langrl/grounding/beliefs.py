"""What is believed of intents, given an instruction: exactly, or by a language side.

Axes: ``N`` episodes, ``I`` cells of the map, ``M`` goals, ``G`` numbers in a goal.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.errors import DomainError
from langrl.grounding.chooser import Posterior, TextCache
from langrl.grounding.intents import Intents, intent_log_posterior
from langrl.models.protocols import Language, as_inputs, device_of, evaluation_mode
from langrl.protocols import Array, Mask

_AT_ONCE = 256  # episodes whose goals are embedded together


class Beliefs(Protocol):
    """A posterior over the intents of a world."""

    intents: Intents
    is_exact: bool
    """Whether it rules out what the texts do not denote."""

    def log_posterior(self, observations: Array, texts: Sequence[str]) -> Tensor:
        """Return log p(i|l) [N, I], of doubles, -inf where it is impossible.

        Args:
            observations: the first ones of N episodes [N, ...].
            texts: their instructions, N of them.
        """


class ExactBeliefs:
    """The posterior that knows what texts denote: uniform over the denoted intents.

    Args:
        intents: of the world.
        denote: returns what texts denote [N, I], given observations [N, ...] and N texts; by the
            world's grammar if not given, and then uniform over all intents where it cannot read
            a text.
    """

    is_exact = True

    def __init__(
        self,
        intents: Intents,
        denote: Callable[[Array, Sequence[str]], Mask] | None = None,
    ) -> None:
        self.intents, self._denote = intents, intents.denoted if denote is None else denote

    def log_posterior(self, observations: Array, texts: Sequence[str]) -> Tensor:
        """Return log p(i|l) [N, I]; see ``Beliefs.log_posterior``."""
        denoted = torch.from_numpy(self._denote(observations, texts))
        return torch.zeros(denoted.shape).double().where(denoted, -torch.inf).log_softmax(-1)


class LanguageBeliefs:
    """The posterior of a language side h(g, l), over goals that reach intents.

    Args:
        language: h(g, l).
        intents: of the world; goals are those of ``intents.goals``.
        language_weight: factor on the language score; see ``GroundedAgent``.
        temperature: the log posterior is divided by it; see ``fit_temperature``.
        device: where a language side computes that has neither weights nor a ``device``.

    Raises:
        DomainError: if the temperature is not above 0.
    """

    is_exact = False

    def __init__(
        self,
        language: Language,
        intents: Intents,
        *,
        language_weight: float = 1.0,
        temperature: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        if not temperature > 0:
            raise DomainError(f"a temperature is above 0, got {temperature}")
        evaluation_mode(language)
        self.language, self.intents = language, intents
        self.language_weight, self.temperature, self._device = language_weight, temperature, device
        self._embed_texts = TextCache(language)

    @torch.no_grad()
    def log_posterior(self, observations: Array, texts: Sequence[str]) -> Tensor:
        """Return log p(i|l) [N, I]; see ``Beliefs.log_posterior``."""
        found = []
        for start in range(0, len(observations), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            found.append(self._log_posterior(observations[rows], texts[rows]))
        return (torch.cat(found) / self.temperature).log_softmax(-1)

    def p_understood(self, text: str) -> float | None:
        """Return P(understood) of a text; None if the language side does not know it."""
        return self._embed_texts.p_understood(text)

    def _log_posterior(self, observations: Array, texts: Sequence[str]) -> Tensor:
        listed = [self.intents.goals(observation) for observation in observations]
        most = max(map(len, listed))
        # The first goal is the padding: it needs no embedding of its own.
        goals = np.stack([np.concatenate([g, g[:1].repeat(most - len(g), 0)]) for g in listed])
        padding = np.arange(most) >= np.array([len(each) for each in listed])[:, None]
        device = device_of(self.language, self._device)
        seen, candidates = as_inputs((observations, goals), self.language, device)
        embedded = self.language.embed_goals(seen, candidates)  # [N, M, D]
        encoded = self._embed_texts(texts).unsqueeze(1).to(embedded.device)  # [N, 1, J, D]
        scores = self.language_weight * self.language.score(embedded, encoded).squeeze(-1).cpu()
        prior = torch.zeros(goals.shape[:2]).masked_fill(torch.from_numpy(padding), -torch.inf)
        reached = torch.from_numpy(self.intents.reached(goals))
        possible = torch.from_numpy(self.intents.possible(observations))
        return intent_log_posterior(scores.float() + prior, prior, reached, possible)


def posterior_of(beliefs: Beliefs, state: Array, text: str) -> Posterior:
    """Return goals that reach intents, each with its share of what is believed of its intent.

    Args:
        beliefs: over the intents of the world.
        state: a single observation [...].
        text: the instruction.
    """
    goals = beliefs.intents.goals(state)
    reached = beliefs.intents.reached(goals)
    shares = 1 / np.bincount(reached)[reached]  # of goals that reach the same intent
    found: NDArray[np.float64] = beliefs.log_posterior(state[None], [text])[0].exp().numpy()
    probabilities = (found[reached] * shares).astype(np.float32)
    understood = beliefs.p_understood(text) if isinstance(beliefs, LanguageBeliefs) else None
    return Posterior(goals, probabilities, shares.astype(np.float32), understood)
