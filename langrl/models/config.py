"""Settings of encoders and critics; no torch here, so that ``langrl --help`` is quick."""

from typing import Literal, Self

from pydantic import Field, model_validator

from langrl.renamed.aliases import names_of
from langrl.settings import Reference, Settings

EnergyName = Literal["dot", "cosine", "neg_l2", "neg_half_sq_l2"]


class CriticConfig(Settings):
    """The critic f(s, a, g) and the goal encoder that it shares with the language side."""

    embedding: int = Field(64, ge=1, le=4096, description="numbers in an embedding (D)")
    width: int = Field(64, ge=1, le=8192, description="units in a hidden layer")
    depth: int = Field(3, ge=0, le=32, description="hidden layers")
    state_octaves: int = Field(4, ge=0, le=16, description="Fourier features of a state: octaves")
    goal_octaves: int = Field(6, ge=0, le=16, description="Fourier features of a goal: octaves")
    energy: EnergyName = Field("neg_half_sq_l2", description="how two embeddings are compared")


class GridCriticConfig(Settings):
    """The critic f(s, a, g) of grid worlds, between poses of one room."""

    embedding: int = Field(64, ge=1, le=4096, description="numbers in an embedding (D)")
    channels: int = Field(48, ge=1, le=1024, description="features of a cell")
    depth: int = Field(5, ge=0, le=64, description="residual 3x3 convolutions; how far it sees")
    width: int = Field(128, ge=1, le=8192, description="units in a hidden layer of the heads")
    energy: EnergyName = Field("neg_half_sq_l2", description="how two embeddings are compared")


class TextConfig(Settings):
    """The text encoder."""

    refers = {"model": Reference("model", ("compact",))}

    model: str = Field(
        "compact",
        description="'compact' (trained in the run), or a SentenceTransformer's name or folder",
    )
    width: int = Field(64, ge=1, le=8192, description="units in a hidden layer")
    alternatives: int = Field(
        2, ge=1, le=64, description="embeddings per text: 'a or b' needs one for each side"
    )
    depth: int = Field(2, ge=1, le=32, description="compact: hidden layers over a window of words")
    max_words: int = Field(
        32, ge=1, le=512, description="compact: words that are read; longer texts are refused"
    )
    unknown_rate: float = Field(
        0.1, ge=0, lt=1, description="compact: chance in training that a word becomes unknown"
    )
    words: Literal["own", "distilled"] = Field(
        "own",
        description="compact: words beside those of training are unknown ('own'), or known by their"
        " rows in the bundled word table ('distilled')",
    )
    hidden_rate: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="compact, distilled: chance in training that of a word only"
        " its row in the table is seen",
    )
    idle_rate: float = Field(
        0.0,
        ge=0,
        le=1,
        description="compact, distilled: chance in training that a text stands beside words of the"
        " table that say nothing",
    )
    exclusions: bool = Field(
        False,
        description="compact: each of a text's embeddings may also be of a region that it excludes,"
        " as 'not row 3' does",
    )


class ImageTowerConfig(Settings):
    """The compact image tower: patches, residual convolutions, attention pooling."""

    patch: int = Field(
        8, ge=1, le=64, description="pixels along a patch's side; grid worlds draw 8-pixel tiles"
    )
    channels: int = Field(96, ge=8, le=1024, multiple_of=8, description="numbers per patch")
    depth: int = Field(4, ge=0, le=32, description="residual 3x3 convolutions over patches")
    queries: int = Field(4, ge=1, le=64, description="learned queries that pool the patches")


class TextTowerConfig(Settings):
    """The text tower of a language-image model."""

    refers = {"model": Reference("model", ("compact",))}

    model: str = Field(
        "compact", min_length=1, description="'compact', or a SentenceTransformer's name or folder"
    )
    width: int = Field(
        128, ge=8, le=1024, multiple_of=4, description="numbers per word; a named model: head units"
    )
    depth: int = Field(2, ge=0, le=32, description="compact: transformer layers")
    queries: int = Field(4, ge=1, le=64, description="compact: learned queries that pool the words")
    buckets: int = Field(
        4096, ge=1, le=1 << 20, description="compact: embeddings that character trigrams share"
    )
    max_words: int = Field(
        48, ge=1, le=512, description="compact: words that are read; longer texts are refused"
    )


class LanguageImageConfig(Settings):
    """A language-image model of two towers."""

    embedding: int = Field(64, ge=1, le=4096, description="numbers in an embedding (D)")
    image: ImageTowerConfig = Field(ImageTowerConfig(), description="the image tower")
    text: TextTowerConfig = Field(TextTowerConfig(), description="the text tower")


class CpcConfig(Settings):
    """Contrastive predictive coding: sizes of encoder, context and critics."""

    embedding: int = Field(64, ge=1, le=4096, description="numbers in an observation's code z (D)")
    context: int = Field(128, ge=1, le=4096, description="numbers in a context c (C)")
    horizon: int = Field(8, ge=1, le=256, description="steps ahead that are predicted, 1 to K")
    width: int = Field(128, ge=1, le=8192, description="units in a hidden layer of the encoder")
    depth: int = Field(2, ge=0, le=32, description="hidden layers of the encoder")


class RecurrentCriticConfig(Settings):
    """The critic f(h, a, g) of agents that see a part of the world, on top of the history h."""

    embedding: int = Field(64, ge=1, le=4096, description="numbers in an embedding (D)")
    width: int = Field(256, ge=1, le=8192, description="units in a hidden layer")
    depth: int = Field(2, ge=0, le=32, description="hidden layers")
    energy: EnergyName = Field("neg_half_sq_l2", description="how two embeddings are compared")
    view_width: int = Field(
        0,
        ge=0,
        le=8192,
        description="units in a hidden layer of what judges moves towards each cell in view, by"
        " which cells are free; 0: none",
    )


class HistoryConfig(Settings):
    """The encoder of the agent's observations and actions so far."""

    refers = {"start": Reference("start")}

    memory: bool = Field(True, description="remember; without it, only the present view counts")
    start: str | None = Field(
        None, description="run folder of `langrl pretrain --method cpc` to start from; else new"
    )
    frozen: bool = Field(False, description="start: leave encoder and memory as they are")
    model: CpcConfig = Field(CpcConfig(), description="sizes of a new one")

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.frozen and self.start is None:
            raise ValueError("history.frozen needs a trained model; set history.start")
        return self


class GoalNetworkConfig(Settings):
    """Sizes of a network of goal-reaching agents."""

    width: int = Field(256, ge=1, le=8192, description="units in a hidden layer")
    depth: int = Field(2, ge=0, le=1024, description="hidden layers")
    residual: bool = Field(
        False, description="add what a block of four layers is given to what it gives; depth / 4"
    )
    layer_norm: bool = Field(True, description="normalise each hidden layer")
    activation: Literal["relu", "silu", "gelu"] = Field("silu", description="of hidden layers")
    scaled: bool = Field(True, description="bring vectors from their range to -1 ... 1 at first")
    random_features: int = Field(
        0, ge=0, le=65536, description="Fourier features of vectors along so many random directions"
    )
    feature_length: float = Field(
        1.0,
        gt=0,
        description="of the random features: the distance over which one changes by about a radian,"
        " in units of the vector, such as half a corridor's width",
    )

    @model_validator(mode="after")
    def _has_whole_blocks(self) -> Self:
        if self.residual and (self.depth % 4 or not self.depth):
            raise ValueError(f"depth counts four layers a residual block, got {self.depth}; use 4")
        return self


class StateGoalCriticConfig(GoalNetworkConfig):
    """The critic f(s, a, g) of goal-reaching agents: an encoder of each side."""

    embedding: int = Field(64, ge=1, le=4096, description="numbers in an embedding (D)")
    state_octaves: int = Field(0, ge=0, le=16, description="Fourier features of a state: octaves")
    goal_octaves: int = Field(0, ge=0, le=16, description="Fourier features of a goal: octaves")
    action_joins: Literal["early", "late"] = Field(
        "late",
        description="early: beside the state; late: at the last hidden layer, so that comparing"
        " many actions in one state costs little",
    )
    energy: EnergyName = Field("neg_half_sq_l2", description="how two embeddings are compared")
    temperature: Literal["learned", "fixed"] = Field("learned", description="of the energy")
    scale: float = Field(
        1.0, gt=0, le=1000, description="what energies are multiplied by, at first or always"
    )
    critics: int = Field(
        1, ge=1, le=64, description="critics side by side; the least of their scores counts"
    )


class ActorConfig(GoalNetworkConfig):
    """The actor of goal-reaching agents."""

    kind: Literal["actor", "compare"] = Field(
        "actor",
        description="actor: a network proposes (tanh-Gaussian, or categorical where actions are"
        " discrete); compare: none, the critic compares actions",
    )
    octaves: int = Field(0, ge=0, le=16, description="actor: Fourier features of state and goal")
    bounds: Literal["tanh", "clip"] = Field(
        "tanh", description="actor of a box: how its Gaussian is brought into -1 ... 1"
    )
    log_std_low: float = Field(-5.0, ge=-20, description="actor: least log standard deviation")
    log_std_high: float = Field(2.0, le=10, description="actor: largest log standard deviation")
    compared: int = Field(
        16, ge=2, le=4096, description="compare: actions of a box that are compared in a state"
    )
    temperature: float = Field(
        1.0, gt=0, le=100, description="compare: of the softmax of scores that actions come from"
    )

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if self.log_std_low > self.log_std_high:
            raise ValueError(
                f"actor.log_std_low is {self.log_std_low} and log_std_high {self.log_std_high};"
                " exchange them"
            )
        return self


__getattr__ = names_of(__name__)
