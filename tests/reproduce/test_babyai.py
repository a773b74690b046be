import pytest
from command_line import read_results

from langrl.errors import LangRLError
from langrl.reproduce import babyai
from langrl.reproduce.arguments import BabyaiArguments
from langrl.settings import with_changes

LEVEL = "BabyAI-GoToRedBallGrey-v0"
TINY = {
    "grid": {
        "critic": {"embedding": 8, "channels": 8, "depth": 1, "width": 16},
        "learner": {"rooms": 2, "states": 4, "warmup": 1},
        "data": {"rooms": 3, "trajectories_per_room": 2},
    },
    "grid-partial": {
        "critic": {"embedding": 8, "width": 16},
        "history": {"model": {"embedding": 8, "context": 8, "horizon": 2, "width": 16}},
        "learner": {"explorations": 2, "states": 4, "warmup": 1, "anchors": 8},
        "data": {"rooms": 3, "trajectories_per_room": 1, "segments": 2, "length": 12},
    },
}


@pytest.fixture
def tiny(monkeypatch, tiny_language, tmp_path):
    """Options of the reproduction in one level, with agents that learn next to nothing."""
    whole = babyai._shortened

    def shortened(config, seed, given):
        fields = whole(config, seed, given).model_dump()
        for name, changes in TINY[config.task].items():
            for field, value in changes.items():
                fields[name][field] = fields[name][field] | value if field == "model" else value
        return type(config).model_validate(fields)

    monkeypatch.setattr(babyai, "_shortened", shortened)
    return BabyaiArguments(
        out=tmp_path / "out", levels=(LEVEL,), episodes=2, steps=2, trajectories=4,
        demonstrations=(1,), language=str(tiny_language), workers=1,
    )  # fmt: skip


def test_each_method_has_a_row_in_each_view_and_phrasing(tiny, monkeypatch):
    babyai.reproduce(tiny, "langrl reproduce babyai")
    results = read_results(tiny.out)
    rows = results["rows"]
    found = {(row["view"], row["phrasing"], row["learned"], row["method"]) for row in rows}
    for view in ("full", "partial"):
        for phrasing in ("seen", "held_out"):
            here = {(row[2], row[3]) for row in found if row[:2] == (view, phrasing)}
            assert {("nothing", "bot"), ("nothing", "random"), ("pairs", "cloned_1x")} <= here
            assert {("own rooms", "log_sum_exp"), ("level", "max_goal")} <= here
            assert (("level, no memory", "log_sum_exp") in here) == (view == "partial")
    assert all(0 <= row["low"] <= row["success"] <= row["high"] <= 1 for row in rows)
    assert {row["pairs"] for row in rows} == {0, 4}
    assert next(r for r in rows if r["method"] == "bot")["success"] == 1
    assert len(results["claims"]) == 2


def test_a_level_that_the_bot_cannot_act_in_is_refused_before_the_trainings(tiny):
    options = with_changes(tiny, {"levels": ("MiniGrid-Fetch-5x5-N2-v0",)}, "options")
    with pytest.raises(LangRLError, match="BabyAIBot acts in levels of BabyAI"):
        babyai.reproduce(options, "langrl reproduce babyai")
    assert not (tiny.out / "runs").exists()


def test_runs_count_their_trajectories():
    given = {"steps": None, "language": "bundled", "trajectories": 160}
    assert babyai.trajectories_of(babyai.config_in_rooms("full", 0, given)) == 5 * 4000 * 16
    assert babyai.trajectories_of(babyai.config_in_level(LEVEL, "full", 0, given)) == 160
    assert babyai.trajectories_of(babyai.config_in_level(LEVEL, "partial", 0, given)) == 160
    off = babyai.config_in_level(LEVEL, "partial", 0, given, memory=False)
    assert not off.history.memory
