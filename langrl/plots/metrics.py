"""What the metrics of training are: their units, what is good, and which share a panel."""

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """What a metric is.

    Args:
        axis: what its axis says, with the unit.
        sentence: what is good.
        first: whether it is shown before the others.
        share: whether it lies between 0 and 1, and is shown against all of that.
    """

    axis: str
    sentence: str
    first: bool = False
    share: bool = False


_SUCCESS = Meaning(
    "share of episodes", "Episodes that succeed: higher is better, 1 is all.", True, True
)
_CHANCE = "Higher is better, up to 1; chance is 1 / (number of choices)."
MEANINGS = {
    "success": _SUCCESS,
    "spl": Meaning(
        "SPL",
        "Success times shortest / own path length: higher is better, up to 1.",
        True,
        True,
    ),
    "instructions": _SUCCESS,
    "loss": Meaning("nats", "What training minimises: it falls, then levels off."),
    "gradient_norm": Meaning(
        "norm", "Length of the gradient before clipping: finite, without growing for long."
    ),
    "accuracy": Meaning(
        "share that is right", f"The true partner scores highest in its batch. {_CHANCE}"
    ),
    "accuracy_action": Meaning(
        "share that is right", f"The action that was taken scores highest. {_CHANCE}"
    ),
    "action_loss": Meaning("nats", "Loss of telling the action that was taken: lower is better."),
    "information": Meaning(
        "nats", "What one side tells about its partner: higher is better, at most log(batch size)."
    ),
    "ceiling": Meaning("nats", "The most that the information of a batch can be."),
    "scale": Meaning(
        "factor", "Inverse temperature of the scores: learned, neither high nor low is better."
    ),
    "cpc_loss": Meaning("nats", "Loss of predicting what is seen next: lower is better."),
    "matching": Meaning("nats", "Loss of saying whether a text fits an image: lower is better."),
    "naming": Meaning("nats", "Loss of naming what is shown and meant: lower is better."),
    "actor_loss": Meaning("loss", "The policy's loss: it should not grow for long."),
    "critic_loss": Meaning("loss", "Error of predicted returns: it should not grow for long."),
    "ent_coef": Meaning("weight", "Weight of the policy's entropy: it falls as the policy learns."),
    "return": Meaning("reward", "Sum of an episode's rewards: higher is better.", True),
    "env_steps": Meaning("steps", "Steps of all environments so far, of which there is a budget."),
    "states": Meaning("transitions", "What can be learned from: it grows up to the capacity."),
    "score": Meaning("nats", "How likely goals are by the actor's actions: it rises, then levels."),
    "entropy": Meaning(
        "nats", "How varied the actor's actions are: it nears its target; far below, none is new."
    ),
    "coefficient": Meaning(
        "weight", "Weight of the actor's entropy: learned, neither high nor low is better."
    ),
    "cloning": Meaning("nats", "How unlikely the actor finds the data's actions: lower is nearer."),
    "ep_rew_mean": Meaning("reward", "Mean reward of an episode of training: higher is better."),
    "ep_len_mean": Meaning("steps", "Mean length of an episode of training: lower is better."),
}
_UNKNOWN = Meaning("value", "")
_WITH_ACTOR = Meaning("nats", "The losses of critic and actor together: the actor's may rise.")
_PARTS = re.compile(r"^(accuracy|information)_(?:right|left|\d+)$")  # lines of one panel
_LINES = {
    "critic/accuracy_right": "which goal followed an action",
    "critic/accuracy_left": "which action led to a goal",
    "language/accuracy_right": "which text a state has",
    "language/accuracy_left": "which state a text has",
    "accuracy_right": "the second of a pair, given the first",
    "accuracy_left": "the first of a pair, given the second",
}


def panel_of(name: str) -> str:
    """Return the panel of a metric: its name, or what it has in common with its like."""
    *before, last = name.split("/")
    if before == ["instructions"]:
        return before[0]
    parts = _PARTS.match(last)
    return "/".join([*before, parts[1] if parts else last])


def meaning_of(panel: str, beside: Collection[str] = ()) -> Meaning:
    """Return what a panel shows; nothing is said of a metric that is not known.

    Args:
        panel: see ``panel_of``.
        beside: the metrics of the run.
    """
    if panel == "loss" and any(name.startswith("actor/") for name in beside):
        return _WITH_ACTOR
    return MEANINGS.get(panel.rsplit("/", 1)[-1], _UNKNOWN)


def line_of(name: str, beside: Collection[str] = ()) -> str:
    """Return what a legend calls a metric among others of its panel, and of its run ``beside``."""
    last = name.rsplit("/", 1)[-1]
    if last == name and "accuracy_action" in beside:  # a run of a critic alone names no part
        name = f"critic/{name}"
    return _LINES.get(name, last.replace("_", " "))
