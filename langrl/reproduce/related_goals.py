"""A generative model of related pairs as an agent's language side; a part of ``relating``.

In grid goto, the model's pointwise mutual information is the language score h(g, l) of an agent
that was trained without language. A model of a few labelled pairs labels more of them, from the
ends of unlabelled trajectories and unpaired instructions. And the goals that the model generates
from an instruction are candidates.

Axes: ``N`` goals, ``T`` texts.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from langrl.agents.grounded import GroundedAgent
from langrl.agents.relating import RelatingLearner
from langrl.data.grid.experts import grid_experts
from langrl.data.related_pairs import (
    KIND_CELLS,
    crops_ahead,
    draw_crops,
    draw_world_pairs,
    kinds_of,
    learn_words,
)
from langrl.envs.grid.episodes import denoted_cells
from langrl.envs.grid.grammar import EMPTY
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms, facing, is_free, is_object
from langrl.envs.grid.views import faced_cells
from langrl.evaluation.rollouts import run_episodes
from langrl.evaluation.statistics import group_rows, mean_over_seeds
from langrl.grounding.candidates import Candidates, InstructedCandidates, ReachablePoses
from langrl.grounding.generated import IMAGE, TEXT, GeneratedCandidates, RelatedLanguage
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.vae.config import VaeConfig
from langrl.models.vae.model import MultimodalVAE, build_vae
from langrl.reproduce.common import train_once, with_given
from langrl.reproduce.relating_claims import claim_row
from langrl.reproduce.relating_tasks import (
    MODEL,
    TRAINING,
    Pairs,
    aligned_pmi,
    world_modalities,
    world_pairs,
)
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.grid.suite import make_grid_tasks
from langrl.tasks.loading import load_agent
from langrl.tasks.presets import load_config
from langrl.training.result_cache import ResultCache, Row

PRESET, WORLD = "grid-goto", "goto"
LEVELS = ("full", "colour", "type")
BACKBONE = "mvae"
PAIRS, FEW = 1000, 0.2  # labelled pairs, and the share of them that is labelled at first
KEPT = 0.5  # share of the goals whose best text is taken for theirs
ROOMS, TRAJECTORIES, TEXTS_EACH = 150, 4, 16  # unlabelled; texts that each end is compared with
CANDIDATES = 8
COLUMNS = ("fit", "candidates", "success", "success_sem")
LATENTS = 64  # samples for each language score
EXPECTED = 0.5  # of the distance in success from few to all labelled pairs, found pairs recover


def run_goals(
    folder: Path, seed: int, episodes: int, critic_steps: int | None, steps: int
) -> list[Row]:
    """Return the success in grid goto of every model and kind of candidates, by level.

    The critic, whose run goes to ``folder/runs``, takes ``critic_steps`` instead of the preset's
    gradient steps where they are given, each generative model ``steps``.
    """
    config = _critic_config(seed, critic_steps)
    run = folder / "runs" / f"critic-{seed}"
    train_once(config, run, f"grid goto, seed {seed}: critic")
    key = [config.model_dump(mode="json"), episodes, steps, MODEL, TRAINING.model_dump()]
    key += [BACKBONE, PAIRS, FEW, KEPT, ROOMS, TRAJECTORIES, TEXTS_EACH, CANDIDATES]
    record = ResultCache(folder / "records" / f"goals-{seed}.jsonl", key)
    return record.rows("goals", lambda: _measure(run, config, seed, episodes, steps))


def _critic_config(seed: int, steps: int | None) -> GridRunConfig:
    config = load_config(PRESET, GridRunConfig)
    return with_given(config, seed=seed, learner=with_given(config.learner, steps=steps))


def _measure(run: Path, config: GridRunConfig, seed: int, episodes: int, steps: int) -> list[Row]:
    rng = np.random.default_rng([seed, 11])
    labelled = _draw_pairs(PAIRS, rng, LEVELS)
    few = labelled.take(slice(int(FEW * PAIRS)))
    models = {"few": _train(few, seed, steps), "all": _train(labelled, seed, steps)}
    extended, quality = _propagate(models["few"], few, rng, seed)
    models["found"] = _train(extended, seed, steps)
    every = ReachablePoses()
    rows = [
        {"fit": name, "candidates": "all poses"} | row
        for name, model in models.items()
        for row in _follow(run, config, model, every, episodes)
    ]
    for name, settings in (
        ("generated", {}), ("generated, unweighted", {"weighted": False}),
        ("uniform", {"uniform": 1.0}),
    ):  # fmt: skip
        candidates = GeneratedCandidates(models["all"], learn_words(), CANDIDATES, **settings)
        rows += [
            {"fit": "all", "candidates": f"{CANDIDATES} {name}"} | row
            for row in _follow(run, config, models["all"], candidates, episodes)
        ]
    rows += [
        {"fit": "language-image model", "candidates": "all poses"} | row
        for row in _success(load_agent(run), config, episodes)
    ]
    return [{"seed": seed} | quality | row for row in rows]


def _draw_pairs(count: int, rng: np.random.Generator, levels: Sequence[str]) -> Pairs:
    """Return pairs whose crops are as the worlds render them, without noise."""
    pairs = draw_world_pairs(count, rng, levels=levels)
    return world_pairs(replace(pairs, crops=draw_crops(KIND_CELLS[pairs.kinds])))


def _train(pairs: Pairs, seed: int, steps: int) -> MultimodalVAE:
    """Train a model on pairs of crops and texts, with the contrast."""
    modalities = world_modalities(len(learn_words()))
    model = build_vae(VaeConfig(modalities=modalities, backbone=BACKBONE, **MODEL), seed)
    generator = torch.Generator().manual_seed(seed)
    config = TRAINING.model_copy(update={"steps": steps})
    return RelatingLearner(model, pairs.observations, config, generator).train().eval()


def _propagate(
    model: MultimodalVAE, few: Pairs, rng: np.random.Generator, seed: int
) -> tuple[Pairs, Row]:
    """Return the few pairs and those found among unlabelled goals and texts, and their quality."""
    # Goals are what is faced at the ends of trajectories; each is compared with some unpaired
    # texts. The one with the largest PMI is kept, for the half of the goals where that is largest.
    generator = torch.Generator().manual_seed(seed)
    rooms = draw_rooms(GRID_WORLDS[WORLD], ROOMS, rng)
    each = rooms.repeat(TRAJECTORIES, 0)
    targets = facing(is_object(each), is_free(each))
    walked = grid_experts(rooms, TRAJECTORIES, rng, targets=targets)
    ends = walked.terminals
    goals = torch.from_numpy(crops_ahead(walked.rooms[walked.room[ends]], walked.poses[ends]))
    shown = kinds_of(faced_cells(walked.rooms[walked.room[ends]], walked.poses[ends]))
    unpaired = draw_world_pairs(len(goals), rng)
    picks = torch.from_numpy(rng.integers(len(goals), size=len(goals) * TEXTS_EACH))
    goal = torch.arange(len(goals)).repeat_interleave(TEXTS_EACH)
    mixed = {IMAGE: goals[goal], TEXT: torch.from_numpy(unpaired.counts)[picks]}
    scores = aligned_pmi(model, mixed, generator).unflatten(0, (len(goals), TEXTS_EACH))
    best, text = scores.max(1)  # of each goal
    chosen = best >= best.quantile(1 - KEPT)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    kept[chosen, text[chosen]] = True
    kept = kept.flatten()
    right = _is_meant(unpaired.texts, picks.numpy(), shown[goal.numpy()])
    observations = {
        name: torch.cat([few.observations[name], value[kept]]) for name, value in mixed.items()
    }
    labels = torch.cat([few.labels, torch.from_numpy(shown)[goal][kept]])
    hits = right[kept.numpy()]
    quality = {
        "found": int(kept.sum()),
        "precision": float(hits.mean()) if len(hits) else 0.0,
        "recall": float(hits.sum() / max(1, right.sum())),
    }
    return Pairs(observations, labels), quality


def _is_meant(
    texts: Sequence[str], picks: NDArray[np.int64], kinds: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return whether each picked text denotes the kind beside it, bool [N]; for the record only."""
    room = np.full((1, 3, 2 * len(KIND_CELLS) + 1, 2), EMPTY, np.uint8)
    room[0, 1, 1::2] = KIND_CELLS
    denoted = np.zeros((len(texts), len(KIND_CELLS)), bool)  # [T, kinds]
    for row, text in zip(denoted, texts, strict=True):
        cells = denoted_cells(room, text)
        assert cells is not None  # the grammar's own texts
        row[:] = cells[0, 1, 1::2]
    return denoted[picks, kinds]


def _follow(
    run: Path,
    config: GridRunConfig,
    model: MultimodalVAE,
    candidates: Candidates | InstructedCandidates,
    episodes: int,
) -> list[Row]:
    """Return the success of the critic with a model's language score, by level."""
    agent = GroundedAgent(
        load_agent(run).critic,
        RelatedLanguage(model, learn_words(), LATENTS),
        GROUNDINGS["log_sum_exp"],
        candidates,
        actions=np.arange(len(ACTIONS)),
        temperature=config.grounding.temperature,
    )
    return _success(agent, config, episodes)


def _success(agent: GroundedAgent, config: GridRunConfig, episodes: int) -> list[Row]:
    rows = []
    for level in LEVELS:
        env = make_grid_tasks(WORLD, episodes, (level,))
        success = run_episodes(env, agent, config.evaluation.seed).success
        rows.append({"level": level, "success": float(success.mean())})
    return rows


def over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return the mean success over levels of each fit and candidates, with SEM over seeds."""
    return [
        dict(zip(COLUMNS, (*key, *mean_over_seeds(group, "success")), strict=True))
        for key, group in group_rows(measured, COLUMNS[:2]).items()
    ]


def claims(rows: Sequence[Row]) -> list[Row]:
    """Return what found pairs and generated candidates add to success, beside what is expected."""
    success = {(row["fit"], row["candidates"]): row["success"] for row in rows}
    few, every, found = (success[fit, "all poses"] for fit in ("few", "all", "found"))
    recovered = (found - few) / (every - few) if every > few else None
    few_goals = [success["all", f"{CANDIDATES} {name}"] for name in ("generated", "uniform")]
    gain = few_goals[0] - few_goals[1]
    rows = [
        claim_row("share of the distance that found pairs recover", recovered, EXPECTED),
        claim_row(f"{CANDIDATES} generated less {CANDIDATES} uniform", gain, 0.0),
    ]
    return [{"task": "grid goto", "backbone": BACKBONE} | row for row in rows]
