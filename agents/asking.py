"""An agent that asks what was meant, where that pays, and goes where the answers leave.

It is made of what decides (``langrl.grounding.asking.Asking``), what is believed, and what acts
(``langrl.agents.pursuing``): an agent of trained critics, or a planner.

Axes: ``N`` episodes, ``I`` cells of the map, ``Q`` questions.
"""

import copy
from typing import Any

import numpy as np
import torch

from langrl.agents.observations import check_mask, read_observations, read_single
from langrl.agents.pursuing import Follower
from langrl.errors import ShapeError
from langrl.functional.asking import ACT
from langrl.grounding.asking import Asking
from langrl.grounding.beliefs import Beliefs, posterior_of
from langrl.grounding.chooser import Posterior
from langrl.grounding.strategies import Decision, Scores
from langrl.protocols import Array, Instructions, Integers, Mask, Observation

_LIKELY = 0.9  # of the likeliest intent's probability: what is less likely is not pursued


class AskingAgent:
    """Asks what was meant before it acts, and goes where the answers leave.

    At each step, ``ask`` says what to ask, and ``act`` what to do where nothing is asked. The
    observations have the answers so far, ``answers`` int64 [N, Q], -1 where a question was not
    asked; without them, it asks nothing.

    Args:
        follower: what acts.
        beliefs: what is believed of the intents of the world.
        asking: when to ask.
    """

    def __init__(self, follower: Follower, beliefs: Beliefs, asking: Asking) -> None:
        self.follower, self.beliefs, self.asking = follower, beliefs, asking
        self.intents = beliefs.intents
        self.decision: Decision | None = None
        """The last decision, on the episodes in which there was something to decide."""
        self._texts: list[str | None] = []
        self._answers: Integers
        self.reset(np.random.default_rng(0))

    def reset(self, generator: np.random.Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes; see ``langrl.protocols.Agent``."""
        if generator is not None:
            # A stream of its own: an agent that never asks acts as its follower does alone.
            seed = int(copy.deepcopy(generator).integers(2**63 - 1)) + 1
            self._generator = torch.Generator().manual_seed(seed)
        self.follower.reset(generator, mask)
        if mask is None:
            self._texts = []
        else:
            for n in np.flatnonzero(check_mask(mask, len(self._texts))):
                self._texts[n] = None
        self._is_current = False  # whether ``ask`` has just seen what ``act`` will be given

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes where ``mask`` [N] is True, and drop the others."""
        rows = np.flatnonzero(check_mask(mask, len(self._texts)))
        self.follower.keep(mask)
        self._texts = [self._texts[n] for n in rows]
        for name in ("_answers", "_labels", "_possible", "_question", "_beliefs", "_memory"):
            setattr(self, name, getattr(self, name)[rows])

    def ask(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Any:
        """Return what to ask now, int64 [N] or one number: 0 to act, q to ask question q - 1.

        Arguments and errors are as those of ``act``, which is to be called next with the same ones.
        """
        states, texts, single = self._read(observations, instructions)
        answers = self._read_answers(observations, len(states))
        self._update(states, texts, answers, starts)
        self._is_current = True
        asked: Integers = self._question + 1
        return int(asked[0]) if single else asked

    def act(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Array:
        """Return actions as ``langrl.protocols.Agent.act``; but those of episodes that ask.

        Raises:
            ShapeError: if answers are not int64 [N, Q].
            InstructionError, NonFiniteError: see ``read_observations``.
        """
        states, texts, single = self._read(observations, instructions)
        waits = np.zeros(len(states), bool)
        if self._is_current:
            waits = self._question != ACT
        else:
            self._update(states, texts, self._read_answers(observations, len(states)), starts)
        self._is_current = False
        actions = self.follower.act(states, texts, waits)
        return actions[0] if single else actions

    def posterior(self, observation: Observation, instruction: str | None = None) -> Posterior:
        """Return goals with what is believed of the intents that they reach; changes no episode."""
        states, texts = read_single(observation, instruction, self.intents.observation_axes)
        return posterior_of(self.beliefs, states[0], texts[0])

    def _read(
        self, observations: Observation, instructions: Instructions
    ) -> tuple[Array, list[str], bool]:
        return read_observations(observations, instructions, self.intents.observation_axes)

    def _read_answers(self, observations: Observation, count: int) -> Integers | None:
        """Return the answers [N, Q]; None where nothing can be asked."""
        if "answers" not in observations:
            return None
        answers = np.asarray(observations["answers"])
        questions = len(self.intents.questions.names)
        answers = answers[None] if answers.ndim == 1 else answers
        if answers.shape != (count, questions) or answers.dtype.kind not in "iu":
            raise ShapeError(
                f"answers are whole numbers [{count}, {questions}], one for each question, got"
                f" {list(answers.shape)} of {answers.dtype}"
            )
        return answers.astype(np.int64)

    def _update(
        self, states: Array, texts: list[str], given: Integers | None, starts: Mask | None
    ) -> None:
        """Decide in the episodes that have begun, or in which an answer has come."""
        count, questions = len(states), len(self.intents.questions.names)
        answers = np.full((count, questions), -1) if given is None else given
        if len(self._texts) != count:
            self._make_room(count, questions)
        new = np.array([text is None for text in self._texts])
        other = np.array([old != text for old, text in zip(self._texts, texts, strict=True)])
        unsaid = ((self._answers >= 0) & (answers != self._answers)).any(1)
        lost = ~new & (other | unsaid)  # other episodes, although nothing has said so
        if lost.any():
            self.follower.reset(mask=lost)
        begun = new | lost | self.follower.begin(states, texts, starts)
        if starts is not None:
            begun |= check_mask(starts, count)
        if begun.any():
            self._begin(states, texts, np.flatnonzero(begun))
        rows = np.flatnonzero(begun | (answers != self._answers).any(1))
        self._answers, self._texts = answers, list(texts)
        if len(rows):
            self._decide(rows, offered=given is not None)

    def _make_room(self, count: int, questions: int) -> None:
        cells = int(np.prod(self.intents.shape))
        self._texts = [None] * count
        self._answers = np.full((count, questions), -1)
        self._labels = np.zeros((count, questions, cells), np.int64)
        self._possible = np.zeros((count, cells), bool)
        self._question = np.full(count, ACT)
        self._beliefs = torch.zeros(count, cells, dtype=torch.float64)
        self._memory = torch.full((count, cells), ACT, dtype=torch.int8)

    def _begin(self, states: Array, texts: list[str], rows: Integers) -> None:
        """Note what is believed at the start of some episodes."""
        self._labels[rows] = self.intents.labels(states[rows])
        self._possible[rows] = self.intents.possible(states[rows])
        self._beliefs[rows] = self.beliefs.log_posterior(states[rows], [texts[n] for n in rows])
        self._memory[rows] = ACT

    def _decide(self, rows: Integers, offered: bool) -> None:
        """Decide what to ask in some episodes, and tell the follower where it may go."""
        answers, labels = self._answers[rows], self._labels[rows]
        unknown = answers[..., None] < 0
        left = self._possible[rows] & (unknown | (labels == answers[..., None])).all(1)
        beliefs = self._beliefs[rows]
        kept = torch.from_numpy(left) & (beliefs > -torch.inf)
        # Where answers leave nothing that was believed, they are believed.
        surprised = ~kept.any(1, keepdim=True)
        kept |= surprised & torch.from_numpy(left | ~left.any(1, keepdims=True))
        scores = Scores(
            torch.where(surprised, 0.0, beliefs),
            torch.zeros_like(beliefs).where(kept, -torch.inf),
            labels=torch.from_numpy(labels),
        )
        self.decision, memory = self.asking.ground(scores, self._memory[rows], self._generator)
        if memory is not None:
            self._memory[rows] = memory
        assert self.decision.question is not None
        self._question[rows] = self.decision.question.numpy() if offered else ACT
        posterior = self.decision.posterior.numpy()
        likely = posterior >= _LIKELY * posterior.max(1, keepdims=True)
        self.follower.pursue(rows, np.where(likely, posterior, 0.0))
