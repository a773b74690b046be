"""Contrastive reinforcement learning from trajectories, with a language side that shares goals.

Two losses train one goal encoder: (state-action, future state) pairs from trajectories, which have
no language, and (state, text) pairs, which have no actions.

Axes: ``B`` batch, ``J`` other actions at the same state, ``D`` embedding size.

Source: Eysenbach et al. 2022, arXiv:2206.07568 (critic); Che & Eysenbach 2025, arXiv:2501.11326.
"""

import torch
from torch import Generator, Tensor

from langrl.agents.config import LearnerConfig
from langrl.data.state_text_pairs import StateTextPairs
from langrl.functional.losses import forward_info_nce, ranking_info_nce, symmetric_info_nce
from langrl.models.critics.maze import GoalCritic, LanguageCritic, named_weights
from langrl.models.encoders import CompactTextEncoder
from langrl.models.regions import trust_in_roles
from langrl.training.learner import Experience, GradientLearner
from langrl.training.optim import Batch, Optimiser, cosine_schedule

_LEAST_INFORMATION = 0.05  # nats: texts that say less count less


class ContrastiveLearner(GradientLearner):
    """Trains a goal critic and a language critic that share their goal encoder.

    Args:
        critic: f(s, a, g).
        language: h(g, l), with the same goal encoder.
        experience: state-actions with futures; see ``TrajectoryReplay.sample``.
        pairs: states with texts.
        config: the optimiser's settings.
        generator: the only source of randomness, on the device of the weights.
    """

    def __init__(
        self,
        critic: GoalCritic,
        language: LanguageCritic,
        experience: Experience,
        pairs: StateTextPairs,
        config: LearnerConfig,
        generator: Generator,
    ) -> None:
        self.critic, self.language = critic, language
        self.config, self.generator = config, generator
        device = generator.device
        self._pair_states = torch.from_numpy(pairs.states).to(device)
        self._pair_text = torch.from_numpy(pairs.text_index).to(device)
        self._denoted = torch.from_numpy(pairs.denoted).to(device)  # [U, R, C]
        text = language.text
        with torch.no_grad():
            # [U, L] word numbers, or [U, width] features of a frozen model
            read = text.tokenise if isinstance(text, CompactTextEncoder) else text.features
            self._texts = read(pairs.texts)
        weights, schedule = named_weights(critic, language), cosine_schedule(config.steps)
        optimiser = Optimiser(weights, config.learning_rate, schedule, generator)
        super().__init__(optimiser, experience, bounds=(critic.scale.bound, language.scale.bound))

    def batch(self) -> Batch:
        """Return state-actions with their futures, and states with texts."""
        return super().batch() | self._described()

    def _described(self) -> Batch:
        """Draw states with texts, which are stored, whatever the experience is."""
        generator = self.generator
        size = (self.config.language_batch_size,)
        pick = torch.randint(
            len(self._pair_text), size, generator=generator, device=generator.device
        )
        number = self._pair_text[pick]
        texts = self._texts[number]
        if isinstance(self.language.text, CompactTextEncoder):
            texts = texts[:, : int((texts != 0).sum(1).max())]  # no longer than the longest drawn
            texts = self.language.text.corrupt(texts, generator)
        described = self._pair_states[pick]
        batch = {"described": described, "text": texts}
        if self.config.denotations:
            rows, columns = described.long().unbind(1)
            batch["denoted"] = self._denoted[number][:, rows, columns]  # texts [B] x states [B]
        return batch

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the critic's loss and the weighted one of the language side together."""
        critic_loss, critic_metrics = self._critic_loss(batch)
        language_loss, language_metrics = self._language_loss(batch)
        metrics = {f"critic/{name}": value for name, value in critic_metrics.items()}
        metrics |= {f"language/{name}": value for name, value in language_metrics.items()}
        return critic_loss + self.config.language_weight * language_loss, metrics

    def _critic_loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        critic, state, action = self.critic, batch["state"], batch["action"]
        goals = critic.goal(batch["goal"])  # [B, D]
        others = batch.get("other_actions")
        if others is None:
            every = action.unsqueeze(1)  # [B, 1, A]
        else:
            every = torch.cat([action.unsqueeze(1), others], 1)  # [B, 1 + J, A]
        embedded = critic.state_action(state.unsqueeze(1), every)  # [B, 1 + J, D]
        logits = critic.score(embedded[:, 0], goals)  # [B, B]
        loss, metrics = symmetric_info_nce(logits, logsumexp_penalty=self.config.logsumexp_penalty)
        metrics["scale"] = critic.scale.log_scale.detach().exp()
        if others is not None:
            # A softmax of its own: among 255 other states, a few other actions hardly count.
            negatives = critic.score(embedded[:, 1:], goals.unsqueeze(1)).squeeze(-1)  # [B, J]
            action_loss, ranked = ranking_info_nce(logits.diagonal(), negatives)
            loss = loss + self.config.action_weight * action_loss
            metrics["accuracy_action"] = ranked["accuracy"]
        return loss, metrics

    def _language_loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        language = self.language
        goals, texts = language.goal(batch["described"]), language.text(batch["text"])
        logits = language.score(goals, texts, trust_in_roles(self.step / self.config.steps))
        denoted, penalty = batch.get("denoted"), self.config.logsumexp_penalty
        if denoted is None:
            loss, metrics = symmetric_info_nce(logits, logsumexp_penalty=penalty)
        else:
            some = ~denoted.all(1)  # a text that denotes every state has nothing to contrast with
            told, fitting = logits.T[some], denoted[some]
            _, metrics = forward_info_nce(told, positives=fitting)
            loss = balanced_information(told, fitting)
            if penalty:
                loss = loss + penalty * told.logsumexp(1).square().mean()
        return loss, metrics | {"scale": language.scale.log_scale.detach().exp()}


def balanced_information(logits: Tensor, denoted: Tensor) -> Tensor:
    """Return what texts say about states and is not learned yet, balanced between texts.

    With all states alike, a text that denotes n of B says log(B / n) nats: "row 3" says 2.3 in a
    maze of ten rows, "not row 3" only 0.1. InfoNCE would leave such texts for last. Where the share
    of each text's nats counts, those of one cell are told less sharply. So the nats of a text are
    divided by the root of how many there are.

    Args:
        logits: scores of texts and states [K, B].
        denoted: which states each text denotes [K, B], some and not all.
    """
    count = denoted.sum(1)  # [K]
    told = (logits.log_softmax(1) * denoted).sum(1) / count
    most = (denoted.shape[1] / count).log()
    return ((-told - count.log()) / most.clamp(min=_LEAST_INFORMATION).sqrt()).mean()
