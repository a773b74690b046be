"""Hidden intent: a visitor means one of what the words denote, and the agent may ask which.

Axes: ``I`` cells of the map, ``Q`` questions, ``R`` rows, ``C`` columns.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from langrl.agents.asking import AskingAgent
from langrl.agents.pursuing import GroundedFollower
from langrl.envs.questions import ANSWERS
from langrl.errors import ConfigError
from langrl.grounding.asking import Asking
from langrl.grounding.beliefs import LanguageBeliefs
from langrl.grounding.intents import Intents
from langrl.play.worlds import Belief
from langrl.protocols import Array, Integers, Mask

PRICE = 0.1  # of a question, in successes
_ASKED = {
    "colour": "Which colour is it?",
    "type": "What is it?",
    "side": "On which side is it?",
    "half": "In which half is it?",
    "row band": "At which height is it?",
    "column band": "Where is it from left to right?",
}


@dataclass(frozen=True, eq=False)
class Hidden:
    """What a visitor means, and has answered.

    Args:
        intents: what can be meant in the world, and asked about it.
        meant: row and column of what is meant; None where nothing that is known is denoted.
        answers: to each question [Q], -1 where it was not asked.
    """

    intents: Intents
    meant: tuple[int, int] | None
    answers: Integers

    @classmethod
    def of(cls, intents: Intents, meant: tuple[int, int] | None) -> "Hidden":
        """Return a beginning, in which nothing was asked."""
        return cls(intents, meant, np.full(len(intents.questions), -1))

    def answered(self, question: int, label: int) -> "Hidden":
        """Return what is known with another answer; raises DomainError if it is none."""
        self.intents.questions.words(question, label)
        answers = self.answers.copy()
        answers[question] = label
        return Hidden(self.intents, self.meant, answers)

    def asks(self, question: int, observation: Array) -> dict[str, Any]:
        """Return a question, its answers in words, and the number of the true one."""
        name, true = self.intents.questions.names[question], None
        if self.meant is not None:
            cell = self.meant[0] * self.intents.shape[1] + self.meant[1]
            true = int(self.intents.labels(observation[None])[0, question, cell])
        return {"text": _ASKED[name], "answers": list(ANSWERS[name]), "true": true}

    def mask(self, denoted: Mask) -> Mask:
        """Return the cells in which an episode succeeds [R, C]: the one that is meant."""
        if self.meant is None:
            return denoted
        mask = np.zeros_like(denoted)
        mask[self.meant] = True
        return mask

    def agent(self, agent: Any) -> Any:
        """Return an agent that asks before it acts, or the same where it cannot take answers in."""
        if "shared encoder" in agent.grounding.needs:
            return agent
        follower = GroundedFollower(agent, self.intents)
        return AskingAgent(follower, self._beliefs(agent), Asking("pays", PRICE))

    def belief(self, agent: Any, observation: Array, text: str) -> Belief:
        """Return what an agent believes to be meant, after the answers."""
        log_posterior = self._beliefs(agent).log_posterior(observation[None], [text])[0]
        mass = log_posterior.exp().numpy().astype(np.float64)
        labels = self.intents.labels(observation[None])[0]  # [Q, I]
        unknown = self.answers[:, None] < 0
        left = mass * (unknown | (labels == self.answers[:, None])).all(0)
        mass = left / left.sum() if left.sum() > 0 else mass
        cells = np.stack(np.divmod(np.arange(len(mass)), self.intents.shape[1]), 1)
        return Belief.of_cells(cells, mass)

    def _beliefs(self, agent: Any) -> LanguageBeliefs:
        weight = agent.language_weight
        return LanguageBeliefs(agent.language, self.intents, language_weight=weight)


def draw_meant(denoted: Mask, generator: np.random.Generator) -> tuple[int, int]:
    """Return one of the denoted cells [R, C], all alike."""
    cells = np.argwhere(denoted)
    row, column = cells[int(generator.integers(len(cells)))].tolist()
    return row, column


def check_meant(denoted: Mask, row: int, column: int) -> tuple[int, int]:
    """Return a cell that is meant; raises ConfigError if the words do not denote it."""
    height, width = denoted.shape
    if not (0 <= row < height and 0 <= column < width and denoted[row, column]):
        raise ConfigError("the words do not denote what is there; choose what is outlined")
    return row, column
