"""When to ask what was meant: a strategy whose candidates are intents, with questions.

Axes: ``N`` episodes, ``M`` intents, ``Q`` questions.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Generator, Tensor

from langrl.errors import DomainError, GroundingError, lookup
from langrl.functional.asking import ACT, AskPlan, best_question
from langrl.functional.conformal import adaptive_scores
from langrl.grounding.strategies import Answer, Decision, Scores

AskRule = Literal["never", "always", "pays", "conformal"]
ASK_RULES: tuple[AskRule, ...] = get_args(AskRule)
_UNKNOWN = -1  # in memory: no set was predicted yet
_HARDLY_ANYTHING = 1e-3  # a price at which few questions are better than many


@dataclass(frozen=True)
class Asking:
    """Decides whether to ask, and what; the goal that it answers with is the likeliest intent.

    Args:
        rule: ``never``; ``always``, whatever it costs, as long as an answer can tell anything;
            ``pays``, when the expected success rises by more than the prices, by expectimax on
            the posterior; ``conformal``, as long as the conformal set of the instruction and the
            answers so far have more than one intent in common, as KnowNo does.
        price: of a question, in successes; for ``pays``.
        threshold: of the scores of ``adaptive_scores``, from ``conformal_threshold``; for
            ``conformal``.

    Raises:
        UnknownNameError: if there is no such rule.
        DomainError: if the price is negative, or the threshold NaN.

    Source: KnowNo, Ren et al. 2023, arXiv:2307.01928, for asking where sets are no singletons.
    """

    rule: AskRule
    price: float = 0.0
    threshold: float = float("inf")

    needs: ClassVar = frozenset({"questions"})

    def __post_init__(self) -> None:
        lookup(dict.fromkeys(ASK_RULES), str(self.rule), "rule of asking")
        if not self.price >= 0:
            raise DomainError(f"the price of a question is at least 0, got {self.price}")
        if self.threshold != self.threshold:
            raise DomainError("the threshold of conformal sets is NaN; take conformal_threshold's")

    def ground(self, scores: Scores, memory: Tensor | None, generator: Generator) -> Answer:
        """Decide for N episodes; see ``Grounding.ground``.

        Answers so far are in ``scores.log_weights``: -inf where an intent has another label. The
        memory is the predicted sets [N, M], of which an episode keeps the first; -1 where there is
        none yet.
        """
        if scores.labels is None:
            raise GroundingError("Asking needs questions; give what each candidate answers")
        posterior = scores.log_posterior.exp()
        if self.rule == "conformal":
            memory = self._predict(scores, memory, generator)
        plan = self._plan(posterior, scores.labels, memory)
        ask = plan.question != ACT
        return Decision(posterior, ask, goal=plan.choice, question=plan.question), memory

    def _plan(self, posterior: Tensor, labels: Tensor, sets: Tensor | None) -> AskPlan:
        if self.rule == "never":
            return best_question(posterior, labels, float("inf"))
        if self.rule == "pays":
            return best_question(posterior, labels, self.price)
        if self.rule == "conformal":
            assert sets is not None
            within = posterior * (sets == 1)
            # Where answers have ruled out all that was predicted, the posterior itself is left.
            posterior = torch.where(within.sum(1, keepdim=True) > 0, within, posterior)
        return best_question(posterior, labels, _HARDLY_ANYTHING)

    def _predict(self, scores: Scores, memory: Tensor | None, generator: Generator) -> Tensor:
        """Return the sets [N, M], predicted from the instruction alone where there is none yet."""
        if memory is None:
            memory = torch.full_like(scores.language_score, _UNKNOWN, dtype=torch.int8)
        unknown = (memory == _UNKNOWN).all(1)
        if unknown.any():
            said = scores.language_score.softmax(-1)
            sets = adaptive_scores(said[unknown], generator) <= self.threshold
            memory = memory.clone()
            memory[unknown] = sets.to(memory.dtype)
        return memory
