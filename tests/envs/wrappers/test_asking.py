import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from grid_rooms_by_hand import ROOM, SOUTH
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

from langrl.envs.grid.rooms import DONE, LEFT
from langrl.envs.wrappers.asking import AskQuestions, SingleAskQuestions
from langrl.envs.wrappers.instructions import TokenizeInstruction
from langrl.errors import ConfigError, ShapeError
from langrl.words import WordTokeniser

GRID, MAZE = "langrl/GridGoTo-v0", "langrl/StreetMaze-Blank-v0"
WORLDS = [GRID, MAZE]
COLOUR, TYPE, SIDE, HALF = range(1, 5)
PRICE = 0.25


def make(name=GRID, count=2, price=PRICE, **settings):
    return AskQuestions(gymnasium.make_vec(name, num_envs=count, mode="hidden", **settings), price)


def single(name=GRID, price=PRICE):
    return SingleAskQuestions(gymnasium.make(name, mode="hidden"), price)


def red_things(envs):
    """Start where "something red" is the key at (4, 1) or the ball at (1, 6); the key is meant."""
    options = {
        "room": ROOM,
        "pose": (3, 1, SOUTH),
        "instruction": "something red",
        "intended": (4, 1),
    }
    return envs.reset(seed=0, options=options)


def actions(envs, asks, action=LEFT):
    space = envs.single_action_space["action"]
    acts = np.full((envs.num_envs, *space.shape), action, space.dtype)
    return {"action": acts, "ask": np.array(asks)}


def test_an_answer_leaves_the_intents_that_it_fits():
    envs = make()
    observation, info = red_things(envs)
    np.testing.assert_array_equal(observation["answers"], np.full((2, 4), -1))
    np.testing.assert_array_equal(info["intents"], [2, 2])
    observation, rewards, ended, truncated, info = envs.step(actions(envs, [TYPE, COLOUR]))
    np.testing.assert_array_equal(observation["answers"], [[-1, 1, -1, -1], [0, -1, -1, -1]])
    np.testing.assert_array_equal(info["intents"], [1, 2])
    np.testing.assert_array_equal(info["questions"], [1, 1])
    np.testing.assert_array_equal(rewards, [-PRICE, -PRICE])
    assert not (ended | truncated).any()
    np.testing.assert_allclose(info["ambiguity_bits"], 1.0)  # that of the instruction


def test_what_an_answer_rules_out_is_no_success_any_more():
    envs = make(count=1)
    options = {"room": ROOM, "pose": (3, 1, SOUTH), "instruction": "something red"}
    for asks, success in ([0], True), ([SIDE], False):
        envs.reset(seed=0, options=options | {"intended": (1, 6)})
        if asks != [0]:
            envs.step(actions(envs, asks))
        *_, info = envs.step(actions(envs, [0], DONE))
        assert info["is_success"].tolist() == [success]
        assert not info["intended_success"].any()


@pytest.mark.parametrize("name", WORLDS)
def test_whoever_asks_stays_and_the_others_act(name):
    envs, bare = make(name), gymnasium.make_vec(name, num_envs=2, mode="hidden")
    before, _ = envs.reset(seed=3)
    bare.reset(seed=3)
    after, *_ = envs.step(actions(envs, [HALF, 0], 1))
    moved, *_ = bare.step(actions(envs, [0, 0], 1)["action"])
    np.testing.assert_array_equal(after["observation"][0], before["observation"][0])
    np.testing.assert_array_equal(after["observation"][1], moved["observation"][1])
    assert not np.array_equal(moved["observation"][0], before["observation"][0])
    again, *_ = envs.step(actions(envs, [0, 0], 1))  # and goes on at the next step
    np.testing.assert_array_equal(again["observation"][0], moved["observation"][0])


@pytest.mark.parametrize("name", WORLDS)
def test_saying_done_while_asking_ends_nothing(name):
    envs = make(name)
    envs.reset(seed=0)
    _, _, ended, _, info = envs.step(actions(envs, [SIDE, HALF], DONE if name == GRID else 1))
    assert not ended.any()
    assert not info["is_success"].any()


def test_a_question_can_be_asked_again_and_costs_again():
    envs = make()
    red_things(envs)
    envs.step(actions(envs, [TYPE, 0]))
    observation, rewards, _, _, info = envs.step(actions(envs, [TYPE, 0]))
    np.testing.assert_array_equal(rewards, [-PRICE, 0])
    np.testing.assert_array_equal(info["questions"], [2, 0])
    np.testing.assert_array_equal(observation["answers"][0], [-1, 1, -1, -1])


@pytest.mark.parametrize("name", WORLDS)
def test_where_nothing_is_meant_nothing_is_answered(name):
    envs = make(name)
    envs.reset(seed=0, options={"instruction": "dance"})
    observation, rewards, _, _, info = envs.step(actions(envs, [SIDE, HALF], 0))
    np.testing.assert_array_equal(observation["answers"], np.full((2, 4), -1))
    np.testing.assert_array_equal(info["intents"], [0, 0])
    np.testing.assert_array_equal(rewards, [-PRICE, -PRICE])


def test_an_episode_that_starts_anew_knows_no_answers():
    envs = make()
    red_things(envs)
    envs.step(actions(envs, [TYPE, TYPE]))
    envs.step({"action": np.array([DONE, LEFT]), "ask": np.zeros(2, int)})
    # The next step of the first one starts it anew, and its question is ignored.
    observation, rewards, _, _, info = envs.step(actions(envs, [TYPE, SIDE]))
    np.testing.assert_array_equal(observation["answers"], [[-1, -1, -1, -1], [-1, 1, 0, -1]])
    np.testing.assert_array_equal(rewards, [0, -PRICE])
    np.testing.assert_array_equal(info["questions"], [0, 2])
    assert info["intents"][0] == round(2 ** info["ambiguity_bits"][0])


def test_a_reset_of_some_forgets_what_those_asked():
    envs = make(autoreset_mode="Disabled")
    red_things(envs)
    envs.step(actions(envs, [TYPE, TYPE]))
    mask = np.array([False, True])
    observation, info = envs.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(observation["answers"], [[-1, 1, -1, -1], [-1, -1, -1, -1]])
    np.testing.assert_array_equal(info["questions"], [1, 0])


def test_asking_takes_time():
    envs = make(max_episode_steps=2)
    red_things(envs)
    envs.step(actions(envs, [TYPE, 0]))
    *_, truncated, info = envs.step(actions(envs, [SIDE, 0]))
    assert truncated.all()
    np.testing.assert_array_equal(info["questions"], [2, 0])


# -- spaces, single environments ---------------------------------------------------------------


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_single_environment_passes_the_check_of_gymnasium(name):
    check_env(single(name), skip_render_check=True)


@pytest.mark.parametrize("name", WORLDS)
def test_a_vector_of_one_is_the_single_environment(name):
    one, envs = single(name), make(name, 1)
    seen, info = one.reset(seed=5)
    found, infos = envs.reset(seed=5)
    envs.single_action_space.seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(12):
            assert seen in one.observation_space == envs.single_observation_space
            assert found in envs.observation_space
            np.testing.assert_array_equal(seen["observation"], found["observation"][0])
            np.testing.assert_array_equal(seen["answers"], found["answers"][0])
            assert {name: value[0] for name, value in infos.items()} == info
            assert {type(value) for value in info.values()} <= {bool, float, int}
            action = one.action_space["action"].sample()
            ask = int(envs.single_action_space["ask"].sample())
            action = action if name == MAZE else min(int(action), 2)  # not done
            seen, reward, ended, truncated, info = one.step({"action": action, "ask": ask})
            batch = {"action": np.asarray(action)[None], "ask": np.array([ask])}
            found, rewards, *_, infos = envs.step(batch)
            assert (reward, type(reward)) == (rewards[0], float)
            if ended or truncated:
                break


def test_asking_goes_around_wrappers_that_leave_actions_as_they_are():
    tokeniser = WordTokeniser.learn(["go to the red ball"])
    env = SingleAskQuestions(
        TokenizeInstruction(gymnasium.make(GRID, mode="hidden"), tokeniser), PRICE
    )
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    observation, *_ = env.step({"action": LEFT, "ask": TYPE})
    assert observation["answers"][1] >= 0


def test_single_environment_goes_into_vectors_and_is_made_again():
    env = single()
    again = env.spec.make()
    assert isinstance(again, SingleAskQuestions)
    assert again.price == PRICE
    assert pickle.loads(pickle.dumps(env)).price == PRICE
    envs = SyncVectorEnv([single, single])
    observation, _ = envs.reset(seed=0)
    np.testing.assert_array_equal(observation["answers"], np.full((2, 4), -1))
    observation, rewards, *_ = envs.step(actions(envs, [TYPE, 0]))
    np.testing.assert_array_equal(rewards, [-PRICE, 0])


# -- refusals ----------------------------------------------------------------------------------


BAD = [
    ({"action": np.zeros(2, int)}, "got \\['action'\\]"),
    (np.zeros(2, int), "got ndarray"),
    (
        {"action": np.zeros(2, int), "ask": np.array([0, 5])},
        "there are 4 questions, and 'ask' is \\[0, 5\\]",
    ),
    (
        {"action": np.zeros(2, int), "ask": np.array([0, -1])},
        "there are 4 questions, and 'ask' is \\[0, -1\\]",
    ),
    ({"action": np.zeros(2, int), "ask": np.zeros(3, int)}, r"\[3\]"),
    ({"action": np.zeros(2, int), "ask": np.zeros(2)}, "float64"),
    ({"action": np.zeros(2, int), "ask": ["no", "no"]}, "<U2"),
    ({"action": np.full(2, 9), "ask": np.array([TYPE, 0])}, "an action is 0 to 3"),
]


@pytest.mark.parametrize(("wrong", "says"), BAD)
def test_a_wrong_action_is_refused_and_changes_nothing(wrong, says):
    envs = make()
    red_things(envs)
    with pytest.raises(ShapeError, match=says):
        envs.step(wrong)
    observation, _, _, _, info = envs.step(actions(envs, [0, 0]))
    np.testing.assert_array_equal(info["questions"], [0, 0])
    np.testing.assert_array_equal(info["intents"], [2, 2])
    assert (observation["observation"][..., 2].max((1, 2)) == 1).all()  # both turned left


@pytest.mark.parametrize("price", [-0.1, np.nan, np.inf, "cheap", None, True])
@pytest.mark.parametrize("build", [make, single])
def test_a_price_that_is_none_is_refused(price, build):
    with pytest.raises(ConfigError, match="price is what a question costs"):
        build(price=price)


def test_what_cannot_be_asked_is_refused():
    grid, envs = gymnasium.make(GRID), gymnasium.make_vec(GRID, num_envs=2)
    cases = [
        (AskQuestions, grid, "around a single one use SingleAskQuestions"),
        (AskQuestions, gymnasium.make_vec("CartPole-v1", num_envs=2), "a world of langrl"),
        (SingleAskQuestions, gymnasium.make("CartPole-v1"), "a world of langrl"),
        (SingleAskQuestions, envs, "vector environment"),
        (AskQuestions, AskQuestions(envs, 0.1), "needs the world's own actions"),
        (SingleAskQuestions, SingleAskQuestions(grid, 0.1), "needs the world's own actions"),
    ]
    for wrapper, env, says in cases:
        with pytest.raises(ConfigError, match=says):
            wrapper(env, 0.1)
