"""Metrics of the benchmark's outcomes, by name.

Axes: ``N`` tasks.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from langrl.benchmark.outcomes import Outcomes
from langrl.evaluation.ambiguity import (
    TaskSums,
    ambiguity_differentiation,
    ask_f1,
    correct_help_rate,
    coverage,
    expected_calibration_error,
    help_rate,
    mean,
    path_efficiency,
    regret,
)
from langrl.evaluation.intervals import Floats
from langrl.protocols import Mask

Metric = Callable[[Outcomes], TaskSums]


def _any(outcomes: Outcomes) -> Mask:
    return np.asarray(outcomes.mode == "any")


def _hidden(outcomes: Outcomes) -> Mask:
    return np.asarray(outcomes.mode == "hidden")


def _asked(outcomes: Outcomes) -> Floats:
    """Return whether anything was asked [N]; nan where nothing may be asked."""
    return np.where(np.isnan(outcomes.price), np.nan, outcomes.questions > 0)


def _pairs(outcomes: Outcomes) -> NDArray[np.int64]:
    """Return a number [N] that only an ambiguous task and its twin share, at the same price."""
    price = np.nan_to_num(outcomes.price, nan=-1.0)
    columns = (outcomes.pair, outcomes.mode, price)
    codes = [np.unique(column, return_inverse=True)[1] for column in columns]
    return np.unique(np.stack(codes, -1), axis=0, return_inverse=True)[1].ravel()


METRICS: dict[str, Metric] = {
    "success": lambda o: mean(o.success, bounded=True).where(_any(o)),
    "intended": lambda o: mean(o.intended, bounded=True).where(_hidden(o)),
    "spl": lambda o: path_efficiency(o.success, o.steps, o.shortest_steps).where(_any(o)),
    "utility": lambda o: mean(o.utility).where(_hidden(o)),
    "ceiling": lambda o: mean(o.value).where(_hidden(o)),
    "regret": lambda o: regret(o.value, o.utility).where(_hidden(o)),
    "nll": lambda o: mean(o.nll).where(_hidden(o)),
    "ece": lambda o: expected_calibration_error(o.confidence, o.right).where(_hidden(o)),
    "coverage": lambda o: coverage(o.covered),
    "set_size": lambda o: mean(o.set_size),
    "help_rate": lambda o: help_rate(_asked(o)),
    "correct_help_rate": lambda o: correct_help_rate(_asked(o), o.bits > 0),
    "ask_f1": lambda o: ask_f1(_asked(o), o.needed),
    "ssc": lambda o: mean(o.ssc, bounded=True),
    "ambdif": lambda o: ambiguity_differentiation(o.set_size, o.twin, _pairs(o)),
    "questions": lambda o: mean(np.where(np.isnan(o.price), np.nan, o.questions)),
    "seconds": lambda o: mean(o.seconds),
}
"""Metrics by name; those of success, asking and belief are over the tasks of the mode that they are
about: ``success`` and ``spl`` over mode "any", ``intended``, ``utility``, ``ceiling`` (the exact
value), ``regret``, ``nll`` and ``ece`` over mode "hidden", at every price that was offered."""


def score(outcomes: Outcomes) -> TaskSums:
    """Return the utility as a share of the best that is possible: 1 is the exact ceiling.

    Luck may bring a few tasks above it. It is what runs of worlds with other ceilings are compared
    by, in interquartile means and performance profiles.
    """
    return TaskSums(np.stack([outcomes.utility, outcomes.value], -1))
