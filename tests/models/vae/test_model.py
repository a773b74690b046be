import math

import pytest
import torch

from langrl.agents.relating import RelatingConfig, RelatingLearner
from langrl.errors import ConfigError, DomainError, NonFiniteError, ShapeError, UnknownNameError
from langrl.functional.generative import importance_weighted
from langrl.models.vae.backbones import BACKBONES
from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.model import build_vae, dreg_by_expert, elbo, iwae, iwae_by_expert
from langrl.models.vae.pairs import pair_log_weights, shared_information
from langrl.reproduce.linear_gaussian import exact_log_likelihood, linear_model, sample_pairs

IMAGE = ModalityConfig(name="image", size=6)
TEXT = ModalityConfig(name="text", size=4, likelihood="categorical")
SOUND = ModalityConfig(name="sound", size=3, likelihood="gaussian")


def make(backbone="mmvae", modalities=(IMAGE, TEXT), seed=0, **settings):
    config = {"latent": 3, "width": 16, **settings}
    return build_vae(VaeConfig(modalities=modalities, backbone=backbone, **config), seed)


def observe(count=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "image": torch.rand(count, 6, generator=generator),
        "text": torch.randint(4, (count, 4), generator=generator).float(),
        "sound": torch.randn(count, 3, generator=generator),
    }


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pick(inputs, *names):
    return {name: inputs[name] for name in names}


# -- every backbone ------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_modalities_and_any_of_them_missing(backbone, count):
    modalities = (IMAGE, TEXT, SOUND)[:count]
    model, inputs = make(backbone, modalities), observe()
    names = [modality.name for modality in modalities]
    subsets = [[name] for name in names] + [names]
    if backbone != "jmvae":
        subsets.append(names[1:])
    for subset in subsets:
        mean, log_scale = model.posterior(pick(inputs, *subset))
        assert mean.shape == (len(subset) if backbone == "mmvae" else 1, 5, 3) == log_scale.shape
        for bound in (model.elbo, model.iwae):
            value = bound(pick(inputs, *subset), seeded(), samples=4)
            assert value.shape == (5,)
            assert value.isfinite().all()
        drawn = model.generate(pick(inputs, *subset), seeded(), samples=3)
        assert {name: value.shape for name, value in drawn.items()} == {
            m.name: (3, 5, m.size) for m in modalities
        }
    from_prior = model.generate({}, seeded(), samples=7)
    assert from_prior["image"].shape == (7, 1, 6)
    torch.testing.assert_close(from_prior["text"].sum(-1), torch.ones(7, 1))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_same_seeds_give_the_same_bits(backbone):
    values = []
    for _ in range(2):
        torch.rand(3)  # the global generator must not matter
        model, inputs = make(backbone, seed=3), pick(observe(), "image", "text")
        learner = RelatingLearner(model, inputs, RelatingConfig(steps=3, batch_size=4), seeded(4))
        learner.train()
        values.append(model.iwae(inputs, seeded(5), 4))
    assert torch.equal(*values)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_more_samples_raise_the_bound(backbone):
    model, inputs = make(backbone), pick(observe(200), "image", "text")
    with torch.no_grad():
        few, more, many = (model.iwae(inputs, seeded(1), k).mean().item() for k in (2, 16, 256))
        lower = model.elbo(inputs, seeded(1), 64).mean().item()
    assert lower < few + 0.05
    assert few < more + 0.02 < many + 0.04


# -- a case that is known exactly ----------------------------------------------------------


def test_with_the_exact_posterior_every_estimate_is_exact():
    model = linear_model("mvae", seeded())
    pairs = sample_pairs(model, 20, seeded(1))
    exact = exact_log_likelihood(model, pairs).float()
    with torch.no_grad():
        torch.testing.assert_close(iwae(model, model.encode(pairs), seeded(2), 1), exact)
        alone = pick(pairs, "x")
        torch.testing.assert_close(
            model.log_marginal(alone, seeded(3), 2), exact_log_likelihood(model, alone).float()
        )
        # the ELBO's KL is exact, its likelihood a mean over latents
        averaged = elbo(model, model.encode(pairs), seeded(4), 20_000)
    torch.testing.assert_close(averaged, exact, atol=0.1, rtol=0)


def test_a_mixtures_estimate_converges_to_the_exact_value_from_below():
    model = linear_model("mmvae", seeded())
    pairs = sample_pairs(model, 100, seeded(1))
    exact = exact_log_likelihood(model, pairs).float()
    with torch.no_grad():
        encoded = model.encode(pairs)
        few, many = (iwae(model, encoded, seeded(2), k) for k in (2, 4096))
        apart = iwae_by_expert(model, encoded, seeded(2), 4096)
    assert (few - exact).mean().item() < -0.1
    torch.testing.assert_close(many, exact, atol=0.15, rtol=0)
    assert (apart <= many + 1e-4).all()  # Jensen: a mean of logs


def exact_matrix(model, pairs):
    """Return log p(x_n, y_m) of all pairs."""
    each = range(len(pairs["x"]))
    every = [
        exact_log_likelihood(model, {"x": pairs["x"][n : n + 1], "y": pairs["y"][m : m + 1]})
        for n in each
        for m in each
    ]
    return torch.cat(every).reshape(len(each), -1)


@pytest.mark.parametrize(("backbone", "error"), [("mvae", 1e-4), ("mmvae", 0.2)])
def test_likelihoods_of_all_pairs_are_exact_by_either_proposal(backbone, error):
    model = linear_model(backbone, seeded())
    pairs = sample_pairs(model, 5, seeded(1))
    exact = exact_matrix(model, pairs).float()
    left, right = pick(pairs, "x"), pick(pairs, "y")
    found = model.log_joint(left, right, seeded(2), 4096)
    torch.testing.assert_close(found, exact, atol=error, rtol=0)
    with torch.no_grad():
        weights = pair_log_weights(model, model.encode(left), model.encode(right), seeded(3), 4096)
    assert weights.shape == (2, 2048, 5, 5)
    torch.testing.assert_close(importance_weighted(weights.flatten(0, 1)), exact, atol=0.2, rtol=0)


def test_three_modalities_are_paired_by_one_proposal_of_each():
    model, inputs = make("mvae", (IMAGE, TEXT, SOUND)), observe(3)
    left, right = (model.encode(pick(inputs, *n)) for n in (["sound"], ["image", "text"]))
    weights = pair_log_weights(model, left, right, seeded(2), 7)
    assert weights.shape == (3, 3, 3, 3)  # 7 is rounded up to 9


def test_information_is_that_of_the_exact_densities():
    model = linear_model("mvae", seeded())
    pairs = sample_pairs(model, 6, seeded(1))
    x, y = pick(pairs, "x"), pick(pairs, "y")
    found = model.pmi(x, y, seeded(2), 4)
    marginals = [exact_log_likelihood(model, side) for side in (x, y)]
    exact = exact_matrix(model, pairs) - marginals[0].unsqueeze(1) - marginals[1]
    torch.testing.assert_close(found, exact.float(), atol=1e-3, rtol=0)
    shared = shared_information(model, pairs, seeded(3), 4)
    torch.testing.assert_close(shared, exact.diagonal().float(), atol=1e-3, rtol=0)


def test_information_is_zero_where_decoders_ignore_the_latent():
    model, inputs = make("mvae"), observe()
    with torch.no_grad():
        for decoder in model.decoders.values():
            decoder[-1].weight.zero_()
        for head in model.backbone.heads.values():  # experts that say nothing: the prior is left
            head.network.weight.zero_()
            head.network.bias.copy_(torch.tensor([0.0] * 3 + [20.0] * 3))
    found = model.pmi(pick(inputs, "image"), pick(inputs, "text"), seeded(), 16)
    torch.testing.assert_close(found, torch.zeros(5, 5), atol=1e-3, rtol=0)


# -- training ------------------------------------------------------------------------------


def related(count, seed=0):
    """Draw pairs of two classes that each modality shows under noise."""
    generator = seeded(seed)
    classes = torch.randint(2, (count,), generator=generator)
    image = 0.1 + 0.8 * torch.nn.functional.one_hot(classes, 6).float()
    image = (image + 0.05 * torch.randn(count, 6, generator=generator)).clamp(0, 1)
    text = 3.0 * torch.nn.functional.one_hot(classes + 1, 4)
    return {"image": image, "text": text}, classes


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("contrast", [False, True])
def test_a_model_learns_to_generate_one_modality_from_the_other(backbone, contrast):
    data, _ = related(256)
    model = make(backbone, width=32)
    config = RelatingConfig(contrast=contrast, steps=150, batch_size=64, learning_rate=1e-2)
    learner = RelatingLearner(model, data, config, seeded())
    first = model.log_marginal(data, seeded(1), 16).mean()
    learner.train()
    assert model.log_marginal(data, seeded(1), 16).mean() > first + 1
    test, classes = related(100, seed=1)
    drawn = model.generate(pick(test, "image"), seeded(2), 4)["text"]
    right = (drawn.argmax(-1) == classes + 1).float().mean()
    assert right > (0.85 if contrast else 0.6)
    scores = model.pmi(pick(test, "image"), pick(test, "text"), seeded(3), 32)
    same = classes.unsqueeze(1) == classes
    assert scores[same].mean() > scores[~same].mean() + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"proposal": "posterior", "negatives": 3},
        {"objective": "elbo"},
        {"negatives": 2},
        {"with_positive": True},
        {"both_ways": False},
        {"hardest": 2},
        {"warm_up": 0.5},
        {"gamma": 3.0},
        {"samples": 8},
        {"contrast": False},
        {"weight_decay": 0.5},
        {"learning_rate": 1e-2},
        {"batch_size": 7},
    ],
)
def test_every_setting_of_training_has_an_effect(changes):
    data, _ = related(32)
    trained = []
    for settings in ({}, changes):
        model = make("mmvae", depth=1)
        config = RelatingConfig(steps=3, batch_size=8).model_copy(update=settings)
        RelatingLearner(model, data, config, seeded()).train()
        trained.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert trained[0].isfinite().all()
    assert not torch.equal(*trained)


def test_three_modalities_are_contrasted_each_with_the_others():
    model = make("mvae", (IMAGE, TEXT, SOUND))
    learner = RelatingLearner(model, observe(16), RelatingConfig(steps=2), seeded())
    assert learner.update(learner.batch())["loss"].isfinite()


def test_an_epoch_has_every_pair_once():
    data, _ = related(12)
    data["image"][:, 5] = torch.arange(12) / 12
    learner = RelatingLearner(make(), data, RelatingConfig(batch_size=4, steps=9), seeded())
    seen = torch.cat([learner.batch()["image"][:, 5] for _ in range(3)])
    torch.testing.assert_close(seen.sort().values, torch.arange(12) / 12)


def test_training_resumes_bit_for_bit_in_the_middle_of_an_epoch():
    data, _ = related(12)
    config = RelatingConfig(batch_size=4, steps=5)
    whole, begun, resumed = (
        RelatingLearner(make(), data, config, seeded(seed)) for seed in (0, 0, 1)
    )
    whole.train()
    for _ in range(2):
        begun.update(begun.batch())
    resumed.load_state(begun.state())
    resumed.train()
    ours, theirs = whole.state(), resumed.state()
    assert ours.keys() == theirs.keys() == {"weights", "optimizer", "experience"}
    for name, part in ours.items():
        assert all(torch.equal(value, theirs[name][key]) for key, value in part.items())


def test_the_weight_of_the_divergence_has_an_effect():
    data, _ = related(16)
    losses = []
    for weight in (0.1, 1.0):
        model = make("jmvae", kl_weight=weight)
        learner = RelatingLearner(model, data, RelatingConfig(contrast=False), seeded())
        losses.append(learner.update(learner.batch())["loss"])
    assert losses[1] > losses[0]


# -- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"modalities": (IMAGE,)}, ConfigError, "two or more"),
        ({"modalities": (IMAGE, IMAGE)}, ConfigError, "'image' is there twice"),
        ({"backbone": "mvea"}, UnknownNameError, "did you mean 'mvae'"),
        ({"kl_weight": 0.5}, ConfigError, "kl_weight has no effect on mmvae"),
        (
            {"modalities": (IMAGE, TEXT.model_copy(update={"likelihood": "poisson"}))},
            UnknownNameError, "no likelihood named 'poisson'",
        ),
        (
            {"modalities": (IMAGE, TEXT.model_copy(update={"scale": 0.5}))},
            ConfigError, "text.scale has no effect on categorical",
        ),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_built_says_why(settings, error, message):
    with pytest.raises(error, match=message):
        make(**settings)


def test_wrong_observations_are_named_with_the_repair():
    model, inputs = make(), observe()
    with pytest.raises(DomainError, match="no modality is given"):
        model.posterior({})
    with pytest.raises(UnknownNameError, match="no modality named 'sound'"):
        model.posterior(pick(inputs, "sound"))
    with pytest.raises(ShapeError, match=r"differ in their number: .*give whole pairs"):
        model.posterior({"image": inputs["image"], "text": inputs["text"][:3]})
    with pytest.raises(DomainError, match=r"image is in .*rescale"):
        model.posterior({"image": 2 + inputs["image"]})
    with pytest.raises(DomainError, match="text is in"):
        model.posterior({"text": -1 - inputs["text"]})
    with pytest.raises(NonFiniteError, match="image holds NaN"):
        model.elbo({"image": math.nan * inputs["image"]}, seeded())
    with pytest.raises(DomainError, match="image is left and right"):
        model.log_joint(pick(inputs, "image"), pick(inputs, "image"), seeded())
    with pytest.raises(DomainError, match="one or all of them"):
        make("jmvae", (IMAGE, TEXT, SOUND)).posterior(pick(inputs, "image", "sound"))


def test_data_that_cannot_be_trained_on_is_refused():
    data, _ = related(8)
    with pytest.raises(DomainError, match="text is missing"):
        RelatingLearner(make(), pick(data, "image"), RelatingConfig(), seeded())
    mixed = data | {"text": data["text"][:5]}
    with pytest.raises(ShapeError, match="whole pairs"):
        RelatingLearner(make(), mixed, RelatingConfig(), seeded())
    one = {name: value[:1] for name, value in data.items()}
    with pytest.raises(DomainError, match="two related pairs"):
        RelatingLearner(make(), one, RelatingConfig(), seeded())
    with pytest.raises(UnknownNameError, match="did you mean 'elbo'"):
        RelatingLearner(make(), data, RelatingConfig(objective="elbow"), seeded())


def test_doubly_reparameterised_gradients_are_those_of_the_bound_on_average_with_less_noise():
    model = linear_model("mvae", seeded())
    pairs = sample_pairs(model, 3, seeded(1))
    with torch.no_grad():  # no longer the exact posterior
        for parameter in model.backbone.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=seeded(2))
    weight = next(model.backbone.parameters())
    decoder = next(model.decoders.parameters())

    def gradients(bound, at):
        model.zero_grad()
        bound(model, model.encode(pairs), seeded(at), 128).sum().backward()
        return weight.grad.clone(), decoder.grad.clone()

    def drawn(bound):
        return map(torch.stack, zip(*(gradients(bound, at) for at in range(300)), strict=True))

    (plain, plain_decoder), (doubly, doubly_decoder) = drawn(iwae_by_expert), drawn(dreg_by_expert)
    torch.testing.assert_close(doubly_decoder, plain_decoder)  # the same samples, the same bound
    error = (plain.var(0) / len(plain) + doubly.var(0) / len(plain)).sqrt()
    assert ((doubly - plain).mean(0).abs() < 5 * error + 1e-6).all()
    assert doubly.var(0).sum() < 0.7 * plain.var(0).sum()
