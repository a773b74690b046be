"""Parts for Stable-Baselines3 policies; importing any of them needs the extra ``sb3``."""

from langrl.errors import check_extra

check_extra("stable_baselines3", "sb3")
