"""Linear probes: what can be read off features by a linear map, in rooms it was not fitted in.

Axes: ``n`` states, ``F`` features, ``O`` numbers to be read off, ``G`` classes.

Source: Alain & Bengio 2016, arXiv:1610.01644; closed forms, so that no optimiser matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.errors import DomainError, ShapeError

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # per unit of a feature's variance
_KEPT = 5  # one group in so many chooses the penalty
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Split:
    """Features and the groups that states are of, to fit in and to be scored in.

    ``fit`` [n, F], ``groups`` int [n] (a room's states stay together), ``test`` [m, F].

    Raises:
        ShapeError: if they do not fit together.
        DomainError: if there are fewer than two groups.
    """

    fit: NDArray[Any]
    groups: NDArray[np.int64]
    test: NDArray[Any]

    def __post_init__(self) -> None:
        if self.fit.ndim != 2 or self.test.ndim != 2 or self.fit.shape[1] != self.test.shape[1]:
            raise ShapeError(
                f"features are [n, F] and [m, F], got {list(self.fit.shape)} and"
                f" {list(self.test.shape)}; give the same features of both"
            )
        if len(self.groups) != len(self.fit) or not len(self.test):
            raise ShapeError(
                f"there are {len(self.groups)} groups for {len(self.fit)} states, and"
                f" {len(self.test)} states to be scored; give one group a state, and some of both"
            )
        if len(np.unique(self.groups)) < 2:
            raise DomainError("the penalty is chosen on a group apart; give two groups or more")


class RidgeProbe:
    """Ridge regressions of anything on one set of features, at the cost of one.

    Features are centred and scaled; the penalty is chosen on a fifth of the groups.
    """

    def __init__(self, split: Split) -> None:
        number = np.unique(split.groups, return_inverse=True)[1]
        self._chooses = number % _KEPT == _KEPT - 1 if number.max() >= _KEPT - 1 else number == 0
        fit = split.fit[~self._chooses].astype(np.float64)
        self._mean, spread = fit.mean(0), fit.std(0)
        self._scale = np.where(spread > 1e-6, spread, np.inf)  # constants carry no information
        self._inputs, self._held = self._normal(fit), self._normal(split.fit[self._chooses])
        values, self._basis = np.linalg.eigh(self._inputs.T @ self._inputs / len(fit))
        self._values = values.clip(min=0)
        # Errors where the penalty is chosen come of products, not of predictions: F is below n.
        turned = self._held @ self._basis
        self._products = turned.T @ turned  # [F, F]
        self._test = self._normal(split.test)

    def _normal(self, features: NDArray[Any]) -> Array:
        return np.asarray((features - self._mean) / self._scale, np.float64)

    def predict(self, targets: NDArray[Any]) -> Array:
        """Fit targets [n, O] and return what is read off the states to be scored [m, O].

        Raises ShapeError if there is not one row for each state that is fitted.
        """
        if targets.ndim != 2 or len(targets) != len(self._chooses):
            raise ShapeError(
                f"targets are [{len(self._chooses)}, O], got {list(targets.shape)}; give a row for"
                " each state"
            )
        fitted = targets[~self._chooses].astype(np.float64)
        mean = fitted.mean(0)
        across = self._basis.T @ (self._inputs.T @ (fitted - mean)) / len(fitted)  # [F, O]
        held_across = self._basis.T @ (self._held.T @ (targets[self._chooses] - mean))  # [F, O]
        best, least = None, np.inf
        for penalty in PENALTIES:
            weights = across / (self._values + penalty)[:, None]
            error = (weights * (self._products @ weights - 2 * held_across)).sum()  # and a constant
            if error < least:
                best, least = weights, float(error)
        assert best is not None
        return np.asarray(self._test @ (self._basis @ best) + mean)


def one_hot(labels: NDArray[np.int64], classes: int) -> Array:
    """Return labels [n] below ``classes`` as [n, G]; its ridge regression is a classifier."""
    return np.eye(classes)[labels]


def accuracy(scores: Array, labels: NDArray[np.int64]) -> float:
    """Return the share of states [m] whose own class has the highest of scores [m, G]."""
    return float((scores.argmax(1) == labels).mean())


def majority(fit: NDArray[np.int64], test: NDArray[np.int64]) -> float:
    """Return the accuracy of the class that is most frequent where probes are fitted."""
    return float((test == np.bincount(fit).argmax()).mean())


def explained(
    predictions: Sequence[Array], truths: Sequence[NDArray[Any]], means: Sequence[Array]
) -> float:
    """Return R^2 over several regressions together: 1 - squared errors over those of the means.

    Of each: predictions and truths [m, O], and the mean [O], what is known without features.
    """
    errors = sum(np.square(p - t).sum() for p, t in zip(predictions, truths, strict=True))
    spread = sum(np.square(t - m).sum() for t, m in zip(truths, means, strict=True))
    return float(1 - errors / spread)
