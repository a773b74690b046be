"""Speed of wrapped environments against bare ones, and sizes of policies, in one run each."""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import EmbedInstruction, TokenizeInstruction
from langrl.envs.wrappers.text_features import EmbeddedText
from langrl.envs.wrappers.vector import EmbedInstruction as EmbedInstructions
from langrl.errors import MissingExtraError, check_extra
from langrl.grounding.candidates import ReachablePoses
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.models.encoders import PACKAGED, load_sentence_transformer
from langrl.models.language_image.model import BUNDLED, load_language_image_model
from langrl.tasks.grid.agent import image_language
from langrl.training.jobs import one_thread
from langrl.training.logs import console, progress
from langrl.words import WordTokeniser

_STEPS, _SIDE_BY_SIDE = 50, 64
_TURNS, _SEEDS = 20, 10  # pairs of measurements per round; episodes that are walked
_MAZE, _GRID = "langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0"
Env = gym.Env[Any, Any]


def wrappers(rounds: int) -> list[dict[str, Any]]:
    """Time steps of wrapped environments against bare ones, with the same seeds and actions.

    Both are measured in turns, many times, once caches are filled. Episodes are walks of random
    actions that do not end them early; a reset, where instructions become goals, has a row of its
    own.
    """
    model = load_language_image_model()
    language = image_language(BUNDLED, "cpu")
    words = WordTokeniser.learn(["go to row 3"])
    wraps: dict[str, Callable[[Env], Env]] = {
        "EmbedInstruction": lambda env: EmbedInstruction(env, model),
        "TokenizeInstruction": lambda env: TokenizeInstruction(env, words),
        "GoalEnv": GoalEnv,
    }

    def to_goal(env: Env) -> Env:
        poses = ReachablePoses(said_done=True)
        return InstructionToGoal(env, language, "max_goal", poses, language_weight=6.0)

    rows = []
    with one_thread(), progress("speed: wrappers", 9) as bar:
        for world, tried in ((_MAZE, wraps), (_GRID, wraps | {"InstructionToGoal": to_goal})):
            for name, wrap in tried.items():
                rows.append(_single(world, name, wrap, rounds))
                bar.update(len(rows), "wrappers")
        rows.append(_reset(_GRID, "InstructionToGoal, reset", to_goal, rounds))
        rows.append(_vector(model, rounds))
        bar.update(len(rows), "wrappers")
    return rows


def _row(world: str, wrapper: str, plain: list[float], wrapped: list[float]) -> dict[str, Any]:
    """Return a row of seconds per step, bare and wrapped."""
    bare, around = statistics.median(plain), statistics.median(wrapped)
    return {
        "benchmark": "wrappers",
        "variant": f"{world}, {wrapper}",
        "steps_per_second": 1 / around,
        "baseline_steps_per_second": 1 / bare,
        "ratio": bare / around,
        "overhead": around / bare - 1,
    }


def _in_turns(
    bare: Callable[[int], float], wrapped: Callable[[int], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Measure both in turns, many short times: whatever slows the machine slows both."""
    bare(0), wrapped(0)  # caches are filled
    pairs = [(bare(n), wrapped(n)) for n in range(_TURNS * rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _single(world: str, name: str, wrap: Callable[[Env], Env], rounds: int) -> dict[str, Any]:
    plain, around = gym.make(world), wrap(gym.make(world))
    actions = _actions(plain)
    bare, wrapped = partial(_walk, plain, actions), partial(_walk, around, actions)
    return _row(world, name, *_in_turns(bare, wrapped, rounds))


def _actions(env: Env) -> NDArray[Any]:
    generator = np.random.default_rng(0)
    if isinstance(env.action_space, gym.spaces.Discrete):
        return generator.integers(int(env.action_space.n) - 1, size=_STEPS)  # never "done"
    return generator.uniform(-1, 1, (_STEPS, 2)).astype(np.float32)


def _walk(env: Env, actions: NDArray[Any], seed: int) -> float:
    """Return the seconds per step of an episode; its reset is not counted."""
    env.reset(seed=seed % _SEEDS)
    begin = time.perf_counter()
    steps = 0
    for action in actions:
        steps += 1
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            break
    return (time.perf_counter() - begin) / steps


def _reset(world: str, name: str, wrap: Callable[[Env], Env], rounds: int) -> dict[str, Any]:
    plain, around = gym.make(world), wrap(gym.make(world))
    for seed in range(_SEEDS):  # the same rooms each time, so that their images are embedded
        around.reset(seed=seed)
    bare, wrapped = partial(_resets, plain), partial(_resets, around)
    return _row(world, name, *_in_turns(bare, wrapped, rounds))


def _resets(env: Env, seed: int) -> float:
    begin = time.perf_counter()
    env.reset(seed=seed % _SEEDS)
    return time.perf_counter() - begin


def _vector(model: Any, rounds: int) -> dict[str, Any]:
    plain = gym.make_vec(_GRID, num_envs=_SIDE_BY_SIDE)
    around = EmbedInstructions(gym.make_vec(_GRID, num_envs=_SIDE_BY_SIDE), model)
    actions = np.random.default_rng(0).integers(3, size=(_STEPS, _SIDE_BY_SIDE))

    def walk(env: Any, seed: int) -> float:
        env.reset(seed=seed % _SEEDS)
        begin = time.perf_counter()
        for chosen in actions:
            env.step(chosen)
        return (time.perf_counter() - begin) / actions.size

    for seed in range(_SEEDS):  # texts are embedded
        walk(around, seed)
    name = f"EmbedInstruction, {_SIDE_BY_SIDE} side by side"
    return _row(_GRID, name, *_in_turns(partial(walk, plain), partial(walk, around), rounds))


def policy_size(rounds: int) -> list[dict[str, Any]]:
    """Compare the zips of PPO policies whose instructions small and large text models embed."""
    check_extra("stable_baselines3", "sb3")
    from stable_baselines3 import PPO

    from langrl.agents.sb3.extractors import InstructionExtractor

    encoders: dict[str, Any] = {BUNDLED: load_language_image_model()}
    try:
        encoders[PACKAGED] = load_sentence_transformer(PACKAGED)
    except MissingExtraError as error:
        console.print(f"policy-size: {PACKAGED} is left out: {error}")
    rows: list[dict[str, Any]] = []
    for name, encoder in encoders.items():
        env = EmbedInstruction(gym.make(_GRID), encoder)
        kwargs = {
            "features_extractor_class": InstructionExtractor,
            "features_extractor_kwargs": {"centre_on_agent": True},
            "normalize_images": False,
        }
        model = PPO("MultiInputPolicy", env, policy_kwargs=kwargs, n_steps=64, device="cpu")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "policy.zip"
            model.save(path)
            size = path.stat().st_size
        numbers = sum(value.nbytes for value in encoder.state_dict().values())
        first = rows[0]["zip_megabytes"] if rows else size / 1e6
        rows.append(
            {
                "benchmark": "policy-size",
                "variant": name,
                "text_megabytes": numbers / 1e6,
                "embedding": EmbeddedText(encoder).space.shape[0],
                "zip_megabytes": size / 1e6,
                "ratio": size / 1e6 / first,
            }
        )
    return rows
