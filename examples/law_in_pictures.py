"""Draw the sum over goals at one state: python examples/law_in_pictures.py runs/fork law.png

The picture shows what the words say, what the critic says, and which action both choose together.
"""

import argparse
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch

import langrl  # noqa: F401  registers the environments
from langrl.agents.grounded import GroundedAgent
from langrl.plots.base import COLOURS, PATH, figure, save
from langrl.plots.maze import cell_mass, draw_maze
from langrl.tasks.registry import config_beside


@torch.no_grad()
def parts_of_the_sum(agent: GroundedAgent, observation: dict, text: str) -> dict[str, np.ndarray]:
    """Return what the strategy ``log_sum_exp`` adds up, and what ``direct`` compares.

    Args:
        agent: of a street maze, which compares A actions and draws M candidate goals.
        observation: a single one.
        text: the instruction.

    Returns:
        ``goals`` [M, 2] and ``actions`` [A, 2]; probabilities of goals, each row with the sum 1:
        ``meant`` [M] given the text, ``reached`` [A, M] given an action, ``both`` [A, M] given
        both, their product over p(g); ``log_sum_exp`` and ``direct`` [A], the scores of actions in
        nats.
    """
    batch = agent.prepare({key: np.asarray(each)[None] for key, each in observation.items()}, text)
    state = torch.as_tensor(observation["observation"])[None]
    actions = torch.as_tensor(agent.actions)
    embedded = agent.critic.embed_actions(batch.context, state, actions[None])  # [1, A, D]
    f = agent.critic.score(embedded, batch.goal_embeddings)[0]  # [A, M]
    h, log_weights = batch.language_score[0], batch.log_weights[0]  # [M], [M]
    terms = f + h + log_weights
    found = {
        "meant": (h + log_weights).softmax(-1),
        "reached": (f + log_weights).softmax(-1),
        "both": terms.softmax(-1),
        "log_sum_exp": terms.logsumexp(-1) - np.log(len(h)),
        "direct": agent.critic.score(embedded, batch.text_embeddings)[0].logsumexp(-1),
    }
    arrays = {name: each.numpy() for name, each in found.items()}
    return {"goals": batch.goals[0], "actions": agent.actions, **arrays}


def draw(parts: dict[str, np.ndarray], observation: dict, world, text: str):
    """Return a figure of six panels: four maps of probabilities, and both scores of actions."""
    best, worst = parts["log_sum_exp"].argmax(), parts["log_sum_exp"].argmin()
    maps = (
        ("1. What the words say: p(goal | text)", parts["meant"], None),
        ("2. What the critic says: p(goal | action)", parts["reached"][best], best),
        ("3. Both: what each goal adds to the sum", parts["both"][best], best),
        ("4. As 2, for the action with the lowest sum", parts["reached"][worst], worst),
    )
    fig = figure(12.5, 8.2, f"Where to go for '{text}'")
    axes = fig.subplots(2, 3).ravel()
    row, column = observation["observation"]
    for ax, (title, shares, action) in zip(axes, maps, strict=False):
        heat = cell_mass(parts["goals"], shares, world.walls.shape)
        draw_maze(ax, world.walls, heat=heat, denoted=world.cell_mask(text), title=title)
        ax.plot(column, row, "o", color=PATH, ms=6, zorder=6)
        if action is not None:
            down, right = parts["actions"][action]
            ax.arrow(column, row, 1.5 * right, 1.5 * down, width=0.12, color=PATH, zorder=6)
    degrees = degrees_of(parts["actions"])
    for ax, number, name in zip(axes[4:], (5, 6), ("log_sum_exp", "direct"), strict=True):
        scores = parts[name]
        colours = np.where(np.arange(len(scores)) == scores.argmax(), PATH, COLOURS["direct"])
        ax.bar(degrees, scores - scores.min(), width=240 / len(scores), color=colours)
        ax.set_title(f"{number}. Scores of actions by {name}", fontsize=9)
        ax.set_xticks([-180, -90, 0, 90], ["left", "up", "right", "down"])
        ax.set_ylabel("nats above the worst action", fontsize=7)
    return fig


def degrees_of(actions: np.ndarray) -> np.ndarray:
    """Return the directions of actions [A, 2] in degrees, -180 to 180: 0 is right, 90 down."""
    degrees = np.rad2deg(np.arctan2(actions[:, 0], actions[:, 1])).round()
    return np.where(degrees == 180, -180, degrees)


def main(run: str, out: str, text: str, start: tuple[float, float]) -> None:
    """Draw the parts of the sum for one instruction and one start.

    Args:
        run: the run folder of an agent of a street maze.
        out: the picture, a .png file.
        text: the instruction.
        start: row and column.
    """
    env = gym.make("langrl/StreetMaze-v0", layout=config_beside(Path(run)).world.layout)
    observation, _ = env.reset(seed=0, options={"instruction": text, "position": start})
    parts = parts_of_the_sum(GroundedAgent.load(run), observation, text)
    degrees = degrees_of(parts["actions"])
    for name in ("log_sum_exp", "direct"):
        print(f"{name} goes {degrees[parts[name].argmax()]:.0f} degrees (0: right, 90: down)")
    print(save(draw(parts, observation, env.unwrapped.world, text), Path(out)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="the run folder of an agent of a street maze")
    parser.add_argument("out", help="the picture, a .png file")
    parser.add_argument("--instruction", default="go to row 3 or column 11")
    parser.add_argument("--start", type=float, nargs=2, default=(4.5, 13.5), help="row, column")
    given = parser.parse_args()
    main(given.run, given.out, given.instruction, tuple(given.start))
