"""Environments of the extra ``robotics``, and versions of it that do not fit each other."""

import re
from importlib import metadata

import gymnasium as gym
import pytest
from documents import ROOT

from langrl.data.images.rendered_worlds import open_world
from langrl.envs.registered import MUJOCO_LIMIT
from langrl.errors import ConfigError

IDS = (
    "FetchReach-v4",
    "HandReach-v3",
    "FrankaKitchen-v1",
    "PointMaze_UMaze-v3",
    "AntMaze_UMaze-v5",
)


@pytest.mark.parametrize("name", IDS)
def test_one_of_each_kind_is_made(name):
    robotics = pytest.importorskip("gymnasium_robotics", reason='needs "langrl[robotics]"')
    gym.register_envs(robotics)
    env = gym.make(name)
    seen, _ = env.reset(seed=0)
    assert set(seen) >= {"observation", "achieved_goal", "desired_goal"}
    assert env.step(env.action_space.sample())[0].keys() == seen.keys()
    env.close()


def test_the_pinned_version_is_one_that_the_extra_takes():
    (pinned,) = re.findall(r"^mujoco==(\d+)\.(\d+)", (ROOT / "constraints.txt").read_text(), re.M)
    assert tuple(map(int, pinned)) < MUJOCO_LIMIT
    first = ".".join(map(str, MUJOCO_LIMIT))
    assert f'"mujoco<{first}"' in (ROOT / "pyproject.toml").read_text()


def test_the_pinned_version_is_one_that_ogbench_takes():
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.M))
    assert pins["mujoco"] != "3.9.0"  # ogbench 1.2.2 refuses it
    assert pins["dm_control"] == "1.0.44"  # later ones need a mujoco from 3.12 on
    assert "ogbench" in pins


class Fails(gym.Env):
    """Fails as robots do with another mujoco: without a word."""

    def __init__(self):
        raise AssertionError


@pytest.mark.parametrize(
    ("mujoco", "told"),
    [
        ("4.0.0", r"mujoco below 3\.12, and mujoco 4\.0\.0 is installed; pip install \"langrl\[r"),
        ("3.12.0", "mujoco 3.12.0 is installed"),
        ("3.9.0", r"\(AssertionError\); check the id"),
        (None, r"\(AssertionError\); check the id"),
    ],
)
def test_versions_that_do_not_fit_are_named(mujoco, told, monkeypatch):
    def version(name):
        if mujoco is None:
            raise metadata.PackageNotFoundError(name)
        return {"gymnasium-robotics": "1.4.2", "mujoco": mujoco}[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setitem(gym.registry, "Fails-v0", gym.envs.registration.EnvSpec("Fails-v0", Fails))
    with pytest.raises(ConfigError, match=f"environments: cannot make 'Fails-v0' .*{told}"):
        open_world("Fails-v0")
