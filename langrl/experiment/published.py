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
