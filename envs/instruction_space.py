"""The Gymnasium space of instructions.

Axes: ``N`` environments, ``L`` characters.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import read_from_shared_memory, write_to_shared_memory
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.errors import InstructionError, ShapeError
from langrl.protocols import MAX_INSTRUCTION_LENGTH, check_instruction

_ENCODING = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"  # 4 bytes each, as int32


class _NoShape:
    """The shape of a text, which is none; Stable-Baselines3 iterates it without asking."""

    def __iter__(self) -> Iterator[int]:
        raise ShapeError(
            "instructions are text, which has no shape and does not go into arrays; wrap the"
            " environment in EmbedInstruction, TokenizeInstruction or InstructionToGoal of"
            " langrl.envs.wrappers.instructions"
        )


class _Unicode(Sequence[str]):
    """Every character of Unicode, at the place that ``ord`` gives; none is stored."""

    def __len__(self) -> int:
        return sys.maxunicode + 1

    def __getitem__(self, index: Any) -> Any:
        numbers = range(len(self))[index]
        return "".join(map(chr, numbers)) if isinstance(index, slice) else chr(numbers)

    def __contains__(self, char: object) -> bool:
        return isinstance(char, str) and len(char) == 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unicode)

    __hash__ = None  # type: ignore[assignment]


class InstructionSpace(spaces.Text):
    """The texts that can serve as instructions; ``draw`` writes samples by a grammar.

    Its characters are all of Unicode, numbered as ``ord`` does, for whoever asks a Text space for
    characters, such as Gymnasium's ``flatten``.
    """

    def __init__(self, draw: Callable[[Generator], str]) -> None:
        # Of "-" Gymnasium makes texts where there are none yet; a blank would be no instruction.
        super().__init__(MAX_INSTRUCTION_LENGTH, min_length=1, charset="-")
        self._draw = draw

    @property
    def shape(self) -> Any:
        """Return an object that raises when it is read: text has no shape."""
        return _NoShape()

    @property
    def character_set(self) -> Any:
        """Return a collection of all characters."""
        return _Unicode()

    @property
    def character_list(self) -> Any:
        """Return a sequence of all characters."""
        return _Unicode()

    def character_index(self, char: str) -> np.int32:
        """Return the number of a character."""
        return np.int32(ord(char))

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


class _SharedTexts(Sequence[str]):
    """The N texts in memory that processes share; a deep copy is a tuple of the present ones.

    Gymnasium reads shared memory once, when an ``AsyncVectorEnv`` is made, and returns deep copies
    of what it read at every step: a tuple of texts would stay what it was before the first reset.
    """

    def __init__(self, numbers: NDArray[np.int32]) -> None:
        self._numbers = numbers  # [N, L], padded with 0, which is in no instruction

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self)[index]
        return self._numbers[index].tobytes().decode(_ENCODING).rstrip("\0")

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return tuple(self)


@read_from_shared_memory.register(InstructionSpace)
def _read_texts(space: InstructionSpace, shared_memory: Any, n: int = 1) -> _SharedTexts:
    numbers = np.frombuffer(shared_memory.get_obj(), np.int32)
    return _SharedTexts(numbers.reshape(n, space.max_length))


@write_to_shared_memory.register(InstructionSpace)
def _write_text(space: InstructionSpace, index: int, value: str, shared_memory: Any) -> None:
    numbers = np.frombuffer(shared_memory.get_obj(), np.int32).reshape(-1, space.max_length)
    text = np.frombuffer(value.encode(_ENCODING), np.int32)
    numbers[index, : len(text)], numbers[index, len(text) :] = text, 0
