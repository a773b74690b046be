import pytest
import torch

from langrl.agents.relating import RelatingConfig, RelatingLearner
from langrl.errors import ConfigError
from langrl.models.vae.backbones import BACKBONES
from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.model import build_vae

SIZE = 3 * 16 * 16
IMAGE = ModalityConfig(
    name="image", size=SIZE, likelihood="gaussian", scale=0.3, image=(3, 16, 16), channels=4
)
OTHER = ModalityConfig(name="other", size=5, likelihood="gaussian")


def make(image=IMAGE, backbone="mmvae"):
    config = VaeConfig(modalities=(image, OTHER), backbone=backbone, latent=3, width=8)
    return build_vae(config, 0)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_images_are_encoded_decoded_and_learned_by_convolutions(backbone):
    model, draw = make(backbone=backbone), torch.Generator().manual_seed(0)
    data = {"image": torch.rand(16, SIZE, generator=draw), "other": torch.rand(16, 5)}
    assert model.generate({"image": data["image"]}, draw, 2)["image"].shape == (2, 16, SIZE)
    assert model.iwae(data, draw, 4).shape == (16,)
    config = RelatingConfig(steps=2, batch_size=8)
    learner = RelatingLearner(model, data, config, draw)
    before = model.decoders["image"].layers[-1].weight.clone()
    learner.train()
    assert not torch.equal(before, model.decoders["image"].layers[-1].weight)


def test_channels_double_towards_the_latent():
    sizes = [
        tuple(module.weight.shape[:2])
        for module in make().encoders["image"]
        if isinstance(module, torch.nn.Conv2d)
    ]
    assert sizes == [(4, 3), (8, 4)]


@pytest.mark.parametrize(
    ("changes", "repair"),
    [
        ({"image": (3, 16, 8)}, "give squares of 8"),
        ({"image": (3, 12, 12)}, "give squares of 8"),
        ({"image": (3, 4, 4)}, "give squares of 8"),
        ({"size": 7}, "its image has 768 numbers"),
        ({"image": None}, "no effect without image"),
    ],
)
def test_what_is_no_image_is_refused(changes, repair):
    with pytest.raises(ConfigError, match=repair):
        make(IMAGE.model_copy(update=changes))
