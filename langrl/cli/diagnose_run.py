"""``langrl diagnose RUN``: what the distances of a run's critic are good for.

A run's family has a module ``probe``, whose ``probe_of`` gives its critic and held-out experience.
"""

from pathlib import Path

import torch

from langrl.cli.folders import DIAGNOSES, clear_figures, new_folder
from langrl.errors import ConfigError
from langrl.grounding.critic_diagnosis import diagnose_critic, findings, tables
from langrl.plots.base import save
from langrl.plots.distances import distances_figure
from langrl.tasks.registry import TASKS, config_beside
from langrl.training.logs import console, print_table, write_results

PROBED = ("goal-reaching", "street-maze")  # task families


def run(
    folder: Path, data: Path | None, out: Path | None, command: str, *, count: int, seed: int
) -> None:
    """Diagnose the critic of a run; print, and write to ``out``.

    Args:
        folder: of the run, or of a checkpoint in it.
        data: trajectories to measure on; the family's choice if not given.
        out: folder of results.json and figures; a new one in runs/diagnose if not given.
        command: what the user typed, for the record.
        count: states between which distances are looked at.
        seed: of what is drawn.

    Raises:
        ConfigError: if runs of this kind have no critic of distances.
    """
    config = config_beside(folder)
    if config.task not in PROBED:
        raise ConfigError(
            f"MODEL {folder}: it is a run of {config.task}; distances are measured in runs of"
            f" {' and '.join(PROBED)}"
        )
    probe = TASKS[config.task].module("probe").probe_of(folder, config, data, seed)
    found = diagnose_critic(probe, count, torch.Generator().manual_seed(seed))
    sentences = findings(found, probe)
    for line in sentences:
        console.print(f"* {line}")
    title = f"{folder.name}: distances of {len(found.states)} states"
    print_table(title, found.cutoffs, [*found.cutoffs[0]])
    print_table("futures by true steps", found.calibration, [*found.calibration[0]])
    if out is None:
        out = new_folder(DIAGNOSES, folder.resolve().name)
    clear_figures(out)
    results = write_results(
        out,
        command,
        {"run": str(folder), "data": None if data is None else str(data), "seed": seed},
        found.cutoffs,
        findings=sentences,
        cutoff=found.cutoff,
        trusted=found.trusted,
        horizon=found.horizon,
        **tables(found),
    )
    save(distances_figure(found, title), out / "figures" / "distances.png")
    console.print(f"results: {results}; figures: {out / 'figures'}")
