"""Observations of several modalities with their features.

Axes: ``N`` observations, ``P`` chosen ones.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class MultimodalBatch:
    """Observations of some modalities with their features, by modality [N, ...]."""

    inputs: dict[str, Tensor]
    features: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def only(self, *names: str) -> "MultimodalBatch":
        """Return some of the modalities."""
        return MultimodalBatch(
            {n: self.inputs[n] for n in names}, {n: self.features[n] for n in names}
        )

    def take(self, rows: Tensor) -> "MultimodalBatch":
        """Return the observations of these numbers [P]."""
        return MultimodalBatch(
            {name: value[rows] for name, value in self.inputs.items()},
            {name: value[rows] for name, value in self.features.items()},
        )

    def beside(self, other: "MultimodalBatch") -> "MultimodalBatch":
        """Return the observations with those of other modalities, one by one."""
        return MultimodalBatch(self.inputs | other.inputs, self.features | other.features)
