import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from langrl.envs.grid.rooms import FORWARD, facing
from langrl.envs.minigrid_levels.env import MiniGridLevelEnv, OneEpisode
from langrl.envs.minigrid_levels.planning import action_towards, steps_to
from langrl.envs.minigrid_levels.reading import (
    ACTIONS,
    DONE,
    DROP,
    PICKUP,
    SHUT,
    TOGGLE,
    as_rooms,
    pose_of,
    shut_ahead,
)
from langrl.envs.wrappers.instructions import TokenizeInstruction
from langrl.errors import ConfigError, InstructionError, LayoutError, ShapeError, UnknownNameError
from langrl.words import WordTokeniser

WORK = (
    "BabyAI-GoToLocal-v0", "BabyAI-PickupLoc-v0", "BabyAI-OpenDoor-v0", "BabyAI-PutNextLocal-v0",
    "MiniGrid-Fetch-6x6-N2-v0", "MiniGrid-GoToDoor-5x5-v0",
)  # fmt: skip


def walk(env, cells):
    """Walk to one of some objects by the planner, which does not act there."""
    while True:
        targets = facing(cells[None], np.ones((1, *cells.shape), bool))[0]
        action = action_towards(env.layout, steps_to(env.layout, targets), pose_of(env._level))
        if action is None:
            return False
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            return info["is_success"]


@pytest.mark.parametrize("view", [None, 7])
@pytest.mark.parametrize("name", WORK)
def test_gymnasiums_checker_passes(name, view):
    check_env(MiniGridLevelEnv(name, view=view), skip_render_check=True)


def test_stable_baselines3s_checker_passes_with_words_as_numbers():
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
    env.reset(seed=0)
    tokeniser = WordTokeniser.learn(["go to the red green blue purple yellow grey ball box key a"])
    checker.check_env(TokenizeInstruction(env, tokeniser), warn=False)


def test_the_observation_is_minigrids_picture_and_the_mission_its_own():
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
    seen, info = env.reset(seed=3)
    level = gym.make("BabyAI-GoToLocal-v0").unwrapped
    level.reset(seed=3)
    assert seen["instruction"] == level.mission
    assert np.array_equal(seen["observation"][..., :2], level.grid.encode().swapaxes(0, 1)[..., :2])
    row, column, turn = pose_of(level)
    assert seen["observation"][row, column, 2] == turn + 1
    assert np.count_nonzero(seen["observation"][..., 2]) == 1
    assert info["ambiguity_bits"] == np.log2(len(level.instrs.desc.obj_set))


def test_the_view_is_minigrids_own():
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0", view=7)
    seen, _ = env.reset(seed=3)
    level = gym.make("BabyAI-GoToLocal-v0").unwrapped
    theirs = level.reset(seed=3)[0]["image"].swapaxes(0, 1)
    assert np.array_equal(seen["observation"][..., :2], theirs[..., :2])
    assert seen["observation"][6, 3, 2] == level.agent_dir + 1
    assert not hasattr(env, "goals")


def test_a_shortest_way_is_as_long_as_it_was_said_to_be():
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
    for seed in range(10):
        _, info = env.reset(seed=seed)
        steps, over = 0, False
        cells = env.denoted_cells
        targets = facing(cells[None], np.ones((1, *cells.shape), bool))[0]
        while not over:
            way = action_towards(env.layout, steps_to(env.layout, targets), pose_of(env._level))
            _, reward, over, _, after = env.step(DONE if way is None else way)
            steps += 1
        assert (steps, after["is_success"]) == (info["shortest_steps"], True)
        assert reward > 0


def test_a_shut_door_is_toggled_on_the_way():
    env = MiniGridLevelEnv("BabyAI-OpenDoor-v0")
    env.reset(seed=1)
    assert (env.layout[..., 2] == SHUT).sum() > 1
    door = np.argwhere(env.layout[..., 2] == SHUT)[0]
    cells = np.zeros(env.layout.shape[:2], bool)
    cells[tuple(door)] = True
    walk(env, cells)
    assert shut_ahead(env.layout[None]).tolist() == [True]
    env.step(FORWARD)
    assert env.layout[tuple(door)][2] == SHUT  # nothing gave way
    env.step(TOGGLE)
    assert env.layout[tuple(door)][2] == 0
    env.step(FORWARD)
    assert tuple(pose_of(env._level)[:2]) == tuple(door)


def test_what_is_carried_shows_in_the_agents_cell_and_grid_worlds_do_not_see_it():
    env = MiniGridLevelEnv("BabyAI-PickupDist-v0")
    env.reset(seed=0, options={"instruction": "pick up a ball"})
    others = env.layout[..., 0] == 5
    assert not walk(env, others)
    env.step(PICKUP)
    row, column, turn = pose_of(env._level)
    assert env.layout[row, column].tolist() == [5, env.layout[row, column, 1], turn + 1]
    assert as_rooms(env.layout[None])[0, row, column].tolist() == [1, 0, turn + 1]
    env.step(DROP)
    assert env.layout[row, column, 0] == 1


def test_denotations_are_the_levels_own_for_its_mission_and_the_grammars_for_others():
    env = MiniGridLevelEnv("BabyAI-PickupLoc-v0")
    for seed in range(30):
        seen, _ = env.reset(seed=seed)
        if "on your" in seen["instruction"]:
            break
    places = np.argwhere(env.layout[..., 0] == 1)
    poses = np.array([(*place, turn) for place in places.tolist() for turn in range(4)])
    own = env.denotation(poses, seen["instruction"])
    every = env.denotation(poses, "pick up any object")
    assert 0 < own.sum() < every.sum()
    picked = np.insert(poses, 3, PICKUP, 1)
    assert np.array_equal(env.denotation(picked, seen["instruction"]), own)
    assert not env.denotation(np.insert(poses, 3, TOGGLE, 1), seen["instruction"]).any()
    assert env.denotation(poses, "go to the ball, then to a key") is None


@pytest.mark.parametrize(
    ("text", "act"),
    [("anything but a ball", DONE), ("grab something red or a key", PICKUP), ("go to a box", DONE)],
)
def test_a_layout_is_drawn_for_a_text_and_the_level_judges_by_it(text, act):
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
    for seed in range(5):
        seen, info = env.reset(seed=seed, options={"instruction": text})
        assert seen["instruction"] == text
        assert env.denoted_cells.any()
        assert np.isfinite(info["ambiguity_bits"])
        success = walk(env, env.denoted_cells)
        if act == PICKUP:
            assert not success
            success = env.step(PICKUP)[-1]["is_success"]
        assert success or env.step(DONE)[-1]["is_success"]


def test_a_text_beyond_the_grammar_is_followed_and_its_denotation_unknown():
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
    seen, info = env.reset(seed=0, options={"instruction": "sing a song"})
    assert seen["instruction"] == "sing a song"
    assert not info["is_judged"]
    assert not walk(env, env.layout[..., 0] >= 5)  # the level's own mission is not asked for
    env.reset(seed=0, options={"instruction": "sing a song"})
    assert np.isnan(info["ambiguity_bits"])
    assert env.denotation(np.array([[1, 1, 0]]), "sing a song") is None


def test_a_layout_can_be_set_and_texts_are_about_it():
    env = MiniGridLevelEnv("BabyAI-GoToLocal-v0")
    env.reset(seed=5)
    layout = env.layout
    for seed in range(3):
        seen, _ = env.reset(seed=seed, options={"layout": layout})
        assert np.array_equal(seen["observation"], layout)
        assert env.denoted_cells.any()
    with pytest.raises(InstructionError, match="denotes nothing in this layout"):
        env.reset(options={"layout": layout, "instruction": "go to a door"})


def test_levels_that_judge_by_themselves_take_texts_that_mean_a_mission_of_theirs():
    env = MiniGridLevelEnv("MiniGrid-Fetch-6x6-N2-v0")
    seen, _ = env.reset(seed=0, options={"instruction": "pick up a red ball"})
    assert seen["instruction"] == "pick up a red ball"
    assert "fetch a red ball" in env._level.mission.replace("get", "fetch")
    with pytest.raises(InstructionError, match=r"100 layouts of MiniGrid-Fetch.* own missions"):
        env.reset(options={"instruction": "go to a red ball"})


def test_a_mission_of_several_parts_is_judged_and_its_denotation_unknown():
    env = MiniGridLevelEnv("BabyAI-PutNextLocal-v0")
    _, info = env.reset(seed=0)
    assert info["is_judged"]
    assert np.isnan([info["ambiguity_bits"], info["shortest_steps"]]).all()
    assert env.denoted_cells is None


@pytest.mark.parametrize("phrasing", ["held_out", "noisy"])
def test_missions_are_said_in_other_words_of_the_same_layouts(phrasing):
    own, other = (
        MiniGridLevelEnv("BabyAI-GoToLocal-v0", phrasing=each) for each in ("seen", phrasing)
    )
    texts = set()
    for seed in range(5):
        (one, known), (two, same) = own.reset(seed=seed), other.reset(seed=seed)
        assert np.array_equal(one["observation"], two["observation"])
        assert known == same
        texts.add(one["instruction"] == two["instruction"])
    assert texts == {False}


def test_bad_input_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'BabyAI-GoToLocal-v0'"):
        MiniGridLevelEnv("BabyAI-GoToLocl-v0")
    with pytest.raises(ConfigError, match="MiniGrid-Empty-5x5-v0 has goal cells"):
        MiniGridLevelEnv("MiniGrid-Empty-5x5-v0")
    with pytest.raises(ConfigError, match="has no mission"):
        MiniGridLevelEnv("MiniGrid-Playground-v0")
    env = MiniGridLevelEnv("BabyAI-GoToObj-v0")
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    for action in (len(ACTIONS), -1, 1.5, [0]):
        with pytest.raises(ShapeError, match="0 to 6: left, right"):
            env.step(action)
    with pytest.raises(InstructionError, match="100 layouts of BabyAI-GoToObj-v0; name objects"):
        env.reset(options={"instruction": "go to a door"})
    with pytest.raises(InstructionError, match="no reset option 'layuot'"):
        env.reset(options={"layuot": None})
    layout = np.zeros((8, 8, 3), int)
    for wrong, message in ((layout[1:], r"\[8, 8, 3\]"), (layout, "walls all around")):
        with pytest.raises(LayoutError, match=message):
            env.reset(options={"layout": wrong})
    layout[...] = (2, 5, 0)
    with pytest.raises(LayoutError, match="one agent"):
        env.reset(options={"layout": layout})


def test_an_environment_of_one_episode_stays_where_it_ended():
    env = OneEpisode(MiniGridLevelEnv("BabyAI-GoToObj-v0"))
    env.reset(seed=0)
    over = False
    while not over:
        last, _, terminated, truncated, _ = env.step(0)
        over = terminated or truncated
    assert np.array_equal(env.reset()[0]["observation"], last["observation"])
    assert env.step(FORWARD)[1:4] == (0.0, True, False)
    first, _ = env.reset(seed=0)
    assert not np.array_equal(first["observation"], env.step(1)[0]["observation"])
