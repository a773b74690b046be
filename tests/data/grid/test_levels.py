import numpy as np
import pytest

from langrl.data.grid.levels import LevelWalks
from langrl.envs.grid.grammar import EMPTY, WALL
from langrl.envs.grid.rooms import DONE, ahead, is_free, is_object, move
from langrl.envs.grid.views import egocentric_views
from langrl.envs.minigrid_levels.bot import demonstrate
from langrl.envs.minigrid_levels.layouts import draw_layouts, rooms_of
from langrl.envs.minigrid_levels.reading import LOCKED, TOGGLE, make_level
from langrl.errors import ConfigError

LOCAL, DOORS = "BabyAI-GoToLocal-v0", "BabyAI-OpenTwoDoors-v0"


def walks(level=LOCAL, **changes):
    settings = {
        "layouts": 2, "per_layout": 2, "segments": 1, "action_noise": 0.1, "bot": True,
        "view": None, "seed": 0,
    }  # fmt: skip
    return LevelWalks(level, **(settings | changes))


@pytest.mark.parametrize("bot", [False, True])
@pytest.mark.parametrize("level", [LOCAL, DOORS])
def test_walks_are_possible_in_the_rooms_that_they_come_with(bot, level, tmp_path):
    made = walks(level, bot=bot).trajectories(tmp_path)
    assert made.terminals.sum() == 4
    free = is_free(made.rooms)[made.room]
    after = move(free, made.poses, made.actions)
    assert (after[:-1] == made.poses[1:]).all(1)[~made.terminals[:-1]].all()
    assert ((made.actions == DONE) == made.terminals).all()
    rows, columns = ahead(made.poses[made.terminals])
    faced = is_object(made.rooms)[made.room[made.terminals], rows, columns]
    assert faced.all() or not bot  # own experts go anywhere, the bot to objects


def test_the_bot_goes_through_doors_that_were_shut(tmp_path):
    made = walks(DOORS, layouts=6, view=7, segments=2).explorations(tmp_path)
    here = made.segments.rooms[made.segments.room, *made.segments.poses[:, :2].T]
    assert (here[:, 0] == 4).any()  # stands in a door
    assert made.recorded.shape[1:] == (7, 7, 3)


def test_views_of_a_room_without_doors_are_those_of_grid_worlds(tmp_path):
    made = walks(view=7, segments=2).explorations(tmp_path)
    segments = made.segments
    theirs = egocentric_views(segments.rooms[segments.room], segments.poses, 7)
    assert np.array_equal(made.views(7), theirs)
    assert made.segments.terminals.sum() == 8
    assert made.exploration[-1] == 3


def test_what_is_kept_is_used_again_and_other_walks_are_made_anew(tmp_path, monkeypatch):
    first = walks(bot=False).trajectories(tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.read_bytes()
    monkeypatch.setattr("langrl.data.grid.levels.grid_experts", None)  # would fail
    again = walks(bot=False).trajectories(tmp_path)
    assert np.array_equal(first.poses, again.poses)
    monkeypatch.undo()
    other = walks(bot=False, seed=1).trajectories(tmp_path)
    assert other.poses.shape != first.poses.shape or (other.poses != first.poses).any()
    file.write_bytes(written[:100])  # cut off
    assert np.array_equal(walks(bot=False).trajectories(tmp_path).poses, first.poses)


def test_what_cannot_be_reached_is_a_wall():
    level = make_level("BabyAI-UnlockLocal-v0")
    layout = draw_layouts(level, 1, np.random.default_rng(0), "UnlockLocal")[0]
    room = rooms_of(layout[None])[0]
    assert (layout[..., 2] == LOCKED).any()
    assert (room[layout[..., 2] == LOCKED][:, 0] == WALL).all()
    assert (room[..., 0] == EMPTY).sum() <= (layout[..., 0] == EMPTY).sum() / 2


def test_a_demonstration_has_the_mission_and_all_actions():
    level = make_level("BabyAI-OpenDoor-v0")
    shown = demonstrate(level, 3, None)
    assert shown.mission == str(level.mission)
    assert shown.actions[-1] == TOGGLE
    assert len(shown.poses) == len(shown.scene)
    assert not np.isin(shown.scenes[..., 2], (1, 2, 3, 4)).any()  # no agent


def test_the_bot_is_for_levels_of_babyai(tmp_path):
    with pytest.raises(
        ConfigError, match=r"MiniGrid-Fetch-5x5-N2-v0 is none; use data\.walkers own"
    ):
        walks("MiniGrid-Fetch-5x5-N2-v0").trajectories(tmp_path)
