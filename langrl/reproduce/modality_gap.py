"""``langrl reproduce modality-gap``: cones, gaps, temperature, mismatched pairs, each as a number.

Claims of Liang et al. 2022 ("Mind the Gap", arXiv:2203.02053) beside what is measured here: on
networks that were not trained, on two small towers that are, on a toy, and on a file of
embeddings where one is given.

Axes: ``n`` pairs or inputs, ``D`` embedding size.
"""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from langrl.evaluation.diagnosis import EmbeddedPairs, diagnose
from langrl.evaluation.embedding_files import read_embedding_pairs
from langrl.functional.gap import AMOUNTS, toy_loss, toy_minimum
from langrl.functional.geometry import cone, gap_noise, modality_gap
from langrl.plots import modality_gap as gap_plots
from langrl.reproduce.arguments import ModalityGapArguments
from langrl.reproduce.common import run_parts, write_report
from langrl.reproduce.gap_claims import (
    COLUMNS,
    MISMATCHED,
    Row,
    averaged,
    depth_claims,
    feature_claims,
    of_phase,
    published_for,
    repaired_claims,
    sweep_claims,
    toy_claims,
)
from langrl.reproduce.paired_towers import plain_network, train_towers
from langrl.training.jobs import chained
from langrl.training.logs import console, print_table
from langrl.training.optim import Batch, Optimiser, constant_schedule

DEPTHS = (0, 1, 2, 3, 4, 6, 8)
NETWORKS = (
    ("relu", True), ("relu", False), ("tanh", True), ("sigmoid", True), ("linear", True),
    ("linear", False),
)  # fmt: skip
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
TOY_TEMPERATURES = (1.0, 0.1, 0.02, 0.01, 0.002)
TOY_STEPS = 300  # of training the height, before and after the mismatch is fixed
_INPUTS, _WIDTH = 500, 256
_SWEEP_NOISE, _FIXED_NOISE = 1.0, 0.5  # of the views: ambiguous pairs as in real data; clear ones
_FIXED_TEMPERATURE = 0.02


def reproduce(options: ModalityGapArguments, command: str) -> None:
    """Measure all claims and write the results; ConfigError if embeddings cannot be read."""
    seeds, features = options.seeds, options.features
    embedded = None if features is None else read_embedding_pairs(features, "--features")
    untrained = chained(run_parts(untrained_cones, [(s,) for s in range(seeds)], options, "cones"))
    cones = averaged([row for row in untrained if "cosine" in row], "cosine")
    gaps = averaged([row for row in untrained if "gap" in row], "gap")
    swept = chained(run_parts(sweep, training_jobs(seeds, options.steps), options, "towers"))
    toy_jobs = [(t, s) for s in (True, False) for t in TOY_TEMPERATURES]
    toy = chained(run_parts(toy_curve, toy_jobs, options, "toy"))
    paths = chained(run_parts(train_height, [(0.02,), (0.01,)], options, "toy, trained"))
    claims = [
        *depth_claims(cones, gaps), *sweep_claims(swept), *repaired_claims(swept),
        *toy_claims(toy, paths),
    ]  # fmt: skip
    figures = {
        "depth": gap_plots.depth_figure(cones, gaps, f"before training, seeds: {seeds}"),
        "temperature": temperature_figure(swept, seeds),
        "mismatches": gap_plots.toy_figure(toy, paths, "nine pairs on two circles"),
    }
    if features is not None and embedded is not None:
        pairs = EmbeddedPairs(*embedded, ("x", "y"), options.scale)
        claims += feature_claims(diagnose(pairs), published_for(features))
        figures["features-shifts"] = gap_plots.shifts_figure(pairs, options.scale, features.name)
        figures["features-projection"] = gap_plots.projection_figure(pairs, features.name)
    print_table(f"the modality gap, seeds: {seeds}", claims, COLUMNS)
    judged = [bool(row["holds"]) for row in claims if row["holds"] is not None]
    console.print(f"{sum(judged)} of {len(judged)} claims hold")
    config = options.model_dump(include={"seeds", "steps", "scale"})
    config["features"] = str(features or "")
    tables = {"cones": cones, "gaps": gaps, "trained": swept, "toy": toy, "heights": paths}
    write_report(options.out, command, config, claims, figures, **tables)


# -- before training ---------------------------------------------------------------------------


@torch.no_grad()
def untrained_cones(seed: int) -> list[Row]:
    """Return mean cosines of networks' outputs on noise, and gaps between two networks."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(_INPUTS, _WIDTH, generator=generator) for _ in range(2))
    rows: list[Row] = []
    for depth in DEPTHS:
        sizes = [_WIDTH] * (depth + 1)
        for activation, bias in NETWORKS:
            name = f"{activation}{'' if bias else ', no biases'}"
            values = plain_network(sizes, activation, 2 * seed, bias=bias)(x)
            rows.append({"network": name, "depth": depth, "cosine": cone(values).mean})
        first, second = (plain_network(sizes, "relu", 2 * seed + side) for side in (0, 1))
        for towers, right in (("two initialisations", second), ("one network for both", first)):
            gap = float(modality_gap(first(x), right(y)).norm())
            rows.append({"towers": towers, "depth": depth, "gap": gap})
        noise = gap_noise(first(x), first(y))
        rows.append({"towers": "chance", "depth": depth, "gap": noise})
    return rows


# -- trained towers ----------------------------------------------------------------------------


def training_jobs(seeds: int, steps: int) -> list[tuple[str, float, int, int]]:
    """Return the arguments of ``sweep``."""
    jobs = [("right pairs", t, seed, steps) for t in TEMPERATURES for seed in range(seeds)]
    for data in ("mismatched, kept", "mismatched, fixed"):
        jobs += [(data, _FIXED_TEMPERATURE, seed, steps) for seed in range(seeds)]
    return jobs


def sweep(data: str, temperature: float, seed: int, steps: int) -> list[Row]:
    """Train a pair of towers, and return a row for the start and for each phase."""
    noise = _SWEEP_NOISE if data == "right pairs" else _FIXED_NOISE
    shares = {
        "right pairs": [0.0],
        "mismatched, kept": [MISMATCHED, MISMATCHED],
        "mismatched, fixed": [MISMATCHED, 0.0],
    }
    phases = train_towers(seed, temperature, steps, noise, shares[data])
    setting = {"data": data, "temperature": temperature, "seed": seed}
    return [setting | {"phase": phase} | row for phase, row in enumerate(phases)]


def temperature_figure(swept: Sequence[Row], seeds: int) -> Figure:
    """Draw gaps over temperature, and losses over shifts at the lowest temperatures."""
    after = of_phase(swept, "right pairs", 1)
    gaps = [{"data": "after training", "temperature": r["temperature"], "gap": r["gap"]}
            for r in after]  # fmt: skip
    curve = [
        {"temperature": r["temperature"], "amount": amount, "loss": r[f"loss_{amount:g}"]}
        for r in after
        for amount in AMOUNTS
        if r["temperature"] in TEMPERATURES[:2]
    ]
    title = f"two towers trained at fixed temperatures, seeds: {seeds}"
    return gap_plots.sweep_figure(averaged(gaps, "gap"), averaged(curve, "loss"), title)


# -- the toy -----------------------------------------------------------------------------------


@torch.no_grad()
def toy_curve(temperature: float, swapped: bool) -> list[Row]:
    """Return the toy's loss over the height, and where it is least."""
    setting = {"temperature": temperature, "swapped": swapped}
    least = toy_minimum(temperature, swapped=swapped)
    rows = []
    for z in torch.linspace(0, 1, 101, dtype=torch.float64):
        loss = float(toy_loss(z, temperature, swapped=swapped))
        rows.append(setting | {"height": float(z), "least_at": least, "loss": loss})
    return rows


def train_height(temperature: float) -> list[Row]:
    """Train the height by Adam with a mismatch, fix it half-way, and return it step by step."""
    free = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    optimiser = Optimiser({"free": free}, 0.02, constant_schedule)

    def loss(batch: Batch) -> tuple[Tensor, Batch]:
        return toy_loss(free.tanh(), temperature, swapped=bool(batch["swapped"])), {}

    rows: list[Row] = []
    for step in range(2 * TOY_STEPS):
        swapped = step < TOY_STEPS
        if step % 5 == 0 or step == TOY_STEPS - 1:
            rows.append({"temperature": temperature, "step": step, "swapped": swapped,
                         "height": abs(float(free.detach().tanh()))})  # fmt: skip
        optimiser.update({"swapped": torch.tensor(swapped)}, loss)
    last = {"temperature": temperature, "step": 2 * TOY_STEPS, "swapped": False}
    return [*rows, last | {"height": abs(float(free.detach().tanh()))}]
