"""Settings of encoders and critics; no torch here, so that ``langrl --help`` is quick."""

from typing import Literal

from pydantic import Field

from langrl.settings import Settings

EnergyName = Literal["dot", "cosine", "neg_l2", "neg_half_sq_l2"]


class CriticConfig(Settings):
    """The critic f(s, a, g) and the goal encoder that it shares with the language side."""

    embedding: int = Field(64, ge=1, le=4096, description="numbers in an embedding (D)")
    width: int = Field(64, ge=1, le=8192, description="units in a hidden layer")
    depth: int = Field(3, ge=0, le=32, description="hidden layers")
    state_octaves: int = Field(4, ge=0, le=16, description="Fourier features of a state: octaves")
    goal_octaves: int = Field(6, ge=0, le=16, description="Fourier features of a goal: octaves")
    energy: EnergyName = Field("neg_half_sq_l2", description="how two embeddings are compared")


class TextConfig(Settings):
    """The text encoder."""

    model: str = Field(
        "compact",
        description="'compact' (trained on the spot), or a SentenceTransformer's name or folder",
    )
    width: int = Field(64, ge=1, le=8192, description="units in a hidden layer")
    alternatives: int = Field(
        2, ge=1, le=64, description="embeddings per text: 'a or b' needs one for each side"
    )
    depth: int = Field(2, ge=1, le=32, description="compact: hidden layers over a window of words")
    max_words: int = Field(32, ge=1, le=512, description="compact: words read; the rest is cut off")
    unknown_rate: float = Field(
        0.1, ge=0, lt=1, description="compact: chance in training that a word becomes unknown"
    )
