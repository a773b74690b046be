"""One visitor's episode: a world, an instruction, what is believed, and how strategies fare.

All that a page shows is in ``Session.look``; nothing here knows of browsers. Strategies that are
compared act on one start, each with an agent of its own.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.errors import ConfigError, InstructionError, lookup
from langrl.play.asking import Hidden, check_meant, draw_meant
from langrl.play.playground import Playground
from langrl.play.walks import Walk, numbers
from langrl.play.worlds import Belief, Edit, Episode
from langrl.protocols import Mask, check_instruction
from langrl.training.jobs import flushed_subnormals

MOST_COMPARED = 4
MOST_EDITS = 500  # of cells, in one request


class Session:
    """See the module. It is not safe to use from two threads at a time.

    Args:
        playground: the run.
        seed: of starts, and of the agents' randomness.
        keeps_frames: whether to keep a picture of each step, in worlds that have them.

    Raises:
        LangRLError: from every method that changes something, where what is asked for cannot be;
            everything stays as it was then.
    """

    def __init__(
        self, playground: Playground, seed: int = 0, *, keeps_frames: bool = False
    ) -> None:
        self.playground, self._seed, self._keeps_frames = playground, seed, keeps_frames
        self._generator, self._is_hidden = np.random.default_rng(seed), False
        self.revision = 0
        """Changes with everything but steps: a run that was begun before is over."""
        self.text = ""
        self.hidden: Hidden | None = None
        """What the visitor means; None where anything that the words denote will do."""
        self.question: int | None = None
        """What an agent asks, and waits for."""
        self.world, self.start = playground.world.begin(None, self._generator)
        self._is_prepared = False
        with flushed_subnormals():
            self._believer = playground.make(strategy=playground.strategy)
        self._believer.reset(np.random.default_rng(seed))
        self.walks: list[Walk] = []
        self.compare([playground.strategy])

    # -- what can be done ------------------------------------------------------------------

    def tell(self, text: str) -> None:
        """Say what to do; a blank text is nothing said."""
        self._change(text=check_instruction(text) if text.strip() else "")

    def compare(self, strategies: Sequence[str]) -> None:
        """Choose the strategies that act beside each other."""
        names = list(dict.fromkeys(strategies))
        if not 0 < len(names) <= MOST_COMPARED:
            raise ConfigError(f"compare 1 to {MOST_COMPARED} strategies")
        known = dict.fromkeys(self.playground.strategies)
        for name in names:
            lookup(known, name, "strategy here")
        old = {walk.strategy: walk.agent for walk in self.walks}
        with flushed_subnormals():
            agents = {
                name: old[name] if name in old else self.playground.make(strategy=name)
                for name in names
            }
        self.walks = [Walk(name, agent) for name, agent in agents.items()]
        self._change()

    def restart(self) -> None:
        """Draw another start, and in a grid world another room."""
        text = self.text or None
        try:
            world, start = self.world.begin(text, self._generator)
        except InstructionError:  # it denotes nothing anywhere
            world, start = self.world.begin(None, self._generator)
        self._change(world=world, start=start)

    def again(self) -> None:
        """Go back to the start."""
        self._change()

    def place(self, place: Sequence[float]) -> None:
        """Put the agent somewhere else."""
        self._change(start=self.world.check_place(place))

    def edit(self, edits: Iterable[Edit]) -> None:
        """Change cells of the world."""
        listed = list(edits)
        if len(listed) > MOST_EDITS:
            raise ConfigError(f"edit at most {MOST_EDITS} cells at a time")
        world = self.world.edited(listed)
        world.check_place(self.start.tolist())  # nothing is built where the agent stands
        for agent in self._agents:
            world.adapt(agent)
        self._change(world=world)

    def reset_world(self) -> None:
        """Take back all edits of a maze; a grid world gets a new room."""
        world = self.playground.world
        for agent in self._agents:
            world.adapt(agent)
        world, start = world.begin(None, self._generator)
        self._change(world=world, start=start)

    def hide(self, is_hidden: bool) -> None:
        """Mean one of what the words denote, which the agents may ask about; or any of them."""
        if is_hidden and self.world.intents is None:
            raise ConfigError(f"nothing can be asked in {self.world.name}; say what you mean")
        self._is_hidden = is_hidden
        self._change()

    def mean(self, place: Sequence[float]) -> None:
        """Say which one is meant: a cell that the words denote."""
        if self.hidden is None:
            raise ConfigError("anything that is denoted will do; choose to mean one of them first")
        row, column, *_ = (*map(int, place), -1, -1)
        self._change(meant=check_meant(self._goals()[0], row, column))

    def answer(self, label: int) -> None:
        """Answer what was asked."""
        if self.hidden is None or self.question is None:
            raise ConfigError("nothing was asked; run or step")
        self.hidden = self.hidden.answered(self.question, label)
        self.question = None

    def step(self) -> bool:
        """Let every strategy act once; returns whether there was anything left to do.

        Where an agent asks, it waits for ``answer``, and the others with it.

        Raises:
            InstructionError: if nothing was said, or it denotes nothing here.
        """
        denoted, _ = self._goals()
        left = [walk for walk in self.walks if not walk.is_over]
        if self.hidden is not None and self.question is None:
            asked = [self._ask(walk, self.hidden) for walk in left]
            self.question = next((each for each in asked if each is not None), None)
        if not left or self.question is not None:
            return False
        for walk in left:
            self._act(walk, denoted)
        return True

    # -- what there is ---------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether every strategy's episode is over."""
        return all(walk.is_over for walk in self.walks)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return max(len(walk.path) for walk in self.walks) - 1

    def frame(self, number: int) -> NDArray[np.uint8] | None:
        """Return a picture of where a walk is now; None in worlds that are drawn as a map.

        Raises:
            ConfigError: if there is no walk of that number.
        """
        if not 0 <= number < len(self.walks):
            raise ConfigError(f"there are {len(self.walks)} strategies here, counted from 0")
        return self._episode(self.walks[number]).frame()

    def belief(self) -> Belief | None:
        """Return what is believed at the start; None where nothing was said."""
        if not self.text:
            return None
        seen = {"observation": self.world.observe(self.start)}
        with flushed_subnormals():
            if self.hidden is not None and self.hidden.meant is not None:
                return self.hidden.belief(self._believer, seen["observation"], self.text)
            if not self._is_prepared:  # keeps its candidates, those of the strategies, from now on
                self._believer.prepare(seen, self.text)
                self._is_prepared = True
            return Belief.of(self._believer.posterior(seen, self.text), self.world)

    def look(self) -> dict[str, Any]:
        """Return all that a page shows, as JSON values."""
        denoted, problem = None, None
        try:
            denoted, is_known = self._goals()
        except InstructionError as error:
            problem, is_known = str(error), False
        belief, meant = self.belief(), None if self.hidden is None else self.hidden.meant
        return {
            "revision": self.revision,
            "scene": self.world.scene(),
            "text": self.text,
            "says": self._say(denoted if is_known else None, problem, belief),
            "can_run": problem is None,
            "denoted": np.argwhere(denoted).tolist() if is_known and denoted is not None else None,
            "belief": None if belief is None else belief.to_json(self.world),
            "hidden": self._is_hidden,
            "meant": None if meant is None else list(meant),
            "meant_name": None if meant is None else self.world.name_of(meant),
            **self.progress(),
            "walks": [walk.to_json() for walk in self.walks],
        }

    def progress(self) -> dict[str, Any]:
        """Return what the last step changed, as JSON values."""
        places = [
            {
                "place": numbers(walk.path[-1]),
                "things": walk.things[-1],
                "over": walk.is_over,
                "success": walk.success,
            }
            for walk in self.walks
        ]
        question = None
        if self.question is not None and self.hidden is not None:
            question = self.hidden.asks(self.question, self.world.observe(self.start))
        return {
            "revision": self.revision, "step": self.steps, "over": self.is_over, "walks": places,
            "question": question,
        }  # fmt: skip

    # -- inside ----------------------------------------------------------------------------

    @property
    def _agents(self) -> list[Any]:
        return [self._believer, *(walk.agent for walk in self.walks)]

    def _change(self, meant: tuple[int, int] | None = None, **fields: Any) -> None:
        """Set fields, and start every episode anew; ``meant`` is what is meant from now on."""
        moved = {"world", "start"} & fields.keys()
        for name, value in fields.items():
            setattr(self, name, value)
        self.revision += 1
        if moved:
            self._believer.reset(np.random.default_rng(self._seed))
            self._is_prepared = False
        self.hidden, self.question = self._hide(meant) if self._is_hidden else None, None
        for walk in self.walks:
            self.world.adapt(walk.agent)
            walk.acting = walk.agent if self.hidden is None else self.hidden.agent(walk.agent)
            walk.acting.reset(np.random.default_rng(self._seed))
            walk.path, walk.things, walk.frames = [self.start], [None], []
            walk.episode, walk.is_over, walk.success = None, False, None

    def _hide(self, meant: tuple[int, int] | None) -> Hidden | None:
        """Return what is meant: the same as before if it is denoted, or one that is drawn."""
        intents = self.world.intents
        if intents is None:
            return None
        try:
            denoted, _ = self._goals()
        except InstructionError:
            return Hidden.of(intents, None)
        before = meant if meant is not None or self.hidden is None else self.hidden.meant
        if not denoted.any():
            return Hidden.of(intents, None)
        if before is None or not denoted[before]:
            before = draw_meant(denoted, self._generator)
        return Hidden.of(intents, before)

    def _ask(self, walk: Walk, hidden: Hidden) -> int | None:
        """Return what an agent asks before its next action; None if it is about to act."""
        if hidden.meant is None or walk.acting is walk.agent:
            return None
        with flushed_subnormals():
            asked = int(walk.acting.ask(self._seen(walk, hidden), self.text))
        return asked - 1 if asked else None

    def _seen(self, walk: Walk, hidden: Hidden | None) -> dict[str, Any]:
        """Return what an agent sees, with the answers where it may ask."""
        seen = {"observation": self._episode(walk).observe()}
        asks = hidden is not None and hidden.meant is not None and walk.acting is not walk.agent
        return seen | ({"answers": hidden.answers} if asks and hidden is not None else {})

    def _goals(self) -> tuple[Mask, bool]:
        """Return the cells that the text denotes [R, C], and whether they are known."""
        if not self.text:
            raise InstructionError("type an instruction, such as one of the examples")
        denoted = self.world.denoted(self.text)
        nowhere = np.zeros(self.world.map_shape, bool)
        return (nowhere, False) if denoted is None else (denoted, True)

    def _episode(self, walk: Walk) -> Episode:
        """Return where a walk is; its world is set up when it is first needed."""
        if walk.episode is None:
            walk.episode = self.world.episode(self.start, self.text)
            if self._keeps_frames:
                walk.frames.append(walk.episode.frame())
        return walk.episode

    def _act(self, walk: Walk, denoted: Mask) -> None:
        with flushed_subnormals():
            action = walk.acting.act(self._seen(walk, self.hidden), self.text)
        meant = denoted if self.hidden is None else self.hidden.mask(denoted)
        episode = self._episode(walk)
        before = episode.things
        moved = episode.act(action, denoted, meant)
        walk.path.append(moved.place)
        walk.things.append(None if episode.things == before else episode.things)
        if self._keeps_frames:
            walk.frames.append(episode.frame())
        walk.is_over = moved.is_over or len(walk.path) > self.world.most_steps
        if walk.is_over:
            walk.success = moved.success

    def _say(self, denoted: Mask | None, problem: str | None, belief: Belief | None) -> list[str]:
        """Return what there is to say of the text, in sentences."""
        if problem is not None:
            return [problem]
        p = None if belief is None else belief.p_understood
        doubts = [] if p is None or p >= 0.5 else [f"Probably not understood: p {p:.2f}."]
        if denoted is None:
            return [self.world.explain(self.text), *doubts]
        count, what = int(denoted.sum()), self.world.thing
        plural, them = ("", "it") if count == 1 else ("s", "them")
        ambiguity = f"{np.log2(count):.1f} bits of ambiguity"
        said = [*doubts, f"This denotes {count} {what}{plural}: {ambiguity}."]
        if belief is not None:
            said.append(f"The agent puts {belief.on(denoted):.0%} of its belief on {them}.")
        if self.world.is_satisfied(self.start, denoted):
            said.append("It is there already: place it elsewhere, or draw a new start.")
        return said
