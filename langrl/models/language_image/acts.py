"""h(g, l) of goals that say what is done: the image of the pose, and the verb.

Axes: ``N`` episodes, ``M`` candidate goals, ``K`` texts, ``D`` embedding size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from langrl.envs.grid.rooms import AHEAD, ahead
from langrl.envs.minigrid_levels.places import PLACES, cells_of_places, split_place
from langrl.envs.minigrid_levels.reading import ACTIONS, as_rooms
from langrl.envs.minigrid_levels.tasks import acts_of
from langrl.models.critics.level import NEVER, acts_one_hot
from langrl.models.language_image.language import ImageLanguage

_LARGEST = 16  # cells along a side of levels that are drawn whole
_OF_A_KIND = 2  # numbers of a type and a colour


class ActLanguage(nn.Module):
    """A language side of goals that say what is done: poses [4], or types and colours [3].

    The language-image model says how well a text fits the image of a pose. Which actions the text
    may ask for is read from its verb, by ``langrl.envs.minigrid_levels.tasks``, and where, as "on
    your left", by ``places``; where only a part is seen, places are not known. Large levels are
    not drawn whole, a thousand times: there, the image of a pose shows what it faces, alone.

    Args:
        language: of images of poses in a room.
        kinds: of images of types and colours.
    """

    def __init__(self, language: ImageLanguage, kinds: ImageLanguage) -> None:
        super().__init__()
        self.language, self.kinds = language, kinds

    def embed_goals(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals [N, M, 4 or 3]; returns [N, M, D + actions + places]."""
        where = goals[..., :-1]
        if where.shape[-1] == _OF_A_KIND:
            embedded = self.kinds.embed_goals(observations, where)
        else:
            embedded = self._embed_poses(observations, where)
        acts = acts_one_hot(goals[..., -1], embedded)
        return torch.cat([embedded, acts, _elsewhere(observations, where).to(embedded)], -1)

    def _embed_poses(self, observations: Tensor, poses: Tensor) -> Tensor:
        levels = observations.cpu().numpy().astype(np.uint8)
        rooms = torch.from_numpy(as_rooms(levels)).to(poses.device)  # nothing is carried there
        if max(rooms.shape[1:3]) > _LARGEST:
            return self.kinds.embed_goals(rooms, _faced(rooms, poses))
        return self.language.embed_goals(rooms, poses)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts [K, 1, D + actions + places]; errors as of the language-image model's."""
        parts = [split_place(text) for text in texts]
        rests = [
            rest if rest.strip() else text for text, (rest, _) in zip(texts, parts, strict=True)
        ]
        embedded = self.language.encode_text(rests)
        named = torch.tensor([[[NEVER * (place == name) for name in PLACES]] for _, place in parts])
        acts = torch.full((len(texts), 1, len(ACTIONS)), NEVER).to(embedded)
        for row, text in zip(acts, texts, strict=True):
            row[0, list(acts_of(text))] = 0
        return torch.cat([embedded, acts, named.to(embedded)], -1)

    def score(self, goals: Tensor, texts: Tensor) -> Tensor:
        """Compare embeddings [..., M, any] and [..., K, 1, any]; returns h [..., M, K] in nats."""
        size = goals.shape[-1] - len(ACTIONS) - len(PLACES)
        images = self.language.score(goals[..., :size], texts[..., :size])
        return images + goals[..., size:] @ texts[..., size:].squeeze(-2).mT


def _elsewhere(observations: Tensor, poses: Tensor) -> Tensor:
    """Return which places the cell that a pose faces is not in, bool [N, M, places].

    Of kinds of object [N, M, 2], it is not known: False.
    """
    if poses.shape[-1] == _OF_A_KIND:
        return torch.zeros((*poses.shape[:2], len(PLACES)), dtype=torch.bool)
    places = cells_of_places(observations.cpu().numpy().astype(np.uint8))  # [N, places, H, W]
    row, column = ahead(poses.long().cpu().numpy())  # [N, M] each
    each = np.arange(len(places))[:, None]
    return torch.from_numpy(~places[each, :, row, column])


def _faced(observations: Tensor, poses: Tensor) -> Tensor:
    """Return the type and the colour [N, M, 2] of what poses [N, M, 3] face."""
    ahead = poses[..., :2] + torch.from_numpy(AHEAD).to(poses.device)[poses[..., 2].long()]
    row, column = ahead.long().unbind(-1)
    each = torch.arange(len(poses), device=poses.device).unsqueeze(1)
    return observations[each, row, column, :2]
