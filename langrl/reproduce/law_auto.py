"""``langrl reproduce law-auto``: how often the rule that chooses an estimator chooses well.

A grid of critics, encoders, sizes, temperatures, violations of Assumption 1 and numbers of
candidates. In each cell the rule chooses from data without a pair of A and C; then all are scored
on such pairs. Always comparing directly and always sampling are the policies to beat.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langrl.errors import ConfigError
from langrl.evaluation.embedding_files import read_floats
from langrl.functional.assumptions import uniformity
from langrl.functional.marginals import direct
from langrl.plots.law import auto_figure
from langrl.reproduce.arguments import LawAutoArguments
from langrl.reproduce.common import run_parts, write_report
from langrl.reproduce.gaussian_critics import (
    ALTERNATIVES,
    CRITICS,
    Setting,
    candidate_goals,
    choose_for,
    estimate,
    evaluation,
    recall,
    train_critics,
)
from langrl.training.jobs import chained
from langrl.training.logs import console, print_table

EMBEDDINGS, SCALES, RHOS, COUNTS = (8, 32), (None, 10.0), (0.0, 0.5), (100, 1_000, 10_000)
POLICIES = ("direct", "monte_carlo", "auto")
MARGIN = 0.02  # recall, within which of the better of direct and Monte Carlo a policy passes
COLUMNS = (
    "critic", "models", "embedding", "scale", "rho", "M", *POLICIES, "choice", "effective",
)  # fmt: skip


def reproduce(options: LawAutoArguments, command: str) -> None:
    """Run the grid, and print and write the tables of cells and of policies.

    Of goal embeddings [n, D], or several sets of them [sets, n, D], in a file that is given, it
    tests whether they are uniform on the sphere (Assumption 3).

    Raises:
        ConfigError: if that file cannot be read.
    """
    sets = [] if options.embeddings is None else read_embeddings(options.embeddings)
    tests = [
        {"set": number, "n": len(goals), "D": goals.shape[1]} | test
        for number, goals in enumerate(sets)
        for test in _tested(goals)
    ]
    settings = [
        Setting(critic, seed, rho, embedding, scale, options.epochs)
        for seed in range(options.seeds)
        for critic in CRITICS
        for embedding in EMBEDDINGS
        for scale in SCALES
        for rho in RHOS
    ]
    jobs = [(setting, shared) for setting in settings for shared in (True, False)]
    rows = chained(run_parts(measure, jobs, options, "law-auto: models"))
    policies = [_policy(rows, policy) for policy in POLICIES]
    title = f"recall@1 among {ALTERNATIVES}, seeds: {options.seeds}"
    print_table(title, rows, COLUMNS)
    print_table(
        f"cells within {MARGIN} of the better of direct and Monte Carlo", policies, [*policies[0]]
    )
    if tests:
        print_table(f"Assumption 3 of {options.embeddings}", tests, [*tests[0]])
        for number in range(len(sets)):
            failed = any(test["rejects"] for test in tests if test["set"] == number)
            console.print(f"set {number}: Assumption 3 {'does not hold' if failed else 'holds'}")
    config = options.model_dump(include={"seeds", "epochs"})
    figures = {"law-auto": auto_figure(rows, title)}
    tables = {"policies": policies, "embeddings": tests}
    write_report(options.out, command, config, rows, figures, **tables)


@torch.no_grad()
def measure(setting: Setting, shared: bool) -> list[dict[str, Any]]:
    """Train one pair of critics and return a row for each number of candidates."""
    with torch.enable_grad():
        trained = train_critics(setting, shared=shared)
    a, c = evaluation(trained)
    goals = candidate_goals(setting, trained.world, max(COUNTS))
    compared = recall(direct(a, c, energy=trained.left.energy))
    rows = []
    for count in COUNTS:
        choice = choose_for(trained, goals[:count])
        recalls = {
            "direct": compared,
            "monte_carlo": recall(estimate(trained, goals[:count], a, c).value),
            "auto": recall(choice.score(a, c)),
        }
        better = max(recalls["direct"], recalls["monte_carlo"])
        rows.append(
            {
                "critic": setting.critic,
                "models": "shared" if shared else "separate",
                "embedding": setting.embedding,
                "scale": "learned" if setting.scale is None else setting.scale,
                "rho": setting.rho,
                "M": count,
                **recalls,
                "choice": choice.estimator,
                "effective": choice.effective_sample_size,
                "passes": [name for name, value in recalls.items() if value >= better - MARGIN],
                "reasons": choice.reasons,
                "seed": setting.seed,
            }
        )
    return rows


def _policy(rows: Sequence[Mapping[str, Any]], policy: str) -> dict[str, Any]:
    """Return in how many cells a policy passes, and how it does on average."""
    passed = [policy in row["passes"] for row in rows]
    shortfall = [max(row["direct"], row["monte_carlo"]) - row[policy] for row in rows]
    return {
        "policy": policy,
        "cells": len(rows),
        "passed": float(np.mean(passed)),
        "mean_recall": float(np.mean([row[policy] for row in rows])),
        "largest_shortfall": float(np.max(shortfall)),
    }


def _tested(goals: Tensor) -> list[dict[str, Any]]:
    names = ("statistic", "p_value", "measure", "effect", "detectable", "rejects")
    return [
        {"test": test.name} | {name: getattr(test, name) for name in names}
        for test in uniformity(goals)
    ]


def read_embeddings(path: Path) -> list[Tensor]:
    """Read sets of embeddings [n, D] from a .npy file that holds one or several [sets, n, D].

    Raises:
        ConfigError: if there is no such file, or it holds no such array of finite floats.
    """
    shape = "[n, D] or [sets, n, D]"
    array = read_floats(path, "--embeddings", shape)
    if array.ndim not in (2, 3) or not array.size:
        raise ConfigError(f"--embeddings {path}: an array {list(array.shape)}; save floats {shape}")
    sets = torch.from_numpy(np.array(array, np.float64).reshape(-1, *array.shape[-2:]))
    if not sets.isfinite().all():
        raise ConfigError(f"--embeddings {path}: holds NaN or infinities; leave those rows out")
    return list(sets)
