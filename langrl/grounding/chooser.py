"""From an instruction to a goal, without a critic: for policies that take goals.

Axes: ``N`` episodes, ``M`` candidate goals, ``G`` numbers in a goal, ``J`` alternatives of a text,
``D`` embedding size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.errors import GroundingError, NonFiniteError, ShapeError, lookup
from langrl.grounding.candidates import Candidates
from langrl.grounding.intents import intent_log_posterior
from langrl.grounding.strategies import GROUNDINGS, Grounding, Scores, check_needs
from langrl.models.protocols import Language, as_inputs, device_of, evaluation_mode
from langrl.models.understanding import understanding_of
from langrl.protocols import Array, Floats, Integers, Mask, as_texts, check_instructions

_CACHED_TEXTS = 10_000


class TextCache:
    """Embeddings of texts, each encoded once and by itself.

    By itself, because the last bits of an embedding vary with what else is in the batch.
    """

    def __init__(self, language: Language) -> None:
        self._language = language
        self._texts: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return embeddings [K, J, D]."""
        texts = as_texts(texts)
        if len(self._texts) > _CACHED_TEXTS:
            self._texts.clear()
        for text in dict.fromkeys(texts):
            if text not in self._texts:
                self._texts[text] = self._language.encode_text([text])[0]
        return torch.stack([self._texts[text] for text in texts])

    def p_understood(self, text: str) -> float | None:
        """Return P(understood) of a text; None if the language side does not know it."""
        fit = understanding_of(self._language)
        return None if fit is None else float(fit.probability(self([text])))


def information_bits(
    probabilities: NDArray[np.floating[Any]], prior: NDArray[np.floating[Any]] | None = None
) -> float:
    """Return what a text says about the goal: the Kullback-Leibler divergence from the prior.

    Args:
        probabilities: of goals, given the text [M].
        prior: of goals before it [M], up to a factor; uniform if not given.

    Returns:
        Bits, at least 0: 0 where the text changes nothing.
    """
    p = np.asarray(probabilities, np.float64)
    q = np.full(len(p), 1 / len(p)) if prior is None else np.asarray(prior, np.float64)
    held = p > 0
    return max(0.0, float((p[held] * np.log2(p[held] * q.sum() / q[held])).sum()))


@dataclass(frozen=True, eq=False)
class Posterior:
    """Where an instruction may lead: ``goals`` [M, G], ``probabilities`` [M].

    ``prior`` [M] is how likely each goal is before anything is said, up to a factor; None if all
    are equally likely. ``p_understood`` is how likely the instruction means something to the
    language side, whatever is there; None where it was not learned. See
    ``langrl.models.understanding``.
    """

    goals: Array
    probabilities: Floats
    prior: Floats | None = None
    p_understood: float | None = None

    @property
    def entropy_bits(self) -> float:
        """Uncertainty about the goal in bits, at most log2 M."""
        p = self.probabilities[self.probabilities > 0].astype(np.float64)
        return float(-(p * np.log2(p)).sum())

    @property
    def information_bits(self) -> float:
        """How much the instruction says about the goal; see ``information_bits``."""
        return information_bits(self.probabilities, self.prior)

    def of_intents(self, reached: Integers, possible: Mask) -> NDArray[np.float64]:
        """Return the probability of each intent [I], goals grouped by what they reach.

        Args:
            reached: number of the cell that each goal reaches [M], as ``Intents.reached`` says.
            possible: which cells are intents [I]; each is meant with the same probability before
                anything is said. See ``langrl.grounding.intents.intent_log_posterior``.
        """
        prior = np.ones(len(self.goals)) if self.prior is None else self.prior
        with np.errstate(divide="ignore"):
            logs = np.log(self.probabilities), np.log(prior)
        given = [torch.from_numpy(each)[None] for each in (*logs, reached, possible)]
        found: NDArray[np.float64] = intent_log_posterior(*given)[0].exp().numpy()
        return found


class GoalChooser:
    """Turns instructions into goals by a strategy that answers with a goal and needs no critic.

    Args:
        language: h(g, l).
        grounding: the strategy, or its name.
        candidates: draws candidate goals for each episode.
        language_weight: factor on the language score h(g, l); see ``GroundedAgent``.
        device: where a language side computes that has neither weights nor a ``device``.

    Raises:
        GroundingError: if the strategy needs a critic, which says which ones do not.
        UnknownNameError: if there is no strategy of that name.
    """

    def __init__(
        self,
        language: Language,
        grounding: Grounding | str,
        candidates: Candidates,
        *,
        language_weight: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        if isinstance(grounding, str):
            grounding = lookup(GROUNDINGS, grounding, "grounding strategy")
        check_needs(grounding, frozenset())
        evaluation_mode(language)
        self.language, self.grounding, self.candidates = language, grounding, candidates
        self.language_weight, self._device = language_weight, device
        self._embed_texts = TextCache(language)

    @property
    def device(self) -> torch.device:
        """Where the language side computes."""
        return device_of(self.language, self._device)

    def p_understood(self, instruction: str) -> float | None:
        """Return how likely a text means something; None if the language side does not know.

        Raises:
            InstructionError: if the text cannot be an instruction.
        """
        return self._embed_texts.p_understood(instruction)

    def choose(
        self, observations: Array, instructions: Sequence[str], generator: np.random.Generator
    ) -> tuple[Array, list[Posterior]]:
        """Return a goal [N, G] and the posterior over candidates, for each episode.

        Args:
            observations: the first ones of the episodes [N, ...].
            instructions: N texts.
            generator: source of candidates and of sampled goals.

        Raises:
            InstructionError: if a text cannot be an instruction.
            ShapeError: if the numbers of observations and instructions differ, or are 0, or the
                language side's scores are not one for each candidate.
            NonFiniteError: if they, or the log weights, leave no goal possible.
            GroundingError: if the strategy answers with no goal.
        """
        checked = check_instructions(instructions)
        _check_pairs(observations, instructions if isinstance(instructions, str) else checked)
        return self.choose_checked(observations, checked, generator)

    @torch.no_grad()
    def choose_checked(
        self, observations: Array, texts: Sequence[str], generator: np.random.Generator
    ) -> tuple[Array, list[Posterior]]:
        """Do what ``choose`` does, for texts that ``check_instructions`` has returned."""
        goals, log_weights = self.candidates.draw(observations, generator)  # [N, M, G], [N, M]
        arrays = observations, goals, log_weights
        seen, candidates, weights = as_inputs(arrays, self.language, self._device)
        embedded = self.language.embed_goals(seen, candidates)
        encoded = self._embed_texts(texts).unsqueeze(1).to(embedded.device)  # [N, 1, J, D]
        compared = self.language.score(embedded, encoded).squeeze(-1)  # [N, M]
        scores = Scores(self.language_weight * compared, weights.to(compared.device))
        self._check(scores)
        seed = int(generator.integers(2**63))
        draw = torch.Generator(compared.device).manual_seed(seed)
        decision, _ = self.grounding.ground(scores, None, draw)
        if decision.goal is None:
            name = type(self.grounding).__name__
            raise GroundingError(f"{name} answers with actions, not with a goal; use max_goal")
        chosen = goals[np.arange(len(goals)), decision.goal.cpu().numpy()]
        beliefs = decision.posterior.float().cpu().numpy()
        understood = [self._embed_texts.p_understood(text) for text in texts]
        return chosen, [
            Posterior(candidates, belief, p_understood=p)
            for candidates, belief, p in zip(goals, beliefs, understood, strict=True)
        ]

    def _check(self, scores: Scores) -> None:
        name, shape = type(self.language).__name__, list(scores.log_weights.shape)
        given = list(scores.language_score.shape)
        if given != shape:
            raise ShapeError(
                f"{name}.score gave {given} for candidates {shape} and one text;"
                " return h [..., M, K], here with K = 1"
            )
        if scores.log_posterior.isnan().any():
            raise NonFiniteError(
                f"no goal is possible: scores of {name} or log weights of"
                f" {type(self.candidates).__name__} are not finite; fix them"
            )


def _check_pairs(observations: Array, instructions: Sequence[str]) -> None:
    """Raise ShapeError unless there is one instruction for each of some observations."""
    if isinstance(instructions, str) or len(observations) != len(instructions):
        given = "one text" if isinstance(instructions, str) else len(instructions)
        raise ShapeError(
            f"got {len(observations)} observations and {given} as instructions; pair them, in"
            " lists of one length"
        )
    if not len(observations):
        raise ShapeError("a goal is chosen for at least one observation, got none")
