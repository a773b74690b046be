"""Outcomes: what happened in each task of the benchmark, one entry a task.

Every method meets the same tasks, so outcomes are kept by task: differences between methods are
paired, and every metric is computed from these columns.

Axes: ``N`` tasks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from langrl.envs.intents import MODES
from langrl.errors import ResultsError, suggestion

_TEXTS = frozenset({"task", "mode", "phrasing", "kind"})
_FLAGS = frozenset({"twin", "success", "intended", "needed"})
_COUNTS = frozenset({"pair", "steps", "questions"})
_MAYBE_FLAGS = frozenset({"right", "covered"})  # 0, 1 or nan
_SHARES = frozenset({"confidence", "ssc"})  # between 0 and 1, or nan
_MAY_BE_NAN = frozenset({"price", "shortest_steps", "nll", "set_size"}) | _MAYBE_FLAGS | _SHARES
_LARGEST = 1e15  # far beyond anything measured; sums of such numbers are still finite
_SIGNED = frozenset({"value", "utility"})  # a question may cost more than it brings


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcomes:
    """What happened in N tasks; every column [N], nan where a number is unknown.

    Args:
        task: the task's name.
        pair: number shared by an ambiguous task and its twin.
        twin: whether this is the twin: the same task with an instruction that is not ambiguous.
        mode: "any" (any denoted intent will do) or "hidden" (one of them was meant).
        phrasing: "seen", "held_out" or "noisy".
        kind: the instruction's type.
        bits: log2 of the number of denoted intents.
        price: of a question, in units of success; nan where no question may be asked.
        success: whether a denoted intent was reached.
        intended: whether the meant one was reached; in mode "any", the same as ``success``.
        steps: the episode's length.
        shortest_steps: of the shortest successful episode; nan if unknown.
        questions: how many were asked.
        value: the best expected utility that is possible in this task at its price.
        utility: ``intended - price * questions``.
        needed: whether the exact value of asking is above that of not asking.
        nll: -log of the posterior probability of what is denoted, or meant [nats].
        confidence: the largest probability that the posterior gives to an intent.
        right: whether that intent is denoted, or the meant one.
        set_size: number of intents in the conformal set.
        covered: whether the meant intent is in the conformal set.
        ssc: intersection over union of the predicted set with the denoted one.
        seconds: duration of the episode [s].

    Raises:
        ResultsError: if a column is not [N], has values of another type, or contradicts another.
    """

    task: NDArray[np.str_]
    pair: NDArray[np.int64]
    twin: NDArray[np.bool_]
    mode: NDArray[np.str_]
    phrasing: NDArray[np.str_]
    kind: NDArray[np.str_]
    bits: NDArray[np.float64]
    price: NDArray[np.float64]
    success: NDArray[np.bool_]
    intended: NDArray[np.bool_]
    steps: NDArray[np.int64]
    shortest_steps: NDArray[np.float64]
    questions: NDArray[np.int64]
    value: NDArray[np.float64]
    utility: NDArray[np.float64]
    needed: NDArray[np.bool_]
    nll: NDArray[np.float64]
    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    set_size: NDArray[np.float64]
    covered: NDArray[np.float64]
    ssc: NDArray[np.float64]
    seconds: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in COLUMNS:
            object.__setattr__(self, name, _column(name, getattr(self, name)))
            if len(getattr(self, name)) != len(self.task):
                raise ResultsError(
                    f"outcomes: {name} has {len(getattr(self, name))} entries and task has"
                    f" {len(self.task)}; give one entry a task"
                )
        self._check_agreement()

    def __len__(self) -> int:
        """Return N."""
        return len(self.task)

    @classmethod
    def from_json(cls, columns: Any) -> Self:
        """Return the outcomes that ``to_json`` wrote; null is nan.

        Raises:
            ResultsError: if columns are missing or unknown, or as the constructor.
        """
        if not isinstance(columns, Mapping):
            raise ResultsError(
                f"outcomes is an object of columns, got {type(columns).__name__}; write it with"
                " Outcomes.to_json"
            )
        if unknown := [name for name in columns if name not in COLUMNS]:
            raise ResultsError(
                f"outcomes has no column {unknown[0]!r}; {suggestion(str(unknown[0]), COLUMNS)}"
            )
        if missing := [name for name in COLUMNS if name not in columns]:
            raise ResultsError(f"outcomes has no {', '.join(missing)}; give every column")
        return cls(**columns)

    def to_json(self) -> dict[str, list[Any]]:
        """Return the columns as lists of JSON values; nan is None."""
        columns = {name: getattr(self, name).tolist() for name in COLUMNS}
        for name in _MAY_BE_NAN:
            columns[name] = [None if value != value else value for value in columns[name]]
        return columns

    @classmethod
    def concat(cls, parts: Sequence["Outcomes"]) -> Self:
        """Return the outcomes of several runs as one, in their order.

        Raises:
            ResultsError: if there are none.
        """
        if not parts:
            raise ResultsError("there are no outcomes to join; give at least one")
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
        )

    def where(self, mask: Any) -> Self:
        """Return the outcomes of some tasks.

        Args:
            mask: bool [N].

        Raises:
            ResultsError: if the mask is not bool [N].
        """
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != self.task.shape:
            raise ResultsError(
                f"mask is bool [{len(self)}], got {mask.dtype} {list(mask.shape)}; compare a"
                " column with a value"
            )
        return type(self)(**{name: getattr(self, name)[mask] for name in COLUMNS})

    def _check_agreement(self) -> None:
        """Raise ResultsError if columns contradict each other; names the task."""
        unasked = np.isnan(self.price)
        cost = np.where(unasked, 0, self.price) * self.questions
        for wrong, repair in (
            (~np.isin(self.mode, MODES), f"mode is one of: {', '.join(MODES)}"),
            (self.intended & ~self.success, "intended is true and success is not"),
            (
                (self.mode == "any") & (self.intended != self.success),
                "in mode any, intended is the same as success",
            ),
            (unasked & (self.questions > 0), "there are questions, and price is null"),
            (
                ~np.isclose(self.utility, self.intended - cost, atol=1e-6),
                "utility is intended - price * questions",
            ),
        ):
            if wrong.any():
                raise ResultsError(f"outcomes of task {str(self.task[wrong][0])!r}: {repair}")


COLUMNS = tuple(field.name for field in fields(Outcomes))


def _column(name: str, given: Any) -> NDArray[Any]:
    """Return a column as an array of its type, which the caller does not share."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ResultsError(f"outcomes: {name} is a list, got {type(given).__name__}; put it in one")
    values = given if isinstance(given, np.ndarray) else np.asarray(list(given), object)
    if values.ndim != 1:
        raise ResultsError(f"outcomes: {name} is one list [N], got {list(values.shape)}")
    if name in _TEXTS:
        return _checked(name, values, (str,), "texts").astype(str)
    if name in _FLAGS:
        return _checked(name, values, (bool, np.bool_), "true or false").astype(bool)
    flags = (bool, np.bool_) if name in _MAYBE_FLAGS else ()
    null = (type(None),) if name in _MAY_BE_NAN else ()
    numbers = (int, float, np.integer, np.floating, *flags, *null)
    try:
        floats = _checked(name, values, numbers, "numbers").astype(float)
    except OverflowError:
        raise ResultsError(f"outcomes: {name} has a number that is too large; correct it") from None
    right, meaning = _are_numbers(name, floats)
    if not right:
        raise ResultsError(f"outcomes: {name} has values that are not {meaning}; correct them")
    return floats.astype(np.int64) if name in _COUNTS else floats


def _checked(
    name: str, values: NDArray[Any], types: tuple[type, ...], meaning: str
) -> NDArray[Any]:
    found = set(map(type, values)) if values.dtype == object else {values.dtype.type}
    for other in found:
        if not issubclass(other, types) or (other is bool and bool not in types):
            raise ResultsError(
                f"outcomes: {name} is a list of {meaning}, and has a {other.__name__}; correct it"
            )
    return values


def _are_numbers(name: str, values: NDArray[np.float64]) -> tuple[bool, str]:
    """Return whether a column's numbers are what they can be, and what that is."""
    unknown = np.isnan(values) if name in _MAY_BE_NAN else np.zeros(values.shape, bool)
    known = values[~unknown]
    if name in _COUNTS:
        whole = (known >= 0) & (known <= _LARGEST) & (known == np.round(known))
        return bool(whole.all()), f"whole numbers from 0 to {_LARGEST:.0e}"
    null = ", or null" if name in _MAY_BE_NAN else ""
    if name in _MAYBE_FLAGS:
        return bool(np.isin(known, (0, 1)).all()), f"0 or 1{null}"
    if name in _SHARES:
        return bool(((known >= 0) & (known <= 1)).all()), f"between 0 and 1{null}"
    if name in _SIGNED:
        return bool((np.abs(known) <= _LARGEST).all()), "finite numbers"
    return bool(((known >= 0) & (known <= _LARGEST)).all()), f"finite numbers from 0{null}"
