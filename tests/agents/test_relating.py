import numpy as np
import torch

from langrl.agents.relating import RelatingConfig, RelatingLearner
from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.model import build_vae


def test_it_learns_from_float32_when_float64_is_the_default(float64):
    parts = [ModalityConfig(name=name, size=3, likelihood="gaussian") for name in ("one", "two")]
    model = build_vae(VaeConfig(modalities=tuple(parts), latent=2, width=8), 0)
    drawn = np.random.default_rng(0).normal(size=(2, 20, 3)).astype(np.float32)
    data = dict(zip(("one", "two"), torch.from_numpy(drawn), strict=True))
    config = RelatingConfig(steps=2, batch_size=8)
    learner = RelatingLearner(model, data, config, torch.Generator().manual_seed(0))
    assert np.isfinite(float(learner.update(learner.batch())["loss"]))
    assert {weight.dtype for weight in model.parameters()} == {torch.float64}
