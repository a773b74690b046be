"""The Gymnasium space of instructions."""

from collections.abc import Callable, Iterator
from typing import Any

from gymnasium import spaces
from numpy.random import Generator

from langrl.errors import InstructionError, ShapeError
from langrl.protocols import MAX_INSTRUCTION_LENGTH, check_instruction


class _NoShape:
    """The shape of a text, which is none; Stable-Baselines3 iterates it without asking."""

    def __iter__(self) -> Iterator[int]:
        raise ShapeError(
            "instructions are text, which has no shape and does not go into arrays; wrap the"
            " environment in EmbedInstruction, TokenizeInstruction or InstructionToGoal of"
            " langrl.envs.wrappers.instructions"
        )


class InstructionSpace(spaces.Text):
    """The texts that can serve as instructions; ``draw`` writes samples by a grammar."""

    def __init__(self, draw: Callable[[Generator], str]) -> None:
        super().__init__(MAX_INSTRUCTION_LENGTH, min_length=1, charset=" ")
        self._draw = draw

    @property
    def shape(self) -> Any:
        """Return an object that raises when it is read: text has no shape."""
        return _NoShape()

    def contains(self, x: Any) -> bool:
        """Return whether ``x`` passes ``check_instruction``."""
        try:
            check_instruction(x)
        except InstructionError:
            return False
        return True

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Return an instruction of the grammar; masks do not apply to text."""
        return self._draw(self.np_random)

    def __repr__(self) -> str:
        return f"InstructionSpace({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InstructionSpace)
