"""Language critics for your own worlds: h(g, l) learned from goals that are described in words.

Axes: ``P`` pairs of a goal and a text, ``N`` episodes, ``M`` candidate goals, ``G`` numbers in a
goal, ``K`` texts, ``B`` pairs of a batch, ``U`` distinct texts in it, ``J`` alternatives of a text,
``D`` embedding size.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.losses import symmetric_info_nce
from langrl.grounding.understanding import learn_understanding, sample_texts
from langrl.models.config import CriticConfig, TextConfig
from langrl.models.critics.build import LanguageDescription, build_language, word_table_of
from langrl.models.critics.maze import LanguageCritic
from langrl.models.encoders import CompactTextEncoder
from langrl.models.language_image.model import LanguageImageModel
from langrl.models.regions import trust_in_roles
from langrl.models.understanding import Understanding
from langrl.protocols import Array
from langrl.training.optim import Batch, Optimiser, cosine_schedule
from langrl.words import PAD, WordTokeniser

_CRITIC = CriticConfig(embedding=32, width=64, depth=2, goal_octaves=4)
_TEXT = TextConfig()


def learn_language(
    goals: Array,
    texts: Sequence[str],
    *,
    steps: int = 500,
    batch_size: int = 256,
    learning_rate: float = 3e-3,
    critic: CriticConfig = _CRITIC,
    text: TextConfig = _TEXT,
    seed: int = 0,
) -> LanguageCritic:
    """Learn h(g, l), an estimate of log p(l|g) / p(l), from goals and a text that is true of each.

    No actions are needed. The estimate depends on how often a text occurs with a goal: give each of
    the texts that are true of a goal equally often, and give every goal one, since the scores of
    goals without a text are not trained.

    Args:
        goals: numbers [P, G], distributed as candidates will be.
        texts: P texts, each true of its goal.
        steps: gradient steps.
        batch_size: pairs in a step; the others' texts are a pair's negatives.
        learning_rate: Adam's at first; it falls to 0 by a cosine.
        critic: sizes of the goal encoder, and the energy.
        text: the text encoder: words learned on the spot, or a SentenceTransformer's name.
        seed: of weights and batches.

    Returns:
        The language side, in evaluation mode, on the CPU; ``langrl.grounding.stored`` keeps it.

    Raises:
        ShapeError: if goals are not [P, G], or there is not a text for each.
        NonFiniteError: if a goal, the loss or a gradient is NaN or infinite.
        InstructionError: if a text cannot be an instruction.
        DomainError: if all texts are the same, or a size is not positive.

    Source: Che & Eysenbach 2025, arXiv:2501.11326, the language critic.
    """
    states, distinct, number = _check_pairs(goals, texts)
    if min(steps, batch_size - 1) < 1:
        raise DomainError(f"steps is {steps} and batch_size {batch_size}; give at least 1 and 2")
    low, high = states.amin(0), states.amax(0)
    high = torch.where(high > low, high, low + 1)  # a number that never changes
    vocabulary = WordTokeniser.learn(texts).vocabulary if text.model == "compact" else ()
    description = LanguageDescription(
        low=low.tolist(),
        high=high.tolist(),
        critic=critic,
        text=text,
        vocabulary=vocabulary,
        text_width=None,
        word_table=word_table_of(text),
    )
    language = build_language(description, seed)
    read = _reader(language, distinct)
    generator = Generator().manual_seed(seed)

    def loss(batch: Batch) -> tuple[Tensor, Batch]:
        embedded = language.text(batch["text"])  # [U, J, D]
        trust = trust_in_roles(optimiser.step / steps)
        scores = language.score(language.goal(batch["goal"]), embedded, trust)  # [B, U]
        return symmetric_info_nce(scores[:, batch["column"]])

    weights = dict(language.named_parameters())
    optimiser = Optimiser(weights, learning_rate, cosine_schedule(steps))
    for _ in range(steps):
        pick = torch.randint(len(states), (batch_size,), generator=generator)
        drawn, column = number[pick].unique(return_inverse=True)  # each text is encoded once
        batch = {"goal": states[pick], "text": read(drawn, generator), "column": column}
        optimiser.update(batch, loss)
        language.scale.bound()
    language.eval()
    language.understanding = learn_understanding(language, sample_texts(distinct, seed))
    return language


def _check_pairs(goals: Array, texts: Sequence[str]) -> tuple[Tensor, list[str], Tensor]:
    """Return goals [P, G], the distinct texts, and the number of each goal's text [P]."""
    try:
        array = np.asarray(goals, np.float32)
    except (TypeError, ValueError):
        raise ShapeError("goals are not numbers of one shape; give an array [P, G]") from None
    if array.ndim != 2 or isinstance(texts, str) or len(array) != len(texts) or not array.size:
        count = "one text" if isinstance(texts, str) else f"{len(texts)} texts"
        raise ShapeError(
            f"got goals {list(array.shape)} and {count}; give goals [P, G] and a list of P texts"
        )
    if not np.isfinite(array).all():
        raise NonFiniteError("a goal is NaN or infinite; leave it out")
    known = {text: n for n, text in enumerate(dict.fromkeys(texts))}
    if len(known) < 2:
        raise DomainError("all texts are the same; give texts that tell goals apart")
    return torch.from_numpy(array), list(known), torch.tensor([known[text] for text in texts])


def _reader(language: LanguageCritic, distinct: list[str]) -> Any:
    """Return a function from numbers of texts [U] to the text encoder's inputs."""
    encoder = language.text
    if not isinstance(encoder, CompactTextEncoder):
        features = encoder.features(distinct)  # of a frozen model: once
        return lambda number, generator: features[number]
    tokens = encoder.tokenise(distinct)  # [U, L]

    def read(number: Tensor, generator: Generator) -> Tensor:
        drawn = tokens[number]
        drawn = drawn[:, : int((drawn != PAD).sum(1).max())]
        return encoder.corrupt(drawn, generator)

    return read


class EmbeddedImages(nn.Module):
    """A language side for goals that are embeddings of images, as ``RenderedGoals`` has them.

    Args:
        model: h(image, text); the one whose ``encode_image`` made the goals.
    """

    def __init__(self, model: LanguageImageModel) -> None:
        super().__init__()
        self.model = model.eval()

    @property
    def understanding(self) -> Understanding | None:
        """What tells texts that mean something; see ``langrl.models.understanding``."""
        return self.model.understanding

    def embed_goals(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Return the goals [N, M, D]: they are embeddings already."""
        return goals

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts [K, 1, D]; raises InstructionError if one cannot be an instruction."""
        return self.model.encode_text(texts).unsqueeze(1)

    def score(self, goals: Tensor, texts: Tensor) -> Tensor:
        """Compare embeddings [..., M, D] and [..., K, 1, D]; returns h [..., M, K] in nats.

        Raises:
            ShapeError: if goals are embeddings of another model.
        """
        return self.model.score(goals, texts.squeeze(-2))
