import numpy as np
import pytest
import torch

from langrl.agents.language_image import LanguageImageLearner, from_bytes, to_bytes
from langrl.data.images.grid_scenes import ImageTexts, world_batch
from langrl.envs.grid.grammar import write
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.errors import NonFiniteError
from langrl.models.config import ImageTowerConfig, LanguageImageConfig, TextTowerConfig
from langrl.models.language_image.model import TowersDescription, build_language_image_model
from langrl.models.language_image.patch_init import whiten_patches

SIZES = LanguageImageConfig(
    embedding=16,
    image=ImageTowerConfig(channels=32, depth=2, queries=2),
    text=TextTowerConfig(width=32, depth=1, queries=2, buckets=256),
)


def draw(step):
    return world_batch(
        GRID_WORLDS["goto"], lambda m, g: write(m, g, "seen"), np.random.default_rng(step),
        rooms=8, images=6, texts=3, levels=("full", "colour", "type"), labels=True,
    )  # fmt: skip


def make(steps=60, draw_batch=draw, **settings):
    model = build_language_image_model(TowersDescription(config=SIZES), seed=0)
    generator = torch.Generator().manual_seed(0)
    whiten_patches(model.pair.image, torch.from_numpy(draw(0).images), generator)
    return LanguageImageLearner(model, draw_batch, steps=steps, learning_rate=5e-3, **settings)


def run(learner, steps):
    return [learner.update(learner.batch()) for _ in range(steps)]


def test_texts_survive_as_bytes():
    texts = ["go to the red ball", "", "naïve café — 球"]
    assert from_bytes(to_bytes(texts)) == texts


def test_it_learns_to_tell_images_apart():
    metrics = run(make(steps=200, logistic_weight=0.1), 200)
    first, last = (
        np.mean([float(m["information"]) for m in part]) for part in (metrics[:5], metrics[-10:])
    )
    assert first < 0.5
    assert last > 0.9  # nats; facing something or nothing alone is log 2


def test_a_text_without_a_rival_image_is_an_error_and_changes_no_weight():
    drawn = draw(0)
    learner = make(draw_batch=lambda step: ImageTexts(
        drawn.images, drawn.texts, np.ones_like(drawn.positives)
    ))  # fmt: skip
    before = {name: value.clone() for name, value in learner.optimiser.parameters.items()}
    with pytest.raises(ValueError, match="no negative"):
        learner.update(learner.batch())
    assert all(
        torch.equal(before[name], value) for name, value in learner.optimiser.parameters.items()
    )


def test_a_gradient_that_is_not_finite_changes_no_weight():
    learner = make()
    with torch.no_grad():
        learner.model.pair.image.patches.weight[0, 0, 0, 0] = torch.nan
    kept = learner.model.pair.text.positions.clone()
    with pytest.raises(NonFiniteError):
        learner.update(learner.batch())
    assert torch.equal(kept, learner.model.pair.text.positions)
    assert learner.step == 0


def test_the_logistic_weight_counts():
    with_it, without = (make(logistic_weight=w).update(draw_tensors()) for w in (1.0, 0.0))
    assert with_it["loss"] > without["loss"]
    assert "matching" not in without


def draw_tensors():
    return make().batch()


def test_going_on_from_a_state_gives_the_same_bits():
    straight = make()
    run(straight, 6)
    first = make()
    run(first, 3)
    state = {
        name: {key: value.clone().contiguous() for key, value in part.items()}  # as stored
        for name, part in first.state().items()
    }
    second = make()
    second.load_state(state)
    run(second, 3)
    for name, value in straight.optimiser.parameters.items():
        assert torch.equal(value, second.optimiser.parameters[name]), name


def test_the_learning_rate_rises_and_falls():
    learner = make(steps=100)
    rates = []
    for step in (0, 2, 50, 99):
        learner.optimiser.step = step
        run(learner, 1)
        rates.append(
            learner.optimiser.optimizer.param_groups[0]["lr"] / learner.optimiser.learning_rate
        )
    assert rates[0] < rates[1]
    assert rates[1] > rates[2] > rates[3]
    assert rates[3] < 0.001


def test_whitened_patches_have_unit_variance_where_images_vary():
    model = build_language_image_model(TowersDescription(config=SIZES), seed=0)
    images = torch.from_numpy(draw(0).images)
    whiten_patches(model.pair.image, images, torch.Generator().manual_seed(0))
    with torch.no_grad():
        bright = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        patches = model.pair.image.patches(bright).permute(0, 2, 3, 1).flatten(0, 2)
    variances = torch.linalg.eigvalsh(patches.T.cov()).flip(0)
    assert patches.mean(0).abs().max() < 1e-2
    assert variances[:4].tolist() == pytest.approx([1.0] * 4, rel=0.02)


def test_labels_are_learned_from_embeddings():
    learner = make(steps=60, label_weight=1.0)
    metrics = run(learner, 60)
    naming = [float(m["naming"]) for m in metrics]
    assert np.mean(naming[-5:]) < 0.6 * naming[0]
    assert "naming" not in make().update(draw_tensors())


def test_label_heads_resume_bit_for_bit():
    one, other = make(label_weight=1.0), make(label_weight=1.0)
    run(one, 3)
    other.load_state(one.state())
    for learner in (one, other):
        run(learner, 2)
    for name, value in one.optimiser.parameters.items():
        assert torch.equal(value, other.optimiser.parameters[name]), name


def test_weights_of_the_layers_that_name_labels_depend_on_the_seed_alone():
    torch.manual_seed(1)
    one = make(label_weight=0.1).labels.shown.weight
    torch.manual_seed(2)
    same, other = (make(label_weight=0.1, seed=seed).labels.shown.weight for seed in (0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_it_learns_when_float64_is_the_default(float64):
    learner = make()
    assert np.isfinite([float(metrics["loss"]) for metrics in run(learner, 2)]).all()
