"""``langrl reproduce law``: the synthetic table, beside the published one, with exact ceilings.

Three critics; one shared goal encoder, two separate models, or a model trained on (A, C) pairs;
estimated directly, by closed form, by Monte Carlo from p(b), and by Monte Carlo from a proposal
fitted to the (A, B) pairs that trained the critic.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from langrl.data.synthetic import GaussianTriples
from langrl.evaluation.statistics import gather
from langrl.functional.marginals import direct, monte_carlo
from langrl.grounding.proposals import GaussianProposal
from langrl.plots.law import law_figure
from langrl.reproduce.arguments import LawArguments
from langrl.reproduce.common import run_parts, write_report
from langrl.reproduce.gaussian_critics import (
    ALTERNATIVES,
    CRITICS,
    Setting,
    Trained,
    candidate_goals,
    choose_for,
    closed_form,
    draw_world,
    estimate,
    evaluation,
    over_seeds,
    recall,
    train_critics,
    train_oracle,
    training_pairs,
    unseen_groups,
)
from langrl.tasks.maze.published import LAW
from langrl.training.logs import print_table

COUNTS = (5_000, 100_000)  # candidates from p(b), as published
PROPOSED = (500, 5_000)  # candidates from a proposal, drawn and embedded anew for each query
_PROPOSED_GROUPS = 8  # of the 64, for that reason
MODELS = ("shared", "separate", "oracle", "exact")
COLUMNS = ("critic", "models", "estimator", "M", "recall", "sem", "published")
Key = tuple[str, str, str, int | None]
Measured = dict[Key, float]
Recalls = dict[tuple[str, int | None], float]
Ratio = Callable[[int, Tensor, Tensor], Tensor]


def reproduce(options: LawArguments, command: str) -> None:
    """Train, evaluate, and write the table, results.json and the figure."""
    jobs = [
        (Setting(critic, seed, epochs=options.epochs), models, COUNTS, _proposed_for(models))
        for seed in range(options.seeds)
        for models in MODELS
        for critic in (CRITICS if models != "exact" else ("exact",))
    ]
    measured = gather(run_parts(measure, jobs, options, "law: models"))
    rows = [
        dict(zip(COLUMNS[:4], key, strict=True)) | over_seeds(values) | {"published": LAW.get(key)}
        for key, values in sorted(measured.items(), key=lambda item: _order(item[0]))
    ]
    title = f"recall@1 among {ALTERNATIVES}, seeds: {options.seeds}"
    print_table(title, rows, COLUMNS)
    config = options.model_dump(include={"seeds", "epochs"})
    write_report(options.out, command, config, rows, {"law": law_figure(rows, title)})


def _proposed_for(models: str) -> tuple[int, ...]:
    """Return how many proposed candidates to evaluate; the larger number takes minutes."""
    return PROPOSED if models == "separate" else PROPOSED[:1]


def _order(key: Key) -> tuple[int, int, int, int]:
    critic, models, estimator, count = key
    estimators = ("bayes", "direct", "gaussian", "monte_carlo", "proposal", "auto")
    place = MODELS.index(models), (*CRITICS, "exact").index(critic), estimators.index(estimator)
    return *place, count or 0


def measure(
    setting: Setting, models: str, counts: tuple[int, ...], proposed: tuple[int, ...]
) -> Measured:
    """Train one of MODELS and return its recall by (critic, models, estimator, M).

    The numbers of candidates M are ``counts`` from p(b), and ``proposed`` from a proposal.
    """
    if models == "exact":
        found = _ceilings(setting, counts, proposed)
    elif models == "oracle":
        found = _oracle(setting)
    else:
        trained = train_critics(setting, shared=models == "shared")
        found = _joined(trained, counts, proposed)
    return {(setting.critic, models, *key): value for key, value in found.items()}


def _joined(trained: Trained, counts: tuple[int, ...], proposed: tuple[int, ...]) -> Recalls:
    """Return the recall of every estimator that joins f(a, b) with h(c, b)."""
    a, c = evaluation(trained)
    goals = candidate_goals(trained.setting, trained.world, max(counts))
    found: Recalls = {
        ("direct", None): recall(direct(a, c, energy=trained.left.energy)),
        ("gaussian", None): recall(closed_form(trained, goals[: counts[0]], a, c)),
    }
    for count in counts:
        found["monte_carlo", count] = recall(estimate(trained, goals[:count], a, c).value)
    for count in proposed:
        values = _proposed(trained.setting, trained.world, trained.ratio, count)
        found["proposal", count] = recall(values)
    found["auto", counts[0]] = recall(choose_for(trained, goals[: counts[0]]).score(a, c))
    return found


@torch.no_grad()
def _proposed(setting: Setting, world: GaussianTriples, ratio: Ratio, count: int) -> Tensor:
    """Return Monte Carlo values from candidates that are drawn for each query, [G, 32, 32]."""
    a, c = (x[:_PROPOSED_GROUPS] for x in unseen_groups(setting, world))
    queries, paired = training_pairs(setting, world, 0)
    _, more = training_pairs(setting, world, 1)
    proposal = GaussianProposal.fit(queries, paired, more_goals=more)
    generator = torch.Generator().manual_seed(setting.seed)
    values = []
    for group, instructions in zip(a, c, strict=True):
        goals, log_weights = proposal.draw(group, count, generator)  # [32, M, S], [32, M]
        for query, candidates, weights in zip(group, goals, log_weights, strict=True):
            f = ratio(0, query.unsqueeze(0), candidates)  # [1, M]
            h = ratio(1, instructions, candidates)  # [32, M]
            values.append(monte_carlo(f, h.mT, weights).value)
    return torch.cat(values).unflatten(0, a.shape[:2])


def _oracle(setting: Setting) -> Recalls:
    """Return the recall of a critic that was trained on (A, C) pairs."""
    world, critic = train_oracle(setting)
    with torch.no_grad():
        groups = zip(*unseen_groups(setting, world), strict=True)
        return {("direct", None): recall(torch.stack([critic(a, c) for a, c in groups]))}


def _ceilings(setting: Setting, counts: tuple[int, ...], proposed: tuple[int, ...]) -> Recalls:
    """Return the recall of exact densities: Bayes' own, and Lemma 1 with exact ratios."""
    world = draw_world(setting)
    a, c = unseen_groups(setting, world)
    goals = candidate_goals(setting, world, max(counts))
    found: Recalls = {("bayes", None): recall(world.exact_marginal(a, c))}
    for count in counts:
        values = []
        for sides in zip(a, c, strict=True):
            f, h = (world.exact_ratio(n, x, goals[:count]) for n, x in enumerate(sides))
            values.append(monte_carlo(f, h.mT).value)
        found["monte_carlo", count] = recall(torch.stack(values))
    for count in proposed:
        found["proposal", count] = recall(_proposed(setting, world, world.exact_ratio, count))
    return found
