"""A run."""

from typing import Any, Protocol

from langrl.agents.grounded import GroundedAgent
from langrl.training.run_folder import Trainable


class Run(Trainable, Protocol):
    """A run that an agent comes of."""

    def agent(self, **grounding: Any) -> GroundedAgent:
        """Return an agent on the learner's own critics, with changes to its grounding."""
        ...
