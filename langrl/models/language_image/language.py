"""h(g, l) of goals that are rendered as images, by a language-image model.

Axes: ``N`` episodes, ``M`` candidate goals, ``K`` texts, ``J`` alternatives of a text (one here),
``D`` embedding size.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from langrl.models.language_image.model import LanguageImageModel
from langrl.protocols import as_texts

_CACHED = 64 << 20  # bytes of embedded images that stay; those that were used last
_TEXTS = 2 << 20  # and of embedded texts

Render = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.uint8]]


class RecentTensors:
    """Keeps the tensors that were used last, by a key of bytes; for several threads.

    A copy keeps nothing yet.

    Args:
        most: how many bytes are kept, keys and tensors; the newest tensor in any case.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self.clear()

    def __reduce__(self) -> tuple[type["RecentTensors"], tuple[int]]:
        """Describe a copy."""
        return RecentTensors, (self._most,)

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept)

    def get(self, key: bytes, make: Callable[[], Tensor]) -> Tensor:
        """Return the tensor of a key, which is made if it is not kept."""
        with self._lock:
            found = self._take(key)
        made = make() if found is None else found  # others need not wait for it
        with self._lock:
            self._take(key)  # another thread may have made it, too
            self._kept[key] = made
            self.bytes += len(key) + made.nbytes
            while self.bytes > self._most and len(self._kept) > 1:
                self._take(next(iter(self._kept)))
        return made

    def _take(self, key: bytes) -> Tensor | None:
        found = self._kept.pop(key, None)
        if found is not None:
            self.bytes -= len(key) + found.nbytes
        return found

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept = dict[bytes, Tensor]()  # in the order of their last use
            self.bytes = 0


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
        return self._texts.get(key, lambda: self.model.encode_text(given)).unsqueeze(1)

    def score(self, goals: Tensor, texts: Tensor) -> Tensor:
        """Compare embeddings [..., M, D] and [..., K, 1, D]; returns h [..., M, K] in nats."""
        return self.model.score(goals, texts.squeeze(-2))
