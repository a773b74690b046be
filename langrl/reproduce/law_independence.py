"""``langrl reproduce law-independence``: recall of Lemma 1 where Assumption 1 is violated.

A hidden variable carries a share rho of what A and C have in common, past the goal. Marginalising
over goals cannot see it, with exact densities as little as with learned ones; a model trained on
(A, C) pairs can.
"""

from typing import Any

from langrl.evaluation.statistics import gather
from langrl.plots.law import independence_figure
from langrl.reproduce.arguments import LawIndependenceArguments
from langrl.reproduce.common import run_parts, write_report
from langrl.reproduce.gaussian_critics import ALTERNATIVES, CRITICS, Setting, over_seeds
from langrl.reproduce.law import Key, measure
from langrl.tasks.maze.published import LAW_EXACT, LAW_INDEPENDENCE, LAW_RHOS
from langrl.training.logs import print_table

COUNT = 100_000  # candidates from p(b), as published
MODELS = {"shared": CRITICS, "oracle": CRITICS[:1], "exact": ("exact",)}  # and their critics
COLUMNS = (
    "rho", "critic", "models", "estimator", "M", "recall", "sem", "published_low", "published_high",
)  # fmt: skip


def reproduce(options: LawIndependenceArguments, command: str) -> None:
    """Train, evaluate, and write the table, results.json and the figure."""
    jobs = [
        (Setting(critic, seed, rho=rho, epochs=options.epochs), models, (COUNT,), ())
        for seed in range(options.seeds)
        for rho in LAW_RHOS
        for models, critics in MODELS.items()
        for critic in critics
    ]
    results = run_parts(measure, jobs, options, "law-independence: models")
    measured = gather(
        {(setting.rho, key): value for key, value in result.items()}
        for (setting, *_), result in zip(jobs, results, strict=True)
    )
    rows = [
        {"rho": rho} | dict(zip(COLUMNS[1:5], key, strict=True)) | over_seeds(values)
        | _published(rho, key)
        for (rho, key), values in sorted(measured.items(), key=lambda item: item[0][0])
    ]  # fmt: skip
    title = f"Assumption 1 violated: recall@1 among {ALTERNATIVES}, seeds: {options.seeds}"
    print_table(title, rows, COLUMNS)
    figures = {"law-independence": independence_figure(rows, title)}
    config = options.model_dump(include={"seeds", "epochs"})
    write_report(options.out, command, config, rows, figures)


def _published(rho: float, key: Key) -> dict[str, Any]:
    """Return the published range of a cell, or None."""
    critic, models, estimator, _ = key
    place = LAW_RHOS.index(rho)
    low = high = None
    if models == "oracle":
        low, high = LAW_INDEPENDENCE["oracle"][place]
    elif models == "shared" and estimator == "monte_carlo":
        low, high = LAW_INDEPENDENCE["monte_carlo"][place]
    elif models == "shared" and estimator == "direct" and critic != "dot":
        low, high = LAW_INDEPENDENCE["direct"][place]
    elif models == "exact" and estimator == "monte_carlo":
        low = high = LAW_EXACT[place]
    return {"published_low": low, "published_high": high}
