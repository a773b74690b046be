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

_CACHED = 4096  # worlds whose images stay embedded, and texts

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
        self._cache: dict[bytes, Tensor] = {}
        self._texts: dict[str, Tensor] = {}

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
        if key not in self._cache:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            images = self.render(observation, distinct)
            self._cache[key] = self.model.encode_image(images).cpu()
        return self._cache[key][torch.from_numpy(rows.reshape(-1))]

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts [K, 1, D]; raises InstructionError if one cannot be an instruction."""
        if len(texts) != 1 or not isinstance(texts[0], str):
            return self.model.encode_text(texts).unsqueeze(1)
        # Each agent asks for its texts one by one, and the next agents for the same texts.
        if texts[0] not in self._texts:
            if len(self._texts) >= _CACHED:
                self._texts.clear()
            self._texts[texts[0]] = self.model.encode_text(texts)
        return self._texts[texts[0]].unsqueeze(1)

    def score(self, goals: Tensor, texts: Tensor) -> Tensor:
        """Compare embeddings [..., M, D] and [..., K, 1, D]; returns h [..., M, K] in nats."""
        return self.model.score(goals, texts.squeeze(-2))
