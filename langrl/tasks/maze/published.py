"""Published numbers that ours are printed beside."""

STREET_MAZES = {
    ("fork", "direct"): (0.24, 0.15),
    ("fork", "log_sum_exp"): (0.71, 0.56),
    ("island", "direct"): (0.61, 0.40),
    ("island", "log_sum_exp"): (0.95, 0.69),
    ("blank", "direct"): (0.58, 0.35),
    ("blank", "log_sum_exp"): (0.90, 0.64),
}
"""(success, SPL) by maze and method; arXiv:2501.11326, table on street mazes."""

LAW = {
    ("cosine", "shared", "direct", None): 0.99,
    ("dot", "shared", "direct", None): 0.39,
    ("neg_half_sq_l2", "shared", "direct", None): 1.00,
    ("cosine", "shared", "monte_carlo", 5_000): 0.92,
    ("dot", "shared", "monte_carlo", 5_000): 0.87,
    ("neg_half_sq_l2", "shared", "monte_carlo", 5_000): 0.87,
    ("cosine", "shared", "monte_carlo", 100_000): 0.98,
    ("dot", "shared", "monte_carlo", 100_000): 0.96,
    ("neg_half_sq_l2", "shared", "monte_carlo", 100_000): 0.97,
    ("cosine", "separate", "direct", None): 0.03,
    ("dot", "separate", "direct", None): 0.03,
    ("neg_half_sq_l2", "separate", "direct", None): 0.04,
    ("cosine", "separate", "monte_carlo", 5_000): 0.82,
    ("dot", "separate", "monte_carlo", 5_000): 0.73,
    ("neg_half_sq_l2", "separate", "monte_carlo", 5_000): 0.70,
    ("cosine", "separate", "monte_carlo", 100_000): 0.94,
    ("dot", "separate", "monte_carlo", 100_000): 0.89,
    ("neg_half_sq_l2", "separate", "monte_carlo", 100_000): 0.88,
    ("cosine", "oracle", "direct", None): 1.00,
    ("dot", "oracle", "direct", None): 0.99,
    ("neg_half_sq_l2", "oracle", "direct", None): 1.00,
}
"""Recall@1 by critic, models, estimator and M; arXiv:2501.11326 with its errata, synthetic table.

The ceilings by exact densities were not published.
"""

LAW_EXACT = (0.95, 0.91, 0.85, 0.68, 1 / 32)
"""Recall@1 of Lemma 1 with exact ratios and M = 100k, by rho; our computation, not the paper's."""
LAW_RHOS = (0.0, 0.25, 0.5, 0.75, 1.0)
LAW_INDEPENDENCE = {
    "direct": ((0.99, 0.99), (0.93, 0.96), (0.83, 0.89), (0.57, 0.63), (1 / 32, 1 / 32)),
    "monte_carlo": ((0.96, 0.98), (0.91, 0.93), (0.82, 0.85), (0.59, 0.63), (1 / 32, 1 / 32)),
    "oracle": ((0.99, 1.00),) * 5,
}
"""Lowest and highest recall@1 over critics, by method and rho; direct of cosine and l2 only."""

GAP_LINEAR_CONE = 0.93
"""Mean cosine of outputs on noise of 8 linear layers with PyTorch's default biases; not published,
our computation."""

GAP_TOY = {1.0: 0.0, 0.1: 0.0, 0.02: 0.71, 0.01: 0.87, 0.002: 0.97}
"""Height of the least loss with two mismatched pairs, by temperature; our computation of the toy
of arXiv:2203.02053, section 4.3."""

_CLIP_LOSSES = {-1: 2.285, -0.5: 1.998, -0.25: 1.860, 0: 1.801, 0.25: 1.907, 0.5: 2.272, 1: 3.801}
GAP_CLIP = {
    "7227280ace0f145d2c45afa8ab507a1cb280e9460aa271fe9052d08e35342adb": {
        "gap": 0.851,
        "recall x -> y": 0.552,
        "recall y -> x": 0.506,
        "mean cosine within x": 0.531,
        "mean cosine within y": 0.515,
        **{f"loss at lambda {amount:g}": loss for amount, loss in _CLIP_LOSSES.items()},
    },
    "c6a5f9ca3fba36d635fd47d20b3cdd5b9ac78dc462070240fdc2ee2786110403": {
        "gap": 1.136,
        "recall x -> y": 0.002,
        "recall y -> x": 0.002,
        "mean cosine within x": 0.681,
        "mean cosine within y": 0.663,
    },
}
"""Of CLIP ViT-B/32 on 500 MSCOCO pairs, as trained and at random, by the sha256 of the embeddings
published with arXiv:2203.02053 as one float32 array [2, 500, 512]; our computation, scale 100."""
