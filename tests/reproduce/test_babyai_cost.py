"""The estimate of what ``langrl reproduce babyai`` takes, and its flags."""

import pytest

from langrl.reproduce import babyai
from langrl.reproduce.arguments import BabyaiArguments
from langrl.reproduce.babyai_cost import cost_table

SMALL, LARGE = "BabyAI-GoToLocal-v0", "BabyAI-GoToOpen-v0"


def minutes(tmp_path, **changes):
    """Return core minutes by part."""
    given = {"levels": (SMALL,), "views": ("partial",)} | changes
    rows, columns = cost_table(BabyaiArguments(out=tmp_path, **given))
    assert columns == ("part", "core_minutes")
    return {row["part"]: row["core_minutes"] for row in rows}


def test_the_parts_sum_up_and_large_levels_take_longer(tmp_path):
    small, large = minutes(tmp_path), minutes(tmp_path, levels=(LARGE,))
    for found in (small, large):
        *parts, total = found.values()
        assert sum(parts) == total
    assert large["evaluations"] > small["evaluations"] > 0
    twice = minutes(tmp_path, seeds=2)
    assert twice["together"] == pytest.approx(2 * small["together"], abs=4)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"learned": ("level",)}, "agents in rooms of langrl's"),
        ({"memory": ("with",)}, "agents in levels"),
        ({"demonstrations": (1,)}, "demonstrations and policies"),
        ({"episodes": 100}, "evaluations"),
        ({"steps": 100}, "agents in levels"),
    ],
)
def test_what_is_left_out_takes_no_time(tmp_path, changes, part):
    assert minutes(tmp_path, **changes)[part] < minutes(tmp_path)[part]


def test_each_walker_and_the_ablation_have_an_agent_of_their_own():
    given = {"learned": ["rooms", "level"], "walkers": ["own", "bot"]}
    both = given | {"memory": ["with", "without"]}
    assert [each[:2] for each in babyai.variants("full", both)] == [
        ("level", "agent"),
        ("level, bot's walks", "agent-bot"),
    ]
    assert babyai.variants("partial", both) == [
        ("level", "agent", True, "own"),
        ("level, no memory", "no-memory", False, "own"),
        ("level, bot's walks", "agent-bot", True, "bot"),
        ("level, bot's walks, no memory", "no-memory-bot", False, "bot"),
    ]
    alone = babyai.variants("partial", given | {"memory": ["without"]})
    assert [each[0] for each in alone] == ["level, no memory", "level, bot's walks, no memory"]
    assert babyai.variants("full", both | {"learned": ["rooms"]}) == []
    config = babyai.config_in_level(
        SMALL, "full", 0, {"trajectories": 16, "steps": 1, "language": "bundled"}, walkers="bot"
    )
    assert config.data.walkers == "bot"


def test_policies_of_more_demonstrations_are_measured_themselves(tmp_path, monkeypatch):
    """Each policy has rows of its own: none is taken for the other by what is kept of it."""
    made = []

    def measure(level, view, phrasing, makers, seed, episodes):
        made.append((phrasing, *makers))
        return [{"method": name, "phrasing": phrasing} for name in makers]

    groups = [({"learned": "pairs", "pairs": n}, {f"cloned_{n}x": None}) for n in (1, 10)]
    monkeypatch.setattr(babyai, "_groups", lambda *given: groups)
    monkeypatch.setattr(babyai, "_measure", measure)
    monkeypatch.setattr(babyai, "_measure_bot", lambda *given: [{"method": "bot"}])
    given = {"episodes": 2, "steps": 1, "trajectories": 4, "language": "x", "walkers": ["own"]}
    rows = babyai.run_level(tmp_path, "full", SMALL, 0, given)
    assert {(row["method"], row.get("pairs")) for row in rows} == {
        ("cloned_1x", 1), ("cloned_10x", 10), ("bot", 0),
    }  # fmt: skip
    again = babyai.run_level(tmp_path, "full", SMALL, 0, given | {"walkers": ["own", "bot"]})
    assert again == rows
    assert len(made) == 4
