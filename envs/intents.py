"""Worlds in which it is known what an instruction can mean: intents, modes, and what is meant.

An *intent* is a cell that an instruction can mean: of a maze, or of an object in a grid world. An
instruction denotes some of them. In mode ``any``, each denoted one will do; in mode ``hidden``, one
of them, uniformly drawn, is meant, and the words do not say which.

Axes: ``N`` environments, ``R`` rows, ``C`` columns.
"""

from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from langrl.envs.draws import pick_each
from langrl.envs.instructed import Episodes
from langrl.envs.questions import Questions
from langrl.errors import InstructionError, ShapeError, UnknownNameError, lookup
from langrl.protocols import Array, Integers, Mask

Mode = Literal["any", "hidden"]
MODES: tuple[Mode, ...] = ("any", "hidden")
"""Whether each denoted intent will do, or one of them is meant."""
_EARLIER_MODES = {"disjunctive": "any", "hidden_intent": "hidden"}


def check_mode(mode: str) -> Mode:
    """Return a mode; raises UnknownNameError for another name, and says what an earlier one is."""
    if now := _EARLIER_MODES.get(str(mode)):
        raise UnknownNameError(f"mode {mode!r} is now called {now!r}; use that name")
    return lookup({name: name for name in MODES}, str(mode), "mode")


class IntentEpisodes(Episodes):
    """The state of N episodes in a world with intents.

    Args:
        count: how many episodes, N.
        options: names of the reset options, "instruction" first and "intended" last.
        mode: one of ``MODES``.
        questions: what can be asked about what is meant; they know the shape of the world.

    Raises:
        UnknownNameError: if there is no such mode.
    """

    def __init__(
        self, count: int, options: tuple[str, ...], mode: Mode, questions: Questions
    ) -> None:
        super().__init__(count, options)
        self.mode, self.questions = check_mode(mode), questions
        if mode == "hidden":
            self.outcomes = ("is_success", "intended_success")
        self.denoted = np.zeros((count, *questions.shape), bool)
        self.intended = np.zeros((count, *questions.shape), bool)  # one of the denoted, or none

    def room_of(self, row: int) -> Array | None:
        """Return the room [R, C, 2] of an episode; None in a world without rooms."""
        return None

    def read_intended(self, given: Any, rows: Integers) -> Integers | None:
        """Return the option ``intended`` as cells [n, 2] of some rows; None if it is not given.

        Raises:
            ShapeError: if it is no cell (row, column), and not N of them.
        """
        if given is None:
            return None
        cells = np.asarray(given)
        if cells.shape not in ((2,), (self.count, 2)) or cells.dtype.kind not in "iu":
            raise ShapeError(
                f"the option 'intended' is whole numbers [2] or [{self.count}, 2] (row, column),"
                f" got {list(cells.shape)} of {cells.dtype}"
            )
        return np.broadcast_to(cells, (self.count, 2))[rows].astype(np.int64)

    def mean(self, denoted: Mask, cells: Integers | None, generator: Generator | None) -> Mask:
        """Return which intent is meant by each of some instructions, bool [n, R, C].

        Args:
            denoted: the intents that they denote [n, R, C].
            cells: which of them are meant [n, 2].
            generator: draws one of each, where they are not given; nothing is meant without it.

        Raises:
            InstructionError: if a given cell is not denoted.
        """
        flat = denoted.reshape(len(denoted), -1)
        intended = np.zeros_like(flat)
        if cells is not None:
            height, width = denoted.shape[1:]
            inside = ((cells >= 0) & (cells < (height, width))).all(1)
            places = np.where(inside, cells @ (width, 1), 0)
            fits = inside & flat[np.arange(len(flat)), places]
            if not fits.all():
                raise InstructionError(
                    f"the option 'intended' is {tuple(cells[~fits][0].tolist())}, which the"
                    " instruction does not denote; give the row and the column of what it denotes"
                )
            intended[np.arange(len(flat)), places] = True
        elif generator is not None:
            some = np.flatnonzero(flat.any(1))
            intended[some, pick_each(flat[some], generator)] = True
        return intended.reshape(denoted.shape)
