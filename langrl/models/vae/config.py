"""Settings of multimodal variational autoencoders; no torch here."""

from pydantic import Field

from langrl.settings import Settings


class ModalityConfig(Settings):
    """One modality: what its observations are, and how they are distributed given a latent."""

    name: str = Field(min_length=1, pattern=r"^[^.]+$", description="what it is called")
    size: int = Field(ge=1, le=1_000_000, description="numbers in an observation (X)")
    likelihood: str = Field("bernoulli", description="bernoulli, gaussian or categorical")
    scale: float | None = Field(
        None, gt=0, description="gaussian: its standard deviation; learned if not given"
    )
    image: tuple[int, int, int] | None = Field(
        None, description="colours, height and width, for convolutions; else perceptrons"
    )
    channels: int = Field(
        32, ge=1, le=1024, description="image: of the convolution nearest to it; deeper ones double"
    )


class VaeConfig(Settings):
    """A multimodal variational autoencoder."""

    modalities: tuple[ModalityConfig, ...] = Field(description="two or more")
    backbone: str = Field(
        "mmvae", description="mvae (product of experts), mmvae (mixture) or jmvae (joint encoder)"
    )
    latent: int = Field(16, ge=1, le=4096, description="numbers in a latent (D)")
    width: int = Field(64, ge=1, le=8192, description="units in a hidden layer")
    depth: int = Field(1, ge=0, le=32, description="hidden layers of encoders and decoders")
    kl_weight: float = Field(
        0.1, ge=0, description="jmvae: weight of the KL between the joint and the unimodal encoders"
    )
