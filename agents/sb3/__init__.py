"""Parts for Stable-Baselines3 policies; importing any of them needs the extra ``sb3``."""

from langrl.errors import check_extra
from langrl.renamed.aliases import names_of

check_extra("stable_baselines3", "sb3")

__getattr__ = names_of(__name__)
