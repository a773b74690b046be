"""Candidates and language scores from a generative model of images and texts.

A multimodal variational autoencoder of related pairs (see ``data.related_pairs``) has two uses in
grid worlds. Its pointwise mutual information is h(g, l). And the images that it generates from an
instruction show where likely goals are, so that a few candidates suffice.

Axes: ``N`` episodes, ``M`` candidate goals, ``P`` reachable poses, ``K`` texts or samples of
a latent, ``C`` distinct cells, ``V`` words.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from langrl.data.related_pairs import KIND_CELLS, count_words, draw_crops, kinds_of
from langrl.envs.grid.rooms import Rooms, ahead, reachable_poses
from langrl.errors import ConfigError, DomainError
from langrl.functional.generative import stratified_sample
from langrl.grounding.near_words import NearWords
from langrl.models.vae.model import MultimodalVAE
from langrl.protocols import Array, Floats, Integers
from langrl.words import WordTokeniser

IMAGE, TEXT = "crop", "text"  # the modalities of a model of related pairs
_NOTHING = -30.0  # nats; the score of a goal that shows no object
_SEED = 0  # of the latents behind a score, so that it is the same at each call


def check_modalities(model: MultimodalVAE) -> None:
    """Raise ConfigError unless a model is of images of what is faced, and texts."""
    if set(model.names) != {IMAGE, TEXT}:
        raise ConfigError(
            f"the model's modalities are {', '.join(model.names)}; train one of {IMAGE} and {TEXT}"
        )


def _counter(words: WordTokeniser, near_words: bool) -> Callable[[Sequence[str]], Floats]:
    return NearWords(words) if near_words else partial(count_words, words=words)


class RelatedLanguage(nn.Module):
    """h(g, l) as the pointwise mutual information of what a goal shows and a text.

    A language side for ``GroundedAgent`` in grid worlds. The embedding of a goal is a one-hot
    vector of what it shows, and that of a text its scores of all that a goal can show, so that
    comparing them is a matrix product.

    Args:
        model: of images and texts.
        words: the numbers of the words that the model counts.
        samples: latents of each pair.
        near_words: let unknown words count as known ones of near meaning, see ``NearWords``.

    Raises:
        ConfigError: if the model has other modalities.
        CheckpointError: as ``NearWords``.

    Source: Shi et al. 2021, arXiv:2007.01179, section 4; h = log p(g, l) / p(g) p(l).
    """

    def __init__(
        self,
        model: MultimodalVAE,
        words: WordTokeniser,
        samples: int = 64,
        *,
        near_words: bool = False,
    ) -> None:
        super().__init__()
        check_modalities(model)
        self.model, self.samples = model, samples
        self._counts = _counter(words, near_words)
        self.register_buffer("images", torch.from_numpy(draw_crops(KIND_CELLS)), persistent=False)
        self.images: Tensor

    def embed_goals(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Return what poses [N, M, 3] show in their rooms, one-hot [N, M, kinds + 1]."""
        rooms, poses = observations[..., :2].cpu().numpy(), goals[..., :3].cpu().numpy()
        rows, columns = ahead(poses)  # [N, M] each
        cells = rooms[np.arange(len(rooms))[:, None], rows, columns]  # [N, M, 2]
        kinds = torch.from_numpy(kinds_of(cells.reshape(-1, 2)).reshape(rows.shape))
        # The last one stands for "no object", which has the number -1.
        shown = functional.one_hot(kinds % (len(KIND_CELLS) + 1), len(KIND_CELLS) + 1)
        return shown.float().to(goals.device)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return the scores of texts and all that a goal can show, in nats [K, 1, kinds + 1].

        Raises:
            InstructionError: if a text cannot be an instruction.
        """
        counts = torch.from_numpy(self._counts(texts)).to(self.images.device)
        scores = torch.cat([self._scores(each) for each in counts.split(1)])  # [K, kinds]
        return functional.pad(scores, (0, 1), value=_NOTHING).unsqueeze(1)

    def _scores(self, counts: Tensor) -> Tensor:
        """Return the scores [1, kinds] of one text, its word counts [1, V]."""
        # One by one: an estimate from shared draws would change with the texts beside it.
        generator = torch.Generator(counts.device).manual_seed(_SEED)
        return self.model.pmi({IMAGE: self.images}, {TEXT: counts}, generator, self.samples).mT

    def score(self, goals: Tensor, texts: Tensor) -> Tensor:
        """Compare goals [..., M, kinds + 1] and texts [..., K, 1, kinds + 1]; h [..., M, K]."""
        return goals @ texts.squeeze(-2).mT


class GeneratedCandidates:
    """Poses that look like the images that the model generates from the instruction.

    Latents are drawn from q(z|l), and each spreads over the poses of the room by p(image|z).
    A pose's chance q(g|l) is the mean over latents, mixed with a share of all poses alike, and its
    log weight is log p(g) - log q(g|l) with p uniform, so that the marginal over goals is the same
    as with all poses, in expectation.

    Args:
        model: of images and texts.
        words: the numbers of the words that the model counts.
        count: candidates of each episode, M.
        samples: latents of each instruction.
        uniform: share of candidates drawn from all poses alike, in (0, 1]; 1 for all of them.
        weighted: give the log weights; without them, 0, the marginal is that of other goals.
        near_words: let unknown words count as known ones of near meaning, see ``NearWords``.

    Raises:
        ConfigError: if the model has other modalities.
        CheckpointError: as ``NearWords``.
        DomainError: if a number is out of range.

    Source: importance weights, Che & Eysenbach 2025, arXiv:2501.11326, Lemma 1; defensive mixture,
    Hesterberg 1995.
    """

    def __init__(
        self,
        model: MultimodalVAE,
        words: WordTokeniser,
        count: int,
        *,
        samples: int = 32,
        uniform: float = 0.1,
        weighted: bool = True,
        near_words: bool = False,
    ) -> None:
        check_modalities(model)
        if count < 1 or samples < 1 or not 0 < uniform <= 1:
            raise DomainError(
                f"GeneratedCandidates needs count and samples from 1 on and uniform in (0, 1], got"
                f" {count}, {samples} and {uniform}"
            )
        self.model, self.count, self._counts = model, count, _counter(words, near_words)
        self.samples, self.uniform, self.weighted = samples, uniform, weighted

    def draw_for(
        self, observations: Array, texts: Sequence[str], generator: np.random.Generator
    ) -> tuple[Array, Floats]:
        """Return poses [N, M, 3] and log weights [N, M]; see ``InstructedCandidates``."""
        latents = self._latents(texts, int(generator.integers(2**63)))  # [K, N, D]
        goals = np.zeros((len(observations), self.count, 3), np.int64)
        log_weights = np.zeros(goals.shape[:2], np.float32)
        for n, poses in enumerate(reachable_poses(observations)):
            chances = self._chances(observations[n, ..., :2], poses, latents[:, n])
            drawn = generator.choice(len(poses), size=self.count, p=chances)
            goals[n] = poses[drawn]
            if self.weighted:
                log_weights[n] = -np.log(len(poses) * chances[drawn])
        return goals, log_weights

    @torch.no_grad()
    def _latents(self, texts: Sequence[str], seed: int) -> Tensor:
        """Draw latents given texts [K, N, D]."""
        device = next(self.model.parameters()).device
        counts = torch.from_numpy(self._counts(texts)).to(device)
        means, log_scales = self.model.posterior({TEXT: counts})
        draw = torch.Generator(device).manual_seed(seed)
        return stratified_sample(means, log_scales, self.samples, draw)

    @torch.no_grad()
    def _chances(self, room: Rooms, poses: Integers, latents: Tensor) -> NDArray[np.float64]:
        """Return q(g|l) of the poses [P] of a room [H, W, 2], given latents [K, D]."""
        cells, shown = np.unique(room[ahead(poses)], axis=0, return_inverse=True)  # [C, 2], [P]
        images = torch.from_numpy(draw_crops(cells)).to(latents.device)
        likelihood = self.model.log_likelihood_matrix({IMAGE: images}, latents)  # [K, C]
        spread = likelihood[:, torch.from_numpy(shown.reshape(-1))].double().softmax(1)  # [K, P]
        near = spread.mean(0).cpu().numpy()
        chances = (1 - self.uniform) * near + self.uniform / len(poses)
        return chances / chances.sum()
