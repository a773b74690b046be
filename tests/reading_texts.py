"""Everything that reads an instruction, as functions of what is given for one."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from wrapped_environments import TOKENISER, WRAP, encode, follow_cart, text_cart

import langrl
from langrl.agents.baselines import RandomAgent
from langrl.agents.cloning import ClonedPolicy, CloningAgent
from langrl.agents.goal_policy import GoalPolicy, InstructionPolicy
from langrl.agents.grounded import GroundedAgent
from langrl.envs.grid import grammar as grid_grammar
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms, is_free, list_poses, observe
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.wrappers.text_features import EmbeddedText, TokenisedText
from langrl.grounding.candidates import SampledCandidates
from langrl.grounding.chooser import GoalChooser, TextCache
from langrl.grounding.config import GridGroundingConfig
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.config import GridCriticConfig
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.tasks.grid import agent as grid_agent
from langrl.tasks.grid.agent import build_grid_critic, render_goals, room_of
from langrl.tasks.grid.baselines import AXES, GridPlanner, denoted_objects, random_actions
from langrl.tasks.maze.agent import directions
from langrl.tasks.maze.baselines import OracleAgent
from langrl.words import split_words

Reader = Callable[[Any], Any]
SIZES = GridCriticConfig(embedding=8, channels=8, depth=1, width=16)


class Takes:
    """A policy that answers with what it sees."""

    def __init__(self, name: str) -> None:
        self.name = name

    def predict(self, observation, *, deterministic=False):
        return observation[self.name], None


def encoders(language, image_model) -> dict[str, Reader]:
    images = ImageLanguage(image_model, render_goals, room_of)
    embedded, numbers = EmbeddedText(encode), TokenisedText(TOKENISER, 2000)
    return {
        "critic's texts": language.encode_text,
        "words": lambda x: TOKENISER(x),
        "split words": split_words,
        "image model": image_model.encode_text,
        "image language": images.encode_text,
        "cache": TextCache(language),
        "embedded texts": embedded,
        "numbers of words": numbers,
    }


def worlds(world) -> dict[str, Reader]:
    readers: dict[str, Reader] = {
        "maze grammar": lambda x: world.denotation(np.zeros((2, 2)), x),
        "grid grammar": grid_grammar.parse,
    }
    for name in ("langrl/StreetMaze-Fork-v0", "langrl/GridGoTo-v0", next(iter(langrl.PARTIAL_IDS))):
        single = gym.make(name, disable_env_checker=True)
        many = gym.make_vec(name, num_envs=2)
        readers[name] = lambda x, env=single: env.reset(seed=0, options={"instruction": x})
        readers[f"{name}, 2"] = lambda x, env=many: env.reset(seed=0, options={"instruction": x})
        readers[f"{name}, rows"] = lambda x, env=many: env.reset(
            seed=0, options={"instruction": [x, x]}
        )
    return readers


def wrappers() -> dict[str, Reader]:
    made = {
        "AddInstruction": text_cart(),
        "EmbedInstruction": WRAP["EmbedInstruction"](text_cart()),
        "TokenizeInstruction": WRAP["TokenizeInstruction"](text_cart()),
        "InstructionToGoal": follow_cart(),
        "GoalEnv": WRAP["GoalEnv"](text_cart()),
        "EmbedInstruction, maze": WRAP["EmbedInstruction"](gym.make("langrl/StreetMaze-Fork-v0")),
        "InstructionToGoal, another": follow_cart("sampled_goal"),
    }
    return {
        name: lambda x, env=env: env.reset(seed=0, options={"instruction": x})
        for name, env in made.items()
    } | {"AddInstruction's texts": lambda x: text_cart([x]).reset(seed=0)}


def maze_agents(world, make_critics) -> dict[str, Any]:
    candidates = SampledCandidates(world.sample_states, 10)
    critic, language = make_critics()
    chooser = GoalChooser(language, "sampled_goal", candidates)
    feature = EmbeddedText(lambda texts: np.array([[len(t), 1.0] for t in texts]))
    made: dict[str, Any] = {
        name: GroundedAgent(critic, language, strategy, candidates, actions=directions(4))
        for name, strategy in GROUNDINGS.items()
    }
    return made | {
        "goal policy": GoalPolicy(Takes("desired_goal"), chooser, MazeGoals(world), axes=1),
        "instruction policy": InstructionPolicy(Takes("observation"), feature, axes=1),
        "oracle": OracleAgent(world),
        "random": RandomAgent(),
    }


def grid_agents(folder) -> dict[str, Any]:
    config = GridGroundingConfig(strategy="sampled_goal")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        policy = ClonedPolicy(2, len(ACTIONS), SIZES)

    def encoded(texts):
        return torch.tensor([[len(t), 1.0] for t in texts])

    return {
        "grounded": grid_agent.agent_maker(build_grid_critic(SIZES, 0), str(folder), config)(),
        "cloning": CloningAgent(policy, encoded, temperature=1.0),
        "planner": GridPlanner(denoted_objects),
        "random": RandomAgent(random_actions, AXES),
    }


def acting(agents, seen, family) -> dict[str, Reader]:
    """Return how agents read an instruction: of observations, beside them, of one and of two."""
    readers: dict[str, Reader] = {}
    for name, agent in agents.items():
        one, two = {"observation": seen[0]}, {"observation": seen}
        readers[f"{family} {name}"] = lambda x, a=agent, o=one: a.act(o, x)
        readers[f"{family} {name}, seen"] = lambda x, a=agent, o=two: a.act(o | {"instruction": x})
        readers[f"{family} {name}, rows"] = lambda x, a=agent, o=two: a.act(o, [x, x])
        if hasattr(agent, "posterior"):
            readers[f"{family} {name}, posterior"] = lambda x, a=agent, o=one: a.posterior(o, x)
    return readers


def all_readers(world, make_critics, folder) -> dict[str, Reader]:
    """Return everything that reads an instruction, by name.

    Args:
        world: a street maze.
        make_critics: makes critics for it.
        folder: of a language-image model.
    """
    generator = np.random.default_rng(0)
    rooms = draw_rooms(GRID_WORLDS["goto"], 2, generator)
    at = np.array([list_poses(is_free(room[None])[0])[0] for room in rooms])
    states = world.sample_states(2, generator)
    return {
        **encoders(make_critics()[1], load_language_image_model(folder)),
        **worlds(world),
        **wrappers(),
        **acting(maze_agents(world, make_critics), states, "maze"),
        **acting(grid_agents(folder), observe(rooms, at), "grid"),
    }
