"""A generative model of related pairs as an agent's language side; a part of ``relating``.

In grid goto, the model's pointwise mutual information is the language score h(g, l) of an agent
that was trained without language. A model of a few labelled pairs labels more of them, from the
ends of unlabelled trajectories and unpaired instructions. And the goals that the model generates
from an instruction are candidates.

Axes: ``N`` goals, ``T`` texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
from langrl.envs.phrasing import PHRASINGS, Phrasing
from langrl.evaluation.rollouts import run_episodes
from langrl.evaluation.statistics import group_rows, mean_over_seeds
from langrl.grounding.candidates import Candidates, InstructedCandidates, ReachablePoses
from langrl.grounding.generated import IMAGE, TEXT, GeneratedCandidates, RelatedLanguage
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.vae.config import VaeConfig
from langrl.models.vae.model import MultimodalVAE, build_vae
from langrl.models.vae.pairs import pair_information
from langrl.reproduce.common import train_once, with_given
from langrl.reproduce.relating_claims import claim_row
from langrl.reproduce.relating_tasks import (
    MODEL,
    Pairs,
    Scale,
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
ROOMS, TRAJECTORIES = 150, 4  # unlabelled; as many texts as trajectories
DRAWS = 2  # of pairs and models, for each critic
_BALANCING = 20  # rounds, until goals and texts have equal weights
CANDIDATES = 8
DRAWN: dict[str, dict[str, Any]] = {
    f"{CANDIDATES} generated": {},
    f"{CANDIDATES} generated, unweighted": {"weighted": False},
    f"{CANDIDATES} uniform": {"uniform": 1.0},
}
"""How few candidates are drawn, by what they are called."""
HELD_OUT = {"all": {}, "all, near words": {"near_words": True}}
"""How unknown words are read where phrasings are held out, by the name of the fit."""
COLUMNS = ("fit", "candidates", "phrasing", "success", "success_sem")
Choice = Callable[[Tensor], tuple[Tensor, Tensor]]
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
    training = Scale(steps).training("worlds")
    key = [config.model_dump(mode="json"), episodes, MODEL, training.model_dump()]
    key += [BACKBONE, PAIRS, FEW, KEPT, ROOMS, TRAJECTORIES, CANDIDATES, DRAWS]
    key += [list(PROPAGATIONS), HELD_OUT]
    record = ResultCache(folder / "records" / f"goals-{seed}.jsonl", key)
    return record.rows("goals", lambda: _measure(run, config, seed, episodes, steps))


def _critic_config(seed: int, steps: int | None) -> GridRunConfig:
    config = load_config(PRESET, GridRunConfig)
    return with_given(config, seed=seed, learner=with_given(config.learner, steps=steps))


def _measure(run: Path, config: GridRunConfig, seed: int, episodes: int, steps: int) -> list[Row]:
    rows: list[Row] = []
    for draw in range(DRAWS):
        number = DRAWS * seed + draw
        rows += [
            {"seed": number} | row for row in _follow_all(run, config, number, episodes, steps)
        ]
    rows += [
        {"seed": seed, "fit": "language-image model", "candidates": "all poses"} | row
        for phrasing in PHRASINGS
        for row in _success(load_agent(run), config, episodes, phrasing)
    ]
    return rows


def _follow_all(
    run: Path, config: GridRunConfig, seed: int, episodes: int, steps: int
) -> list[Row]:
    """Return the success with models of one draw of pairs, by fit, candidates and level."""
    rng = np.random.default_rng([seed, 11])
    labelled = _draw_pairs(PAIRS, rng, LEVELS)
    few, unlabelled = labelled.take(slice(int(FEW * PAIRS))), _draw_unlabelled(rng)
    models = {"few": _train(few, seed, steps), "all": _train(labelled, seed, steps)}
    qualities: dict[str, Row] = {}
    for name in PROPAGATIONS:
        models[name], qualities[name] = _propagate(name, few, unlabelled, seed, steps)
    follow = partial(_follow, run, config, episodes)
    rows = [
        {"fit": name, "candidates": "all poses"} | qualities.get(name, {}) | row
        for name, model in models.items()
        for row in follow(model)
    ]
    for drawn in DRAWN:
        rows += [{"fit": "all", "candidates": drawn} | row for row in follow(models["all"], drawn)]
    for fit, reading in HELD_OUT.items():
        for drawn in ("all poses", *DRAWN):
            rows += [
                {"fit": fit, "candidates": drawn} | row
                for row in follow(models["all"], drawn, "held_out", **reading)
            ]
    return rows


def _draw_pairs(count: int, rng: np.random.Generator, levels: Sequence[str]) -> Pairs:
    """Return pairs whose crops are as the worlds render them, without noise."""
    pairs = draw_world_pairs(count, rng, levels=levels)
    return world_pairs(replace(pairs, crops=draw_crops(KIND_CELLS[pairs.kinds])))


def _train(pairs: Pairs, seed: int, steps: int) -> MultimodalVAE:
    """Train a model on pairs of crops and texts, with the contrast."""
    modalities = world_modalities(len(learn_words()))
    model = build_vae(VaeConfig(modalities=modalities, backbone=BACKBONE, **MODEL), seed)
    generator = torch.Generator().manual_seed(seed)
    training = Scale(steps).training("worlds")
    return RelatingLearner(model, pairs.observations, training, generator).train().eval()


@dataclass(frozen=True, eq=False)
class _Unlabelled:
    """What is faced at the ends of trajectories, and texts that nobody paired with it.

    Attributes:
        goals: images [N, X].
        shown: their kinds [N]; for the record only, as are ``texts``.
        counts: of the words of texts [N, V].
        texts: those texts.
    """

    goals: Tensor
    shown: Tensor
    counts: Tensor
    texts: list[str]


def _draw_unlabelled(rng: np.random.Generator) -> _Unlabelled:
    rooms = draw_rooms(GRID_WORLDS[WORLD], ROOMS, rng)
    each = rooms.repeat(TRAJECTORIES, 0)
    targets = facing(is_object(each), is_free(each))
    walked = grid_experts(rooms, TRAJECTORIES, rng, targets=targets)
    faced = walked.rooms[walked.room[walked.terminals]], walked.poses[walked.terminals]
    goals, shown = crops_ahead(*faced), kinds_of(faced_cells(*faced))
    unpaired = draw_world_pairs(len(goals), rng)
    counts = torch.from_numpy(unpaired.counts)
    return _Unlabelled(torch.from_numpy(goals), torch.from_numpy(shown), counts, unpaired.texts)


def _surest(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return goals and texts [P] of the surest half of the goals, each with its best text."""
    best, text = scores.max(1)
    goal = (best >= best.quantile(1 - KEPT)).nonzero().squeeze(1)
    return goal, text[goal]


def _balanced(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return goals and texts [P]: each text with its best goal, and each goal with its best text.

    Scores are shifted first until every goal and every text has the same weight: without that, the
    words that a model knows take all goals.
    """
    for _ in range(_BALANCING):
        scores = scores - scores.logsumexp(0, keepdim=True)
        scores = scores - scores.logsumexp(1, keepdim=True)
    each = torch.arange(len(scores))
    return torch.cat([scores.argmax(0), each]), torch.cat([each, scores.argmax(1)])


PROPAGATIONS: dict[str, tuple[Choice, int, int]] = {
    "found, surest": (_surest, 1, 1),
    "found, balanced": (_balanced, 2, 2),
}
"""By name: which pairs are kept, of how many models the scores are the mean, and the rounds."""


def _propagate(
    name: str, few: Pairs, unlabelled: _Unlabelled, seed: int, steps: int
) -> tuple[MultimodalVAE, Row]:
    """Return a model of the few pairs and of those that are found with them, and their quality."""
    choose, models, rounds = PROPAGATIONS[name]
    pairs, quality = few, Row()
    generator = torch.Generator().manual_seed(seed)
    for number in range(rounds):
        scores = torch.zeros(())
        for member in range(models):
            model = _train(pairs, seed + 100 * (1 + member + models * number), steps)
            sides = {IMAGE: unlabelled.goals}, {TEXT: unlabelled.counts}
            scores = scores + pair_information(model, *sides, generator) / models
        goal, text = choose(scores)
        values = {IMAGE: unlabelled.goals[goal], TEXT: unlabelled.counts[text]}
        pairs = few.beside(Pairs(values, unlabelled.shown[goal]))
        right = _is_meant(unlabelled.texts, text.numpy(), unlabelled.shown[goal].numpy())
        quality = {"found": len(goal), "precision": float(right.mean())}
        quality["recall"] = len(text[torch.from_numpy(right)].unique()) / len(unlabelled.texts)
    return _train(pairs, seed, steps), quality


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
    episodes: int,
    model: MultimodalVAE,
    drawn: str = "all poses",
    phrasing: Phrasing = "seen",
    **reading: bool,
) -> list[Row]:
    """Return the success of the critic with a model's language score, by level."""
    words = learn_words()
    candidates: Candidates | InstructedCandidates = ReachablePoses()
    if drawn in DRAWN:
        settings = DRAWN[drawn] | reading
        candidates = GeneratedCandidates(model, words, CANDIDATES, **settings)
    agent = GroundedAgent(
        load_agent(run).critic,
        RelatedLanguage(model, words, LATENTS, **reading),
        GROUNDINGS["log_sum_exp"],
        candidates,
        actions=np.arange(len(ACTIONS)),
        temperature=config.grounding.temperature,
    )
    return _success(agent, config, episodes, phrasing)


def _success(
    agent: GroundedAgent, config: GridRunConfig, episodes: int, phrasing: Phrasing
) -> list[Row]:
    rows = []
    for level in LEVELS:
        env = make_grid_tasks(WORLD, episodes, (level,), phrasing)
        success = run_episodes(env, agent, config.evaluation.seed).success
        rows.append({"level": level, "phrasing": phrasing, "success": float(success.mean())})
    return rows


def over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return the mean success over levels of each fit, candidates and phrasing, and its SEM."""
    return [
        dict(zip(COLUMNS, (*key, *mean_over_seeds(group, "success")), strict=True))
        for key, group in group_rows(measured, COLUMNS[:3]).items()
    ]


def claims(rows: Sequence[Row]) -> list[Row]:
    """Return what found pairs and generated candidates add to success, beside what is expected.

    Nothing if no agent was measured.
    """
    if not rows:
        return []
    success = {(row["fit"], row["candidates"], row["phrasing"]): row["success"] for row in rows}
    few, every = (success[fit, "all poses", "seen"] for fit in ("few", "all"))
    recovered = {
        name: (success[name, "all poses", "seen"] - few) / (every - few) if every > few else None
        for name in PROPAGATIONS
    }
    generated, _, uniform = DRAWN
    rows = [
        claim_row(f"share of the distance that pairs recover: {name}", share, EXPECTED)
        for name, share in recovered.items()
    ]
    for fit, phrasing in (("all", "seen"), ("all, near words", "held_out")):
        gain = success[fit, generated, phrasing] - success[fit, uniform, phrasing]
        told = f"{generated} less {uniform}"
        rows.append(claim_row(told + (", held out" if phrasing != "seen" else ""), gain, 0.0))
    return [{"task": "grid goto", "backbone": BACKBONE} | row for row in rows]
