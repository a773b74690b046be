"""Contrastive reinforcement learning with an actor, in any goal environment.

The critic learns which goals follow which state-actions; the actor goes where the critic says that
a goal is likely. One loss trains both, each by gradients of its own, at the same weights: the actor
follows the critic of before the step, as where it is updated first.

Axes: ``B`` batch, ``N`` environments, ``A`` numbers of an action (discrete: how many actions there
are), ``J`` other actions in a state, ``G`` numbers of a goal, ``D`` numbers of an embedding.

Source: Eysenbach et al. 2022, arXiv:2206.07568; Bortkiewicz et al. 2024, arXiv:2408.11052 (entropy
coefficient); Park et al. 2024, arXiv:2410.20092 (behaviour cloning).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from langrl.agents.config import PENALISED, GoalLearnerConfig
from langrl.errors import NonFiniteError
from langrl.functional.losses import LOSSES, ranking_info_nce
from langrl.models.actors import (
    Actor,
    CategoricalActor,
    ComparingActor,
    GaussianActor,
    NetworkActor,
)
from langrl.models.critics.state_goal import StateGoalCritic
from langrl.models.protocols import as_inputs
from langrl.protocols import Array
from langrl.training.learner import Experience, GradientLearner
from langrl.training.optim import Batch, Optimiser, constant_schedule, cosine_schedule

_SMALL = 1e-6  # of a mean score that another is divided by
_GOALS = {"relabelled": "goal", "random": "random_goal", "uniform": "uniform_goal"}


class GoalConditionedPolicy:
    """Acts towards the goals of observations.

    Args:
        actor: chooses actions; its numbers go where ``model`` is.
        model: the actor's weights, or the critic's of an actor that has none.
        generator: draws actions, on the device of the weights; the best ones are taken without.
    """

    def __init__(
        self,
        actor: Actor,
        model: nn.Module,
        generator: Generator | None = None,
    ) -> None:
        self._actor, self._model, self._generator = actor, model, generator

    @torch.no_grad()
    def __call__(self, observations: Mapping[str, Array]) -> Array:
        """Return actions, float32 [N, A] in [-1, 1] or int64 [N].

        Args:
            observations: ``observation`` [N, ...] and ``desired_goal`` [N, G].

        Raises:
            NonFiniteError: if one of them is NaN or infinite.
        """
        given = [np.asarray(observations[name]) for name in ("observation", "desired_goal")]
        for name, array in zip(("observation", "desired_goal"), given, strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise NonFiniteError(f"{name} is not finite; fix the environment")
        states, goals = as_inputs(given, self._model)
        actions = self._actor.act(states, goals, self._generator)
        floats = actions.is_floating_point()
        return (actions.float() if floats else actions).cpu().numpy()


class ContrastiveActorCritic(GradientLearner):
    """Trains f(s, a, g), and an actor that maximises it, if there is one.

    Batches have ``state`` [B, ...], ``action`` [B, A] in [-1, 1] or int64 [B], and ``goal``
    [B, G], a future of each; ``random_goal``, ``uniform_goal`` [B, G] and ``episode`` [B] as the
    config wants them.

    Args:
        critic: f.
        actor: a network, or what compares actions by the critic.
        experience: where batches come from.
        config: losses and learning rates.
        steps: gradient steps in all, for the schedule of learning rates.
        generator: the only source of randomness, on the device of the weights.
    """

    def __init__(
        self,
        critic: StateGoalCritic,
        actor: NetworkActor | ComparingActor,
        experience: Experience,
        config: GoalLearnerConfig,
        steps: int,
        generator: Generator,
    ) -> None:
        self.critic, self.actor, self.config, self.generator = critic, actor, config, generator
        self._contrast = _contrast(config)
        self._coefficient: nn.Parameter | None = None
        learned = isinstance(actor, nn.Module) and config.entropy == "learned"
        if learned:
            first = math.log(config.entropy_coefficient)
            self._coefficient = nn.Parameter(torch.tensor(first, device=generator.device))
        weights = named_weights(critic, actor)
        if self._coefficient is not None:
            weights["entropy.log_coefficient"] = self._coefficient
        rates = {
            "critic": config.critic_learning_rate,
            "actor": config.actor_learning_rate,
            "entropy": config.entropy_learning_rate,
        }
        optimiser = Optimiser(
            weights,
            config.critic_learning_rate,
            cosine_schedule(steps) if config.schedule == "cosine" else constant_schedule,
            generator,
            learning_rates={name: rates[name.split(".")[0]] for name in weights},
        )
        super().__init__(optimiser, experience, stored=weights, bounds=(critic.scale.bound,))

    def act(self, observations: Mapping[str, Array]) -> Array:
        """Draw unit actions [N, A], or int64 [N]; see ``GoalConditionedPolicy``."""
        return self.policy(deterministic=False)(observations)

    def policy(
        self, deterministic: bool, generator: Generator | None = None
    ) -> GoalConditionedPolicy:
        """Return what acts by the present weights, and by later ones as they change.

        Args:
            deterministic: the actor's mean, or the best action; else they are drawn.
            generator: of the draws; the learner's own by default.
        """
        model = self.actor if isinstance(self.actor, nn.Module) else self.critic
        draws = None if deterministic else generator or self.generator
        return GoalConditionedPolicy(self.actor, model, draws)

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the losses of critic, actor and entropy coefficient together."""
        features = self.critic.read(batch["state"])
        goals = self.critic.goal(batch["goal"])  # [B, D]
        loss, metrics = self._critic_loss(batch, features, goals)
        metrics = {f"critic/{name}": value for name, value in metrics.items()}
        if isinstance(self.actor, nn.Module):
            # What the critic says is taken as it is: no gradient of the actor's loss reaches it.
            actor_loss, shown = self._actor_loss(batch, features.detach(), goals.detach())
            loss = loss + actor_loss
            metrics |= {f"actor/{name}": value.detach() for name, value in shown.items()}
        return loss, metrics

    # -- the critic ----------------------------------------------------------------------------

    def _critic_loss(self, batch: Batch, features: Tensor, goals: Tensor) -> tuple[Tensor, Batch]:
        critic, config = self.critic, self.config
        squares = critic.member_scores(critic.join(features, batch["action"]), goals)  # [B, B] each
        ignored = _ignored(config.ignored_negatives, batch)
        parts = [self._contrast(_without(square, ignored)) for square in squares]
        loss = torch.stack([part for part, _ in parts]).mean()
        metrics = dict(parts[0][1]) | {"loss": loss.detach()}
        metrics["scale"] = critic.scale.log_scale.detach().exp()
        if config.action_weight:
            embedded = critic.join(features.unsqueeze(1), self._other_actions(batch["action"]))
            others = critic.member_scores(embedded, goals.unsqueeze(1))  # [B, J, 1] each
            ranked = [
                ranking_info_nce(square.diagonal(), other.squeeze(-1))
                for square, other in zip(squares, others, strict=True)
            ]
            loss = loss + config.action_weight * torch.stack([part for part, _ in ranked]).mean()
            metrics["accuracy_action"] = ranked[0][1]["accuracy"]
        return loss, metrics

    def _other_actions(self, actions: Tensor) -> Tensor:
        """Return actions [B, J, A], or int64 [B, J], to tell those taken [B, A] apart from."""
        config, size, generator = self.config, len(actions), self.generator
        count, where = config.action_negatives, actions.device
        if config.other_actions == "behaviour":
            pick = torch.randint(size, (size, count), generator=generator, device=where)
            return actions[pick]
        if self.critic.description.discrete:
            count = self.critic.description.actions
            steps = torch.arange(1, count, device=where)
            return (actions.unsqueeze(1) + steps) % count  # all others, each once
        shape = (size, count, actions.shape[-1])
        return 2 * torch.rand(shape, generator=generator, device=where, dtype=actions.dtype) - 1

    # -- the actor -----------------------------------------------------------------------------

    def _actor_loss(self, batch: Batch, features: Tensor, goals: Tensor) -> tuple[Tensor, Batch]:
        given, goals = self._actor_goals(batch, goals)
        states, taken = batch["state"], batch["action"]
        if isinstance(self.actor, CategoricalActor):
            return self._categorical_loss(self.actor(states, given), features, goals, taken)
        assert isinstance(self.actor, GaussianActor)
        config, actor = self.config, self.actor
        drawn, log_density = actor.sample(states, given, self.generator)
        if config.actor_action == "mean":
            drawn = actor.mean(states, given)
        with _frozen(self.critic):
            embedded = self.critic.join(features, drawn)
            scores = self.critic.score(embedded.unsqueeze(1), goals.unsqueeze(1)).flatten()  # [B]
        loss, metrics = self._follow(scores, log_density, config.target_entropy * actor.size)
        if config.behaviour_cloning:
            cloning = -actor.log_density(states, given, taken).mean()
            loss = loss + config.behaviour_cloning * cloning
            metrics["cloning"] = cloning
        return loss, metrics

    def _categorical_loss(
        self, log_probabilities: Tensor, features: Tensor, goals: Tensor, taken: Tensor
    ) -> tuple[Tensor, Batch]:
        """Return the loss in expectation over all actions; ``log_probabilities`` [B, A]."""
        config, count = self.config, log_probabilities.shape[1]
        with torch.no_grad():
            every = self.critic.join(
                features.unsqueeze(1), torch.arange(count, device=features.device)
            )
            scores = self.critic.score(every, goals.unsqueeze(1)).squeeze(-1)  # [B, A]
        shares = log_probabilities.exp()
        expected = (shares * scores).sum(1)
        target = config.discrete_target_entropy * math.log(count)
        loss, metrics = self._follow(expected, (shares * log_probabilities).sum(1), target)
        if config.behaviour_cloning:
            cloning = -log_probabilities.gather(1, taken.unsqueeze(1)).mean()
            loss = loss + config.behaviour_cloning * cloning
            metrics["cloning"] = cloning
        return loss, metrics

    def _follow(self, scores: Tensor, log_density: Tensor, target: float) -> tuple[Tensor, Batch]:
        """Return the loss of an actor with scores [B] and log densities [B] of its actions.

        The coefficient's own loss, which is part of it, brings the entropy to a target in nats.
        """
        size = scores.detach().abs().mean() + _SMALL if self.config.normalise_scores else 1.0
        loss = -scores.mean() / size
        entropy = -log_density.mean()
        metrics = {"score": scores.mean(), "entropy": entropy}
        if self._coefficient is not None:
            coefficient = self._coefficient.exp()
            loss = loss - coefficient.detach() * entropy
            loss = loss + coefficient * (entropy.detach() - target)
            metrics["coefficient"] = coefficient
        elif self.config.entropy_coefficient:
            loss = loss - self.config.entropy_coefficient * entropy
        return loss, metrics

    def _actor_goals(self, batch: Batch, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Return the goals that the actor is trained on [B, G], and their embeddings [B, D]."""
        kind = self.config.actor_goals
        if kind == "relabelled":
            return batch["goal"], embedded
        if kind == "both":
            half = len(embedded) // 2
            given = torch.cat([batch["goal"][:half], batch["random_goal"][half:]])
        else:
            given = batch[_GOALS[kind]]
        with torch.no_grad():
            return given, self.critic.goal(given)


def named_weights(
    critic: StateGoalCritic, actor: NetworkActor | ComparingActor
) -> dict[str, nn.Parameter]:
    """Return the parameters of both by name, with ``critic.`` and ``actor.`` before it."""
    modules = nn.ModuleDict({"critic": critic})
    if isinstance(actor, nn.Module):
        modules["actor"] = actor
    return dict(modules.named_parameters())


def _contrast(config: GoalLearnerConfig) -> Callable[[Tensor], tuple[Tensor, Batch]]:
    """Return the critic's loss of scores [B, B]."""
    options: dict[str, Any] = {}
    if config.loss in PENALISED:
        options["logsumexp_penalty"] = config.logsumexp_penalty
    if config.loss == "sigmoid":
        options["bias"] = config.sigmoid_bias
    return partial(LOSSES[config.loss], **options)


def _ignored(which: str, batch: Batch) -> Tensor | None:
    """Return which pairs of a batch are neither positives nor negatives, bool [B, B]."""
    if which == "none":
        return None
    if which == "same_episode":
        same = batch["episode"].unsqueeze(1) == batch["episode"]
    else:
        flat = batch["goal"].flatten(1)
        same = (flat.unsqueeze(1) == flat).all(-1)
    same.fill_diagonal_(False)
    # Where nothing is left to contrast with, as in a batch of one episode, all pairs count.
    return same & (~same).sum(1).gt(1).all()


def _without(scores: Tensor, ignored: Tensor | None) -> Tensor:
    return scores if ignored is None else scores.masked_fill(ignored, -torch.inf)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Let gradients through a model, and none into its weights."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
