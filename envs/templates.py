"""Languages made of templates: meanings are written as texts, and read back from the same ones.

A *meaning* is a nested tuple: its kind, and then its slots, which are names, numbers or meanings.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from numpy.random import Generator

from langrl.envs.phrasing import Meaning, Phrasing
from langrl.protocols import check_instruction
from langrl.words import lower_text

Forms = Mapping[Any, Sequence[str]]
"""Templates by phrasing, ``{}`` for a slot; those of other keys are read, and never written."""

Reader = Callable[[str, Sequence[str]], Meaning | None]
"""Returns the meaning of a kind with some texts in its slots, or None if there is none."""

_LONGEST_READ = 200  # characters; longer text is followed, but not read


class Templates:
    """Writes and reads meanings.

    Args:
        leads: how a goal is asked for.
        goals: how each kind of goal is named.
        readers: the kinds in the order in which they are tried, with what reads their slots; None
            for a kind of two goals, which are read in turn.
        names: returns the words for a name in a slot, of (kind, name, phrasing).
        slots: the regular expressions of a kind's slots, where they are not ``(.+?)``.
    """

    def __init__(
        self,
        leads: Forms,
        goals: Mapping[str, Forms],
        readers: Mapping[str, Reader | None],
        names: Callable[[str, str, Phrasing], Sequence[str]],
        slots: Mapping[str, Sequence[str]],
    ) -> None:
        self._leads, self._goals, self._readers, self._names = leads, goals, readers, names
        self._lead_patterns = _patterns(leads, ("(.+)",))
        self._goal_patterns = {
            kind: _patterns(goals[kind], slots.get(kind, ("(.+?)", "(.+?)"))) for kind in readers
        }
        # Without a cache, "... or ... or ..." would be read exponentially often.
        self.read_goal = lru_cache(maxsize=4096)(self._read_goal)

    def write(self, meaning: Meaning, generator: Generator, phrasing: Phrasing) -> str:
        """Return one of the texts for a meaning, drawn from a set of phrasings."""
        lead = _pick(self._leads[phrasing], generator)
        return lead.format(self._name(meaning, generator, phrasing))

    def _name(self, meaning: Meaning, generator: Generator, phrasing: Phrasing) -> str:
        kind, *slots = meaning
        template = _pick(self._goals[kind][phrasing], generator)
        names = []
        for slot in slots:
            if isinstance(slot, tuple):
                names.append(self._name(slot, generator, phrasing))
            elif isinstance(slot, str):
                names.append(_pick(self._names(kind, slot, phrasing), generator))
            else:
                names.append(str(slot))
        return template.format(*names)

    def parse(self, text: str) -> Meaning | None:
        """Return the meaning of a text, or None if it cannot be read.

        Raises:
            InstructionError: if the text cannot be an instruction (see ``check_instruction``).
        """
        words = re.sub(r"[\s,.!?]+|(?<=[a-z])-", " ", lower_text(check_instruction(text))).strip()
        if len(words) > _LONGEST_READ:
            return None
        for lead in self._lead_patterns:
            if (match := lead.fullmatch(words)) and (meaning := self.read_goal(match[1])):
                return meaning
        return None

    def _read_goal(self, words: str) -> Meaning | None:
        for kind, reader in self._readers.items():
            read = reader or self._read_pair
            for pattern in self._goal_patterns[kind]:
                if (match := pattern.fullmatch(words)) and (meaning := read(kind, match.groups())):
                    return meaning
        return None

    def _read_pair(self, kind: str, groups: Sequence[str]) -> Meaning | None:
        first, second = self.read_goal(groups[0]), self.read_goal(groups[1])
        return (kind, first, second) if first and second else None


def _pick(options: Sequence[str], generator: Generator) -> str:
    return options[int(generator.integers(len(options)))]


def _patterns(forms: Forms, slots: Sequence[str]) -> list[re.Pattern[str]]:
    """Return the templates as regular expressions; the n-th slot of each is the n-th of slots."""
    found = []
    for texts in forms.values():
        for text in texts:
            first, *rest = map(re.escape, text.split("{}"))
            parts = zip(slots, rest, strict=False)
            found.append(re.compile(first + "".join(slot + part for slot, part in parts)))
    return found
