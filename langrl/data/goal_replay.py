"""Replay of goal-reaching agents: what many environments did, relabelled with geometric futures.

Axes: ``N`` environments, ``C`` states of each, ``T`` recorded states, ``B`` batch, ``S`` numbers in
an observation, ``A`` in an action, ``G`` in a goal.
"""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from langrl.data.config import GoalReplayConfig
from langrl.data.episode_rings import EpisodeRings, Episodes, States
from langrl.data.loops import Loops, find_loops
from langrl.data.replay import futures_at
from langrl.envs.goal_engine import GoalSpaces, Moved, Seen
from langrl.errors import CheckpointError, ConfigError, TrajectoryError
from langrl.protocols import Array, Integers, Mask

Batch = dict[str, Tensor]
_ARRAYS = ("observation", "achieved", "action")


class Recorded(Protocol):
    """Recorded trajectories, one after another."""

    @property
    def observations(self) -> Array:
        """What was seen [T, ...]."""

    @property
    def actions(self) -> Array:
        """What was done [T, ...]; those of last states have no meaning."""

    @property
    def achieved(self) -> Array | None:
        """The goals that are achieved in the states [T, G]."""

    @property
    def last(self) -> Mask:
        """The last states of trajectories, bool [T]."""

    @property
    def terminated(self) -> Mask:
        """Last states that ended the task, bool [T]; a time limit cut the others off."""


class GoalReplay:
    """Keeps the newest states of each environment, and draws transitions with goals to learn from.

    A goal is what is achieved in a geometric future of the same episode; an episode that goes on
    has the futures that it has had so far. Every transition is equally likely.

    Args:
        spaces: of the environments; uint8 stays uint8, other numbers become float32 and discrete
            actions int64.
        num_envs: how many environments there are, N.
        config: how many states are kept, and how goals are drawn.
        folder: where the arrays are, if they are to be in files; those that are there are
            overwritten.
        device: where they are otherwise.

    Raises:
        ConfigError: if an episode does not fit, or files are wanted without a folder.
    """

    def __init__(
        self,
        spaces: GoalSpaces,
        num_envs: int,
        config: GoalReplayConfig,
        *,
        folder: Path | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if config.memory_map and folder is None:
            raise ConfigError("replay.memory_map needs a run folder; give one, or set it to false")
        self.spaces, self.num_envs, self.config = spaces, num_envs, config
        self._folder = folder if config.memory_map else None
        self._device = torch.device("cpu" if config.memory_map else device)
        limit, slots = spaces.max_episode_steps, config.capacity // num_envs
        states = 2 if limit is None else limit + 1
        if slots < states:
            raise ConfigError(
                f"replay.capacity: {config.capacity} states are {slots} for each of {num_envs}"
                f" environments, and an episode has up to {states}; set it to"
                f" {states * num_envs} or more"
            )
        self._loops: Loops | None = None  # of recorded trajectories, where they are cut
        self._sums: Tensor | None = None  # of recorded actions before each state [T + 1, A]
        self._make(slots)

    def __len__(self) -> int:
        """Return how many transitions there are."""
        return len(self._rings)

    def add(self, seen: Seen, actions: Array, moved: Moved) -> None:
        """Store one step of all environments, whichever way their episodes start anew.

        Args:
            seen: what was acted on.
            actions: what was done [N, ...].
            moved: what it led to. ``acted`` and ``started`` say in which rows there is a
                transition and a first state; futures lie before ``terminated`` or ``truncated``.
        """
        rings = self._rings
        if (fresh := moved.acted & ~rings.open).any():  # the first step of all
            self._begin(np.flatnonzero(fresh), seen)
        rows = np.flatnonzero(moved.acted)
        if rows.size:
            self._write(rings.act(rows), action=actions[rows])
            self._write(
                rings.append(rows),
                observation=moved.final_observation[rows],
                achieved=moved.final_achieved[rows],
            )
        ended = rows[(moved.terminated | moved.truncated)[rows]]
        if ended.size:
            rings.end(ended, moved.terminated[ended])
        if moved.started.any():
            self._begin(np.flatnonzero(moved.started), moved.seen)

    def cut(self) -> None:
        """End all open episodes as a time limit does: the environments were reset from outside."""
        self._rings.end(np.flatnonzero(self._rings.open))

    def fill(
        self, trajectories: Recorded, loop_radius: float = 0.0, mean_actions: bool = False
    ) -> None:
        """Keep recorded trajectories in the place of what there is, all of them in one row.

        Args:
            trajectories: what was recorded.
            loop_radius: futures of a state end before the trajectory comes back to within this
                distance of it, in units of goals; 0: at the trajectory's end.
            mean_actions: whether the action of a state is the mean of those until its goal, or
                until the trajectory has left the radius: what noisy behaviour does in the end.

        Raises:
            TrajectoryError: if the arrays are not those of the spaces, or without a transition.
        """
        achieved = trajectories.achieved
        if achieved is None:
            raise TrajectoryError("nothing says which goals states achieve; see check_recording")
        arrays = {
            "observation": trajectories.observations,
            "achieved": achieved,
            "action": trajectories.actions,
        }
        last = trajectories.last.copy()
        if len(last):
            last[-1] = True
        if last.all():
            raise TrajectoryError("no trajectory has two states; record more than first states")
        for name, values in arrays.items():
            expected = (len(last), *self._shape(name))
            if values.shape != expected:
                raise TrajectoryError(
                    f"{name} of the data is {list(values.shape)}, and of the environment"
                    f" {list(expected)}; choose the environment that the data are of"
                )
        self.num_envs = 1
        self._make(len(last), episodes=int(last.sum()) + 1)
        for name, values in arrays.items():
            self._arrays[name][0].copy_(torch.from_numpy(np.ascontiguousarray(values)))
        self._rings.fill(last, trajectories.terminated)
        if loop_radius:
            found = find_loops(achieved, last, loop_radius)
            self._loops = Loops(*(values.to(self._device) for values in found))
        if mean_actions:
            zeros = np.zeros((1, trajectories.actions.shape[1]))
            sums = np.concatenate([zeros, trajectories.actions.cumsum(0, np.float64)])
            self._sums = torch.from_numpy(sums).to(self._device)

    def sample(
        self, size: int, generator: Generator, device: torch.device | str | None = None
    ) -> Batch:
        """Draw a batch of transitions.

        Args:
            size: how many, B.
            generator: the only source of randomness, on any device.
            device: where the batch is to be; that of the generator by default.

        Returns:
            ``state`` [B, S], ``action`` [B, A] or int64 [B], ``next_state`` [B, S], ``achieved``
            in the state [B, G], ``goal`` [B, G], a future, ``uniform_goal`` [B, G], any later
            state's of the episode, ``random_goal`` [B, G], a future of another transition, and
            ``episode`` int64 [B], which no two episodes share.

        Raises:
            ConfigError: if nothing is stored.
        """
        self._check_filled()
        states = self._draw(size, generator)
        batch = self._relabelled(states, generator)
        batch["uniform_goal"] = self._later_goals(states, generator)
        others = self._rings.draw(size, generator)
        future = self._future(others, self._rings.episodes(others), generator)
        batch["random_goal"] = self._read("achieved", self._rings.slots_of(future))
        return _moved_to(device or generator.device, batch)

    def sample_groups(
        self,
        episodes: int,
        size: int,
        generator: Generator,
        device: torch.device | str | None = None,
    ) -> Batch:
        """Draw transitions in groups of one episode each, for critics that contrast within it.

        An episode is as likely as it has transitions, and within it all are equally likely. Few
        groups are of the same episode.

        Args:
            episodes: how many groups, E.
            size: transitions of each, n; where an episode has fewer, some are drawn twice.
            generator, device: as in ``sample``.

        Returns:
            As ``sample`` without random goals, [E, n, ...] each.
        """
        self._check_filled()
        batch = self._relabelled(self._rings.draw_groups(episodes, size, generator), generator)
        groups = {name: value.unflatten(0, (episodes, size)) for name, value in batch.items()}
        return _moved_to(device or generator.device, groups)

    def trajectories(self, limit: int) -> tuple[Array, Array, Mask]:
        """Return the newest states, of all environments, as trajectories one after another.

        Args:
            limit: states at most; of the environments evenly.

        Returns:
            Observations [T, S], what is achieved in them [T, G], and which are the last states of
            their trajectories, bool [T].
        """
        parts = [self._rings.newest(row, limit // self.num_envs) for row in range(self.num_envs)]
        states = States(*(torch.cat(part) for part in zip(*parts, strict=True)))
        slots, names = self._rings.slots_of(states), self._rings.episodes(states).name
        last = torch.ones_like(names, dtype=torch.bool)
        last[:-1] = names[1:] != names[:-1]
        observations, achieved = (
            self._read(name, slots).cpu().numpy() for name in ("observation", "achieved")
        )
        return observations, achieved, last.cpu().numpy()

    def state(self) -> Batch:
        """Return all that is in use, as tensors by name.

        They share memory with the replay: store or copy them before it changes.
        """
        used = self._rings.used
        arrays = {name: values[:, :used] for name, values in self._arrays.items()}
        return arrays | {f"rings/{name}": value for name, value in self._rings.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state()`` returned.

        Raises:
            CheckpointError: if it is of other environments, or of another capacity.
        """
        for name, values in self._arrays.items():
            if state[name].shape[2:] != values.shape[2:]:
                raise CheckpointError(
                    f"{name} of the stored replay is {list(state[name].shape[2:])}, and of the"
                    f" environment {list(values.shape[2:])}; it is another environment's"
                )
        self._rings.load_state(
            {
                name.removeprefix("rings/"): value
                for name, value in state.items()
                if name.startswith("rings/")
            }
        )
        for name, values in self._arrays.items():
            values[:, : state[name].shape[1]].copy_(state[name])

    def _make(self, slots: int, episodes: int | None = None) -> None:
        """Make room for states [N, slots], in the place of what there was."""
        self._arrays = {
            name: self._allocate(name, (self.num_envs, slots, *self._shape(name)), self._type(name))
            for name in _ARRAYS
        }
        self._rings = EpisodeRings(self.num_envs, slots, self._allocate, episodes)

    def _shape(self, name: str) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._space(name).shape
        return shape

    def _type(self, name: str) -> torch.dtype:
        space = self._space(name)
        if not space.shape:  # a discrete action
            return torch.int64
        return torch.uint8 if space.dtype == np.uint8 else torch.float32

    def _space(self, name: str) -> Any:
        return getattr(self.spaces, "goal" if name == "achieved" else name)

    def _allocate(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return zeros, which take memory or space in a file as they are written."""
        if self._folder is None:
            return torch.zeros(shape, dtype=dtype, device=self._device)
        self._folder.mkdir(parents=True, exist_ok=True)
        kind = torch.empty(0, dtype=dtype).numpy().dtype
        size, free = math.prod(shape) * kind.itemsize, shutil.disk_usage(self._folder).free
        if size > free:  # writing to the map would kill the process
            raise ConfigError(
                f"replay.memory_map: {name} takes {size / 1e9:.1f} GB and {self._folder} has"
                f" {free / 1e9:.1f} GB left; lower replay.capacity"
            )
        return torch.from_numpy(np.memmap(self._folder / f"{name}.bin", kind, "w+", shape=shape))

    def _begin(self, rows: Integers, seen: Seen) -> None:
        slots = self._rings.begin(rows)
        self._write(slots, observation=seen.observation[rows], achieved=seen.achieved[rows])

    def _write(self, slots: Tensor, **values: Array) -> None:
        for name, value in values.items():
            array = self._arrays[name].flatten(0, 1)
            array[slots] = torch.from_numpy(value).to(array)

    def _read(self, name: str, slots: Tensor) -> Tensor:
        return self._arrays[name].flatten(0, 1).index_select(0, slots)

    def _check_filled(self) -> None:
        if not len(self):
            raise ConfigError("the replay is empty; act before learning, as collect.warmup says")

    def _relabelled(self, states: States, generator: Generator) -> Batch:
        """Return transitions [B] with their futures."""
        rings = self._rings
        here, then = rings.slots_of(states), rings.slots_of(states.after(1))
        episodes = rings.episodes(states)
        future = self._future(states, episodes, generator)
        action = self._read("action", here)
        if self._sums is not None:
            action = self._mean_action(states, future).to(action)
        return {
            "state": self._read("observation", here),
            "action": action,
            "next_state": self._read("observation", then),
            "achieved": self._read("achieved", here),
            "goal": self._read("achieved", rings.slots_of(future)),
            "episode": episodes.name,
        }

    def _draw(self, size: int, generator: Generator) -> States:
        """Draw transitions [B], with the config's share of each one's negatives near it."""
        config = self.config
        if not config.hard_negatives:
            return self._rings.draw(size, generator)
        near = min(size, 1 + math.ceil(config.hard_negatives * (size - 1)))
        groups = math.ceil(size / near)
        drawn = self._rings.draw_groups(groups, near, generator, config.hard_within)
        return States(drawn.row[:size], drawn.number[:size])

    def _future(self, states: States, episodes: Episodes, generator: Generator) -> States:
        """Return a geometric future of each of states [B]."""
        config, ends = self.config, episodes.last
        if self._loops is not None:
            ends = self._loops.until[states.number]
        clip = episodes.terminated if config.tail == "by_end" else config.tail == "clip"
        uniform = self._uniform(states.number.shape, generator)
        discount: float | Tensor = config.discount
        if config.discounts:  # a number of its own, so that one discount draws as it always did
            every = uniform.new_tensor(config.every_discount)
            chosen = self._uniform(states.number.shape, generator) * len(every)
            discount = every[chosen.long().clamp_(max=len(every) - 1)]
        future = futures_at(uniform, states.number, ends, discount, clip)
        return States(states.row, future)

    def _mean_action(self, states: States, future: States) -> Tensor:
        """Return the mean of actions from states [B] until they are left, or until the future."""
        assert self._loops is not None
        assert self._sums is not None
        end = torch.minimum(self._loops.left[states.number], future.number)
        total = self._sums[end] - self._sums[states.number]
        return total / (end - states.number).unsqueeze(1)

    def _later_goals(self, states: States, generator: Generator) -> Tensor:
        """Return what is achieved in any later state of the episodes of states [B], [B, G]."""
        left = self._rings.episodes(states).last - states.number  # [B], 1 or more
        ahead = (self._uniform(left.shape, generator) * left).long().minimum(left - 1) + 1
        later = States(states.row, states.number + ahead)
        return self._read("achieved", self._rings.slots_of(later))

    def _uniform(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
        return drawn.to(self._device)


def _moved_to(device: torch.device | str, batch: Batch) -> Batch:
    return {name: value.to(device) for name, value in batch.items()}
