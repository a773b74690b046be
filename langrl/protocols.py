"""What an agent and a learner must offer, and what an instruction is.

Axes: ``N`` episodes (or environments) in a batch, ``M`` candidate goals, ``K`` texts,
``S`` numbers in a state, ``D`` embedding size.
"""

import inspect
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.errors import ConfigError, InstructionError, ShapeError

MAX_INSTRUCTION_LENGTH = 1000  # characters; longer text is a mistake or an attack

Array = NDArray[Any]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Instructions = str | Sequence[str] | None
Observation = Mapping[str, Any]
"""``{"observation": float [S] or [N, S], "instruction": str or a sequence of N str}``."""


def check_instruction(text: object) -> str:
    """Return ``text`` if it can be encoded as an instruction.

    Instructions are untrusted: nothing in them is ever opened, fetched or run, so a URL or a
    path is an ordinary text.

    Raises:
        InstructionError: if it is not a str, is blank, is longer than
            ``MAX_INSTRUCTION_LENGTH`` characters, or holds control characters or lone surrogates.
    """
    if not isinstance(text, str):
        raise InstructionError(f"an instruction is a str, got {type(text).__name__}; pass text")
    if not text.strip():
        raise InstructionError("the instruction is empty; say where to go, as in 'go to row 3'")
    if len(text) > MAX_INSTRUCTION_LENGTH:
        raise InstructionError(
            f"the instruction has {len(text)} characters;"
            f" shorten it to at most {MAX_INSTRUCTION_LENGTH}"
        )
    if text.isprintable():  # as nearly all are: no character of category C is
        return text
    for position, char in enumerate(text):
        category = unicodedata.category(char)
        if category == "Cs":
            problem = "a lone surrogate, which is not text"
        elif category == "Cc" and char not in "\t\n\r":
            problem = f"the control character U+{ord(char):04X}"
        else:
            continue
        raise InstructionError(
            f"the instruction holds {problem}, at position {position}; remove it"
        )
    return text


def as_texts(texts: object) -> list[str]:
    """Return texts as a list, one for a single text; what is in them is not checked.

    Raises:
        InstructionError: if something is given that is neither, or that holds what is no text.
    """
    if isinstance(texts, str):
        return [texts]
    plain = isinstance(texts, bytes | bytearray | memoryview | Mapping | set | frozenset)
    if plain or not isinstance(texts, Iterable) or getattr(texts, "ndim", 1) == 0:
        check_instruction(texts)  # raises: it is no text, and no list of them
    given = list(cast(Iterable[Any], texts))
    for text in given:
        if not isinstance(text, str):
            check_instruction(text)
    return given


def check_instructions(texts: object, count: int | None = None) -> list[str]:
    """Return checked instructions; one text is that of all rows.

    Args:
        texts: one, or some of them: a list, a tuple, an array.
        count: how many are needed; as many as are given, if it is not said.

    Raises:
        InstructionError: if one cannot be an instruction; see ``check_instruction``.
        ShapeError: if there are not as many texts.
    """
    given = as_texts(texts)
    checked = {text: check_instruction(text) for text in dict.fromkeys(given)}
    if isinstance(texts, str):
        given *= 1 if count is None else count
    if count is not None and len(given) != count:
        raise ShapeError(
            f"a batch of {count} needs as many instructions, got {len(given)}; give one for each"
        )
    return [checked[text] for text in given]


@runtime_checkable
class Agent(Protocol):
    """Anything that acts on observations.

    It neither keeps nor writes the arrays of its caller, and the caller may write to the actions.
    An agent without a memory may leave out ``mask`` and ``starts``: langrl's own loops call
    ``reset(generator)`` and ``act(observations, instructions)``. If it has a method
    ``keep(mask)``, episodes that are over are dropped from its batch.
    """

    def reset(self, generator: Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes: in every row, or in those where ``mask`` [N] is True.

        Args:
            generator: the source of randomness from now on; the present one if not given.
            mask: which rows, bool [N].
        """

    def act(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Array:
        """Return one action for a single observation, or N for a batch of N.

        Args:
            observations: as the environment gives them.
            instructions: one text for all or N of them; used instead of the observation's own.
            starts: which of the observations are the first of an episode, bool [N], as
                ``langrl.envs.autoreset.EpisodeStarts`` says; the same as ``reset(mask=starts)``
                before. Without it, all episodes go on.
        """


def check_agent(agent: object) -> None:
    """Raise ConfigError, naming what is missing, unless ``agent`` is one that can be evaluated."""
    contract = "an agent has reset(generator=None, mask=None) and act(observations, instructions)"
    if isinstance(agent, type):
        name = agent.__name__
        raise ConfigError(f"{contract}, and got the class {name}; make an agent of it: {name}(...)")
    for name, arguments in (("reset", (None,)), ("act", ({}, ()))):
        method = getattr(agent, name, None)
        if not callable(method):
            raise ConfigError(f"{contract}, and {type(agent).__name__} has no method {name}")
        try:
            inspect.signature(method).bind(*arguments)
        except TypeError as error:
            called = ("reset(generator)", "act(observations, instructions)")[name == "act"]
            raise ConfigError(
                f"{contract}, and {name} of {type(agent).__name__} cannot be called as {called}:"
                f" {error}"
            ) from None


class Learner(Protocol):
    """What the training loop trains: it draws its own batches, updates, and can be stored."""

    @property
    def step(self) -> int:
        """How many gradient steps have been taken."""

    def batch(self) -> dict[str, Any]:
        """Return the next training batch, tensors by name; advances the learner's generator."""

    def update(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Take one gradient step and return its metrics, scalar tensors by name.

        Raises:
            NonFiniteError: before any weight changes, if the batch, the loss or a gradient is
                not finite.
        """

    def state(self) -> dict[str, dict[str, Any]]:
        """Return all that an exact resume needs: tensors by file name and key."""

    def load_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Restore what ``state()`` returned."""
