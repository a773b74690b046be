"""What a critic's distances are good for: measures on held-out trajectories, and findings in words.

Axes: ``W`` states that are looked at, ``B`` state-actions with futures, ``G`` numbers in a goal.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from scipy.stats import spearmanr
from torch import Generator, Tensor

from langrl.grounding.cutoff import (
    JOINED,
    SEEN,
    SHARE,
    FalseShares,
    Futures,
    HeldOut,
    Steps,
    choose_cutoff,
    edges_between,
    either_way,
    false_shares,
    horizon_of,
    joining_cutoff,
    trusted_cutoff,
)
from langrl.grounding.successor import SuccessorDistance
from langrl.models.protocols import Critic, as_input
from langrl.protocols import Array

CUTOFFS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_BANDS = (0.1, 0.5, 0.9)  # quantiles of distances
_OVERRATED = 0.3  # nats: 35 % more than there is
_ROWS_AT_ONCE = 256
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class CriticProbe:
    """A critic, and experience that it did not learn from.

    Args:
        distance: by the critic.
        held_out: the experience.
        steps: the true number of steps between goals.
        source: in words, where these numbers are from.
        exact: whether they are no upper bounds.
        needed_only: how the cut-off of the critic's world is chosen; see ``choose_cutoff``.
    """

    distance: SuccessorDistance
    held_out: HeldOut
    steps: Steps
    source: str
    exact: bool
    needed_only: bool = True


@dataclass(frozen=True, eq=False)
class CriticDiagnosis:
    """What was measured of a critic.

    Args:
        states: goals that are achieved in the states that were looked at [W, G].
        steps: true steps between them [W, W].
        distances: from one to another, in nats [W, W].
        edges: the larger one of both directions [W, W]; NaN from a state to itself.
        false: how many edges up to each distance are false.
        horizon: steps beyond which an edge is false.
        cutoff: of a graph of waypoints, in nats; see ``choose_cutoff``.
        trusted: the largest distance up to which few enough edges are false, in nats; 0: none is.
        correlation: of ranks of distances and steps within the horizon, and of all.
        bands: distances by true steps: rows {from, to, pairs, low, median, high}.
        cutoffs: rows {cutoff, edges, false_share, reachable}.
        calibration: rows {from, to, observed, expected, nats}: the share of futures so many steps
            away, the share that the critic expects, and the log of their ratio.
    """

    states: Array
    steps: Tensor
    distances: Tensor
    edges: Tensor
    false: FalseShares
    horizon: float
    cutoff: float
    trusted: float
    correlation: tuple[float, float]
    bands: list[Row]
    cutoffs: list[Row]
    calibration: list[Row]


def diagnose_critic(probe: CriticProbe, count: int, generator: Generator) -> CriticDiagnosis:
    """Measure a critic on held-out trajectories.

    Args:
        probe: the critic and the trajectories.
        count: states between which distances are looked at, W at most.
        generator: draws them.
    """
    held_out = probe.held_out
    states, goals = held_out.spread(count, generator)
    distance = probe.distance
    distances = distance.measure(distance.embed(states), distance.places(states, goals))
    distances, steps = distances.float().cpu(), probe.steps(goals, goals)
    edges, true = edges_between(distance, states, goals), either_way(steps)
    horizon = horizon_of(held_out.futures, probe.steps)
    false = false_shares(edges, true, horizon)
    cutoff = choose_cutoff(edges, true, horizon, needed_only=probe.needed_only)
    apart = ~torch.eye(len(goals), dtype=torch.bool)
    return CriticDiagnosis(
        goals,
        steps,
        distances,
        edges,
        false,
        horizon,
        cutoff,
        trusted_cutoff(edges, true, horizon),
        (
            _rank_correlation(distances, steps, apart & (steps <= horizon)),
            _rank_correlation(distances, steps, apart & steps.isfinite()),
        ),
        _bands(distances[apart], steps[apart]),
        [_at_cutoff(edges, false, each) for each in sorted({*CUTOFFS, round(cutoff, 2)} - {0.0})],
        _calibration(probe),
    )


def _rank_correlation(distances: Tensor, steps: Tensor, where: Tensor) -> float:
    values = distances[where].numpy(), steps[where].numpy()
    if any(np.ptp(each) == 0 if len(each) else True for each in values):
        return math.nan  # they do not differ
    return float(spearmanr(*values).statistic)


def _bounds(steps: Tensor) -> list[float]:
    """Return where bins of steps begin: 0, 1, 2, 4, ..., and inf after the longest."""
    finite = steps[steps.isfinite()]
    longest = float(finite.max()) if len(finite) else 1.0
    doublings = max(1, math.ceil(math.log2(max(longest, 1.0)))) + 1
    return [0.0, *(2.0**power for power in range(doublings + 1)), math.inf]


def _bins(steps: Tensor) -> list[tuple[float, float, Tensor]]:
    """Return the ends of bins, and which steps are in each: more than the first, up to the last."""
    bounds = _bounds(steps)
    found = []
    for low, high in pairwise(bounds):
        inside = (steps > low) & (steps <= high) | ((low == 0) & (steps == 0))
        if inside.any():
            found.append((low, high, inside))
    return found


def _bands(distances: Tensor, steps: Tensor) -> list[Row]:
    rows = []
    for low, high, inside in _bins(steps):
        values = np.quantile(distances[inside].numpy(), _BANDS)
        band = dict(zip(("low", "median", "high"), values.tolist(), strict=True))
        rows.append({"from": low, "to": high, "pairs": int(inside.sum())} | band)
    return rows


def _at_cutoff(edges: Tensor, false: FalseShares, cutoff: float) -> Row:
    count, share = false.at(cutoff)
    number, piece = connected_components((edges <= cutoff).numpy())
    sizes = np.bincount(piece, minlength=number) / len(edges)
    return {
        "cutoff": cutoff,
        "edges": count,
        "false_share": share if count else None,
        "reachable": float(np.square(sizes).sum()),
    }


# -- calibration -----------------------------------------------------------------------------------


def _calibration(probe: CriticProbe) -> list[Row]:
    """Return how many futures are so many steps away, and how many the critic expects.

    The goals of other state-actions are draws from p(g). Weighted by exp f, they are draws from
    p(g|s,a), if f is the log ratio up to an offset of each state-action.
    """
    futures = probe.held_out.futures
    steps = probe.steps(futures.achieved, futures.goals)  # [B, B]
    expected = _expected(probe.distance.critics[0], futures)
    size, rows = len(steps), []
    for low, high, inside in _bins(steps):
        observed = float(inside.diagonal().float().mean())
        share = float((expected * inside).sum() / size)
        known = observed > 0 and share > 0
        nats = math.log(share / observed) if known else None
        rows.append(
            {"from": low, "to": high, "observed": observed, "expected": share, "nats": nats}
        )
    return rows


@torch.no_grad()
def _expected(critic: Critic, futures: Futures) -> Tensor:
    """Return the chance of each other's goal as a future of each state-action, float32 [B, B]."""
    arrays = (futures.states, futures.actions[:, None], futures.goals[None])
    states, actions, goals = (as_input(array, critic) for array in arrays)
    context = critic.initial_context(states)
    embedded = critic.embed_goals(context[:1], goals)[0]  # [B, D]
    rows = []
    for part in torch.arange(len(states)).split(_ROWS_AT_ONCE):
        part = part.to(states.device)
        pairs = critic.embed_actions(context[part], states[part], actions[part])  # [n, 1, D]
        rows.append(critic.score(pairs.squeeze(1), embedded).float().cpu())
    return torch.cat(rows).fill_diagonal_(-torch.inf).softmax(1)


# -- in words --------------------------------------------------------------------------------------


def findings(found: CriticDiagnosis, probe: CriticProbe) -> list[str]:
    """Return what was measured, in sentences."""
    near, far = found.correlation
    kind = "exact" if probe.exact else "upper bounds"
    return [
        f"True steps are {probe.source} ({kind}). The horizon is {found.horizon:.3g} steps, within"
        f" which {SEEN:.0%} of the futures lie that the critic learns from.",
        f"Distances rise with true steps: rank correlation {near:.2f} within the horizon,"
        f" {far:.2f} over all pairs with a known way (1 is perfect).",
        _about_trust(found),
        _about_cutoff(found),
        _about_calibration(found),
    ]


def _about_trust(found: CriticDiagnosis) -> str:
    least, most = (joining_cutoff(found.edges, share) for share in JOINED)
    joined = (
        f"paths join {JOINED[0]:.0%} of the pairs of states from {least:.2f} nats on, and"
        f" {JOINED[1]:.1%} from {most:.2f} on"
    )
    if not found.trusted:
        return (
            f"No distance is short enough for less than {SHARE:.0%} of the edges to join states"
            f" more than {found.horizon:.3g} steps apart; {joined}. Train longer, by further"
            " discounts (replay.discounts) or several critics (critic.critics)."
        )
    return (
        f"Up to {found.trusted:.2f} nats, less than {SHARE:.0%} of the edges join states more than"
        f" {found.horizon:.3g} steps apart; {joined}."
    )


def _about_cutoff(found: CriticDiagnosis) -> str:
    row = _at_cutoff(found.edges, found.false, found.cutoff)
    return (
        f"The cut-off of a graph of waypoints is {found.cutoff:.2f} nats: {row['edges']:,} edges,"
        f" of which {row['false_share'] or 0:.2%} are false. Paths join {row['reachable']:.1%} of"
        " the pairs of states."
    )


def _about_calibration(found: CriticDiagnosis) -> str:
    beyond = [row for row in found.calibration if row["from"] >= found.horizon]
    observed = sum(row["observed"] for row in beyond)
    expected = sum(row["expected"] for row in beyond)
    nats = math.log(max(expected, 1e-9) / max(observed, 1e-9))
    word = "as often as they come"
    if abs(nats) > _OVERRATED:
        word = "too often: far goals are overrated" if nats > 0 else "too seldom"
    return (
        f"Of the futures, {observed:.1%} are beyond the horizon, and the critic expects"
        f" {expected:.1%} there: {word}."
    )


def tables(found: CriticDiagnosis) -> dict[str, list[Row]]:
    """Return what ``results.json`` has beside its rows."""
    return {"distances": found.bands, "calibration": found.calibration}
