"""Mathematics of contrastive and generative models: tensors in, tensors out.

It needs torch, and none of langrl's worlds or agents. Every name below can be imported from here:

    from langrl.functional import ENERGIES, monte_carlo, symmetric_info_nce

and from its module, whose docstring names the axes and the errors; ``help`` of a function gives
shapes and units. Arguments are torch tensors; an energy is a function or its name.

* ``energies``: ``dot``, ``cosine``, ``neg_l2``, ``neg_half_sq_l2``, and ``ENERGIES`` by name.
* ``losses``: ``symmetric_info_nce``, its two halves, ``ranking_info_nce``, ``binary_nce``,
  ``sigmoid``, ``triplet``, and ``LOSSES`` by name; each returns (loss, metrics).
* ``marginals``: estimators of log E[exp(f + h)] over goals: ``monte_carlo``,
  ``monte_carlo_embeddings``, ``von_mises_fisher``, ``gaussian`` (of a ``gaussian_law``), and
  ``direct``; ``choose`` chooses one, and an ``Estimate`` has error bars.
* ``waypoints``: a critic joined with itself: ``two_stage``, ``stages``, ``closure``, and
  ``successor_distance``.
* ``information``: bounds on mutual information, of which ``info_nce`` is one; the losses have other
  names.
* ``generative``, ``likelihoods``: bounds on log p(x), Gaussians, likelihoods of decoders.
* ``geometry``, ``gap``: where the embeddings of two modalities lie, and what it affects.
* ``asking``: when a question pays: ``best_question``, and its value, ``exact_value``.
* ``conformal``: sets of a stated coverage, by ``adaptive_scores`` and ``conformal_threshold``;
  temperatures of posteriors, by ``fit_temperature``.
* ``assumptions``, ``densities``, ``log_products``, ``streaming``, ``retrieval``: what these need.

``gaussian`` and ``uniformity`` here are the estimator and the measure; ``likelihoods.gaussian`` and
``assumptions.uniformity`` are in their modules only. A module is imported when one of its names is
used: some need SciPy.
"""

import importlib
from typing import Any

_NAMES = {
    "asking": "AskPlan best_question exact_value",
    "assumptions": "Test gaussianity",
    "auto": "Choice choose",
    "conformal": "adaptive_scores conformal_threshold fit_temperature",
    "densities": "log_hyp0f1",
    "energies": "ENERGIES Energy cosine dot neg_half_sq_l2 neg_l2",
    "estimates": "Estimate adaptive pooled",
    "gap": "BestScale Shifted best_scale mismatched_circles mixed_recall shift shift_curve toy_loss"
    " toy_minimum",
    "generative": "gaussian_kl importance_weighted log_mixture log_normal log_normal_matrix"
    " log_standard_normal pointwise_information prior_kl product_of_experts relating"
    " stratified_sample",
    "geometry": "Cone alignment cone cosine_histogram effective_rank gap_noise modality_gap"
    " separability uniformity",
    "information": "ESTIMATORS donsker_varadhan gaussian_correlation gaussian_information"
    " gaussian_log_ratio info_nce nwj smile",
    "likelihoods": "LIKELIHOODS Likelihood bernoulli bernoulli_matrix categorical"
    " categorical_matrix gaussian_matrix",
    "log_products": "log_matmul_exp",
    "losses": "LOSSES backward_info_nce binary_nce forward_info_nce ranking_info_nce sigmoid"
    " symmetric_info_nce triplet",
    "marginals": "direct gaussian gaussian_law monte_carlo monte_carlo_embeddings von_mises_fisher",
    "retrieval": "recall_at_1",
    "streaming": "streamed_log_matmul_exp",
    "waypoints": "closure stages successor_distance two_stage",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_NAMES})
