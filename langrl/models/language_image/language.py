"""h(g, l) of goals that are rendered as images, by a language-image model.

Axes: ``N`` episodes, ``M`` candidate goals, ``K`` texts, ``J`` alternatives of a text (one here),
``D`` embedding size.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from langrl.models.language_image.model import LanguageImageModel
from langrl.models.language_image.recent import RecentTensors
from langrl.models.understanding import Understanding
from langrl.protocols import as_texts

_CACHED = 64 << 20  # bytes of embedded images that stay; those that were used of late
_TEXTS = 2 << 20  # and of embedded texts

Render = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.uint8]]


class ImageLanguage(nn.Module):
    """A language side for ``GroundedAgent`` whose goals are embedded through their images.

    Args:
        render: draws goals [M, S] of the world of one observation, as images uint8 [M, H, W, 3].
        seen: returns the part of an observation that the images depend on; all of it by default.
    """

    def __init__(
        self,
        model: LanguageImageModel,
        render: Render,
        seen: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray,
    ) -> None:
        super().__init__()
        self.model, self.render, self.seen = model, render, seen
        self._cache = RecentTensors(_CACHED)
        self._texts = RecentTensors(_TEXTS)

    @property
    def understanding(self) -> Understanding | None:
        """What tells texts that mean something; see ``langrl.models.understanding``."""
        return self.model.understanding

    @torch.no_grad()
    def embed_goals(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals [N, M, S], each world's once; returns [N, M, D]."""
        pairs = zip(observations.cpu().numpy(), goals.cpu().numpy(), strict=True)
        embedded = [self._embed_world(observation, listed) for observation, listed in pairs]
        return torch.stack(embedded).to(goals.device)

    def _embed_world(self, observation: NDArray[Any], goals: NDArray[Any]) -> Tensor:
        distinct, rows = np.unique(goals, axis=0, return_inverse=True)
        # Not the images themselves: drawing them takes as long as all that follows.
        key = self.seen(observation).tobytes() + distinct.tobytes()
        embedded = self._cache.get(
            key, lambda: self.model.encode_image(self.render(observation, distinct)).cpu()
        )
        return embedded[torch.from_numpy(rows.reshape(-1))]

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts [K, 1, D]; raises InstructionError if one cannot be an instruction."""
        given = as_texts(texts)
        if len(given) != 1:
            return self.model.encode_text(given).unsqueeze(1)
        # Each agent asks for its texts one by one, and the next agents for the same texts.
        key = given[0].encode(errors="surrogatepass")
        kept = self._texts.get(key, lambda: self.model.encode_text(given))
        return kept.unsqueeze(1).clone()  # whoever keeps it keeps none of the cache's memory

    def score(self, goals: Tensor, texts: Tensor) -> Tensor:
        """Compare embeddings [..., M, D] and [..., K, 1, D]; returns h [..., M, K] in nats."""
        return self.model.score(goals, texts.squeeze(-2))
