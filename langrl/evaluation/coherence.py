"""Coherence of multimodal generative models: four measures, and a threshold on scores of pairs.

Generated observations are named by classifiers, one per modality, that were trained on labelled
observations which the generative model has not seen.

Axes: ``N`` observations, ``X`` numbers in one, ``C`` classes, ``D`` numbers in a latent.

Source: Shi et al. 2019, arXiv:1911.03393, section 4; Shi et al. 2021, arXiv:2007.01179, section 5.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.errors import ShapeError
from langrl.models.vae.config import ModalityConfig
from langrl.models.vae.model import MultimodalVAE
from langrl.models.vae.towers import build_encoder
from langrl.training.optim import Batch, Optimiser, constant_schedule
from langrl.training.seeding import seeded

Classify = Callable[[Tensor], Tensor]
Observations = Mapping[str, Tensor]
_RIDGE = 1e-2  # of the linear probe, as a share of the mean variance
_CHANNELS = 16  # of the first convolution
_AT_ONCE = 2000  # observations named at once, to save memory
_WIDTH, _STEPS, _BATCH, _RATE, _JITTER = 128, 800, 128, 2e-3, 0.05


def train_classifier(
    x: Tensor,
    labels: Tensor,
    classes: int,
    seed: int,
    image: tuple[int, int, int] | None = None,
) -> Classify:
    """Train a classifier on observations [N, X] of C ``classes``.

    It has one hidden layer; convolutions before it if observations are an ``image`` of so many
    colours, rows and columns. Labels are int64 [N], below C; the seed is of weights and batches.

    Returns:
        A function of observations [..., X] that returns labels [...].

    Raises:
        ShapeError: if there is not one label for each observation.
        NonFiniteError: if an observation is NaN or infinite.
        ConfigError: if ``image`` is not one that ``towers.build_encoder`` takes.
    """
    _check_labels(x, labels)
    generator = torch.Generator(x.device).manual_seed(seed)
    with seeded(seed):
        convolutions = {"image": image, "channels": _CHANNELS} if image else {}
        modality = ModalityConfig(name="x", size=x.shape[1], **convolutions)
        hidden, features = build_encoder(modality, _WIDTH, 1)
        network = nn.Sequential(hidden, nn.Linear(features, classes)).to(x.device)

    def loss(batch: Batch) -> tuple[Tensor, Batch]:
        return functional.cross_entropy(network(batch["x"]), batch["labels"]), {}

    weights = dict(network.named_parameters())
    optimiser = Optimiser(weights, _RATE, constant_schedule, weight_decay=1e-2)
    for _ in range(_STEPS):
        rows = torch.randint(len(x), (_BATCH,), generator=generator, device=x.device)
        noise = torch.randn(_BATCH, x.shape[1], generator=generator, device=x.device)
        optimiser.update({"x": x[rows] + _JITTER * noise, "labels": labels[rows]}, loss)
    network.requires_grad_(False)

    def classify(given: Tensor) -> Tensor:
        named = [network(part).argmax(-1) for part in given.flatten(0, -2).split(_AT_ONCE)]
        return torch.cat(named).reshape(given.shape[:-1])

    return classify


def _check_labels(x: Tensor, labels: Tensor) -> None:
    if labels.shape != x.shape[:1]:
        raise ShapeError(
            f"labels must be [{len(x)}], got {list(labels.shape)}; give one for each observation"
        )


@torch.no_grad()
def latent_accuracy(
    model: MultimodalVAE,
    train: Observations,
    train_labels: Tensor,
    test: Observations,
    test_labels: Tensor,
) -> dict[str, float]:
    """Return how often a linear probe names the class from each modality's latent, in [0, 1].

    The probe is ridge regression on posterior means given that modality alone, onto one-hot labels.
    Observations are by modality [N, X], labels int64 [N].
    """
    accuracies = {}
    for name in model.names:
        fitted, given = (_means(model, name, inputs[name]) for inputs in (train, test))
        _check_labels(fitted, train_labels)
        _check_labels(given, test_labels)
        targets = functional.one_hot(train_labels).to(fitted.dtype)  # [N, C]
        square = fitted.mT @ fitted
        square.diagonal().add_(_RIDGE * square.diagonal().mean())
        weights = torch.linalg.solve(square, fitted.mT @ targets)  # [D + 1, C]
        accuracies[name] = _share((given @ weights).argmax(-1), test_labels)
    return accuracies


def _means(model: MultimodalVAE, name: str, x: Tensor) -> Tensor:
    mean = model.posterior({name: x})[0][0]
    intercept = mean.new_ones(len(mean), 1)
    return torch.cat([mean, intercept], 1)  # [N, D + 1]


def _share(named: Tensor, labels: Tensor) -> float:
    return (named == labels).float().mean().item()


@torch.no_grad()
def joint_coherence(
    model: MultimodalVAE,
    classifiers: Mapping[str, Classify],
    generator: torch.Generator,
    count: int = 2000,
) -> float:
    """Return how often all modalities that are decoded from a prior latent have one class."""
    generated = model.generate({}, generator, count)
    named = torch.stack([classifiers[name](generated[name]) for name in model.names])
    return (named == named[0]).all(0).float().mean().item()


@torch.no_grad()
def cross_coherence(
    model: MultimodalVAE,
    classifiers: Mapping[str, Classify],
    test: Observations,
    labels: Tensor,
    generator: torch.Generator,
    samples: int = 10,
) -> dict[str, float]:
    """Return how often what is generated from one modality has its class, by "from > to".

    Args:
        test: observations by modality [N, X], as ``classifiers``.
        labels: of them [N].
        samples: generated from each observation.
    """
    shares = {}
    for name in model.names:
        generated = model.generate({name: test[name]}, generator, samples)  # [K, N, X] each
        for other in model.names:
            if other != name:
                shares[f"{name} > {other}"] = _share(classifiers[other](generated[other]), labels)
    return shares


@torch.no_grad()
def synergy_coherence(
    model: MultimodalVAE,
    classifiers: Mapping[str, Classify],
    test: Observations,
    labels: Tensor,
    generator: torch.Generator,
    samples: int = 10,
) -> float:
    """Return how often reconstructions from all modalities, as ``cross_coherence``'s, are right."""
    generated = model.generate({name: test[name] for name in model.names}, generator, samples)
    shares = [_share(classifiers[name](generated[name]), labels) for name in model.names]
    return sum(shares) / len(shares)


def threshold_at(unrelated: Tensor, kept: float) -> float:
    """Return the score that a share ``kept``, in (0, 1), of unrelated pairs' scores [N] reaches."""
    return unrelated.quantile(1 - kept).item()
