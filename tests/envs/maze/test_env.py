import math
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import langrl
from langrl.envs.maze.env import StreetMazeEnv, StreetMazeVectorEnv
from langrl.envs.maze.grammar import KINDS
from langrl.envs.maze.layouts import LAYOUTS, load_layout
from langrl.envs.maze.world import StreetMaze
from langrl.errors import InstructionError, LangRLError, LayoutError, ShapeError, UnknownNameError

FORK = StreetMaze("fork")
UP, DOWN, LEFT, RIGHT = (-1, 0), (1, 0), (0, -1), (0, 1)


def vector_of_one(**settings):
    return StreetMazeVectorEnv(1, **settings)


def single_and_vector(seed=0, options=None, **settings):
    single, vector = StreetMazeEnv(**settings), vector_of_one(**settings)
    results = single.reset(seed=seed, options=options), vector.reset(seed=seed, options=options)
    return single, vector, *results


# -- the API -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", langrl.MAZE_IDS)
def test_environment_passes_the_check_of_gymnasium(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(name, render_mode="rgb_array").unwrapped
        check_env(env)
    assert env.world.layout == load_layout(langrl.MAZE_IDS[name])


@pytest.mark.parametrize("kind", KINDS)
def test_environment_of_every_kind_passes_the_check_of_gymnasium(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = {"kinds": (kind,), "phrasing": "held_out", "angle_noise": 20.0}
        check_env(gymnasium.make("langrl/StreetMaze-Island-v0", **settings).unwrapped)


def test_every_published_maze_has_an_id():
    assert set(langrl.MAZE_IDS.values()) == set(LAYOUTS)


@pytest.mark.parametrize("name", langrl.MAZE_IDS)
def test_make_vec_uses_the_vector_environment(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gymnasium.make_vec(name, num_envs=3)
        observations, _ = envs.reset(seed=0)
    assert isinstance(envs, StreetMazeVectorEnv)
    assert envs.max_episode_steps == 100
    assert envs.world.layout == load_layout(langrl.MAZE_IDS[name])
    assert observations in envs.observation_space
    assert envs.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.NEXT_STEP


def test_gymnasium_can_vectorise_the_single_environment_too():
    envs = gymnasium.make_vec("langrl/StreetMaze-v0", num_envs=2, vectorization_mode="sync")
    envs.reset(seed=0, options={"position": (0.5, 12.5), "instruction": "row 1"})
    observations, rewards, *_ = envs.step(np.array([DOWN, UP], np.float32))
    np.testing.assert_array_equal(rewards, [1, 0])
    assert observations["instruction"] == ("row 1", "row 1")
    envs.close()


def test_made_environment_is_truncated_after_100_steps():
    env = gymnasium.make("langrl/StreetMaze-Blank-v0")
    env.reset(seed=0, options={"position": (5, 5), "instruction": "row 0"})
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


@pytest.mark.parametrize("as_file", [False, True])
def test_layout_may_be_text_or_a_file(as_file, tmp_path):
    text = "...\n.#.\n..."
    path = tmp_path / "ring.txt"
    path.write_text(text)
    layout = path if as_file else text
    for env in (
        gymnasium.make("langrl/StreetMaze-v0", layout=layout).unwrapped,
        gymnasium.make_vec("langrl/StreetMaze-v0", num_envs=2, layout=layout),
    ):
        env.reset(seed=0)
        assert env.world.layout.text == text


def test_observations_and_instructions_are_in_the_spaces():
    single, vector = StreetMazeEnv("island", KINDS), StreetMazeVectorEnv(3, "island", KINDS)
    for env in (single, vector):
        observation, _ = env.reset(seed=0)
        assert observation in env.observation_space
        env.action_space.seed(1)
        for _ in range(30):
            observation, *_ = env.step(env.action_space.sample())
            assert observation in env.observation_space


@pytest.mark.parametrize("make", [StreetMazeEnv, vector_of_one])
@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"layout": "forkk"}, UnknownNameError, "did you mean 'fork'"),
        ({"layout": "..\n..."}, LayoutError, "ragged"),
        ({"kinds": ("rows",)}, UnknownNameError, "did you mean 'row'"),
        ({"kinds": ()}, InstructionError, "choose some of row, column"),
        ({"phrasing": "sen"}, UnknownNameError, "did you mean 'seen'"),
        ({"angle_noise": -1.0}, LangRLError, "angle_noise"),
        ({"angle_noise": float("nan")}, LangRLError, "angle_noise"),
    ],
)
def test_wrong_setting_is_refused_when_the_environment_is_made(make, settings, error, says):
    with pytest.raises(error, match=says):
        make(**settings)


# -- episodes ------------------------------------------------------------------------------------


def test_reaching_a_denoted_cell_ends_the_episode_with_reward_1():
    env = StreetMazeEnv("blank")
    env.reset(seed=0, options={"position": (0.2, 5.0), "instruction": "go to row 1"})
    _, reward, terminated, truncated, info = env.step(np.array(DOWN))  # to 0.7
    assert (reward, terminated, truncated, info["is_success"]) == (0.0, False, False, False)
    _, reward, terminated, truncated, info = env.step(np.array(DOWN))  # to 1.2
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)


def test_unknown_text_has_no_ambiguity_and_no_success():
    single, vector, (_, info), (_, infos) = single_and_vector(options={"instruction": "dance"})
    for number in (info["ambiguity_bits"], info["shortest_steps"]):
        assert math.isnan(number)
    assert np.isnan(infos["ambiguity_bits"]).all()
    assert np.isnan(infos["shortest_steps"]).all()
    for angle in np.linspace(0, 20, 60):
        action = np.array([np.sin(angle), np.cos(angle)])
        observation, reward, terminated, _, info = single.step(action)
        assert (reward, terminated, info["is_success"]) == (0.0, False, False)
        assert observation["instruction"] == "dance"
        _, rewards, terminations, _, infos = vector.step(action[None])
        assert not np.concatenate([rewards, terminations, infos["is_success"]]).any()


@pytest.mark.parametrize("options", [None, {"position": (8.5, 0.5)}, {"instruction": "row 0"}])
def test_start_does_not_satisfy_the_instruction(options):
    env = StreetMazeVectorEnv(50, "fork", kinds=KINDS)
    observations, infos = env.reset(seed=0, options=options)
    assert (infos["shortest_steps"] > 0).all()
    for position, text in zip(
        observations["observation"], observations["instruction"], strict=True
    ):
        assert not env.denotation(position[None], text)[0]


def test_start_that_every_cell_satisfies_is_satisfied():
    env = StreetMazeEnv("..\n..")
    _, info = env.reset(seed=0, options={"instruction": "row 0 or row 1"})
    assert info["shortest_steps"] == 0
    assert env.step(np.zeros(2))[2]


def test_unknown_text_after_a_known_one_has_no_success_either():
    env = StreetMazeEnv("blank")
    for text, success in (("row 5", True), ("dance", False)):
        env.reset(seed=0, options={"position": (4.7, 5), "instruction": text})
        assert env.step(np.array(DOWN))[2] is success


def test_reset_takes_the_instruction_and_the_position():
    single, vector, (observation, _), (observations, _) = single_and_vector(
        options={"position": (2.25, 3.5), "instruction": "Head over, to row 9!"}
    )
    assert observation["instruction"] == "Head over, to row 9!"
    np.testing.assert_array_equal(observation["observation"], (2.25, 3.5))
    assert observations["instruction"] == ("Head over, to row 9!",)
    np.testing.assert_array_equal(observations["observation"], [(2.25, 3.5)])
    for env in (single, vector):  # the options are for that episode only
        observation, _ = env.reset()
        assert "Head over, to row 9!" not in observation["instruction"]


def test_vector_reset_takes_one_option_for_all_or_one_for_each():
    envs = StreetMazeVectorEnv(2, "blank")
    options = {"position": [(1, 1), (2, 2)], "instruction": ["row 5", "column 5"]}
    observations, infos = envs.reset(options=options)
    assert observations["instruction"] == ("row 5", "column 5")
    np.testing.assert_array_equal(observations["observation"], [(1, 1), (2, 2)])
    np.testing.assert_array_equal(infos["shortest_steps"], [8, 6])
    observations, _ = envs.reset(options={"position": (3, 4), "instruction": "row 5"})
    assert observations["instruction"] == ("row 5", "row 5")
    np.testing.assert_array_equal(observations["observation"], [(3, 4), (3, 4)])


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"instruction": ""}, InstructionError, "say where to go"),
        ({"instruction": "row\x003"}, InstructionError, r"U\+0000"),
        ({"instruction": "row 99"}, InstructionError, "0 to 14"),
        ({"instruction": 5}, InstructionError, "int"),
        ({"instruction": b"row 3"}, InstructionError, "bytes"),
        ({"instruction": ["row 3"] * 3}, ShapeError, "instructions, got 3"),
        ({"position": (1.5, 3.5)}, LayoutError, "in a wall or outside"),
        ({"position": (-0.1, 3.5)}, LayoutError, "in a wall or outside"),
        ({"position": (3.5, 15.0)}, LayoutError, "in a wall or outside"),
        ({"position": (np.nan, 3.5)}, LangRLError, "position"),
        ({"position": (0.5, 3.5, 1.0)}, ShapeError, "position"),
        ({"position": 0.5}, ShapeError, "position"),
        ({"position": [[0.5]]}, ShapeError, "position"),
        ({"position": "here"}, LangRLError, "position"),
        ({"positon": (0, 0)}, InstructionError, "no reset option 'positon'"),
    ],
)
@pytest.mark.parametrize("count", [None, 2])
def test_wrong_reset_option_is_refused(options, error, says, count):
    env = StreetMazeEnv("fork") if count is None else StreetMazeVectorEnv(count, "fork")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=says):
            env.reset(seed=0, options=options)


def test_maze_whose_starts_all_satisfy_the_instruction_asks_for_more_kinds():
    with pytest.raises(InstructionError, match="allow more kinds"):
        StreetMazeEnv("...", kinds=("row",)).reset(seed=0)


def test_observations_and_infos_are_not_changed_by_later_steps():
    single, vector, *resets = single_and_vector(seed=1, layout="blank", kinds=KINDS)
    for env, result in zip((single, vector), resets, strict=True):
        kept, copies = [result], [pickle.loads(pickle.dumps(result))]
        for _ in range(150):  # the vector environment starts new episodes, too
            kept.append(env.step(np.broadcast_to(np.array(DOWN), env.action_space.shape)))
            copies.append(pickle.loads(pickle.dumps(kept[-1])))
        for one, other in zip(kept, copies, strict=True):
            np.testing.assert_equal(one, other)


def test_changing_an_observation_does_not_move_the_agent():
    single, vector, (observation, _), (observations, infos) = single_and_vector(seed=1)
    before = observation["observation"].copy()
    kept = {key: value.copy() for key, value in infos.items()}
    observation["observation"][:] = 0
    observations["observation"][:] = 0
    for values in infos.values():
        values[:] = 9
    np.testing.assert_array_equal(single.step(np.zeros(2))[0]["observation"], before)
    observations, *_, infos = vector.step(np.zeros((1, 2)))
    np.testing.assert_array_equal(observations["observation"][0], before)
    np.testing.assert_equal(infos, kept)


# -- single and vector, seeds and noise ----------------------------------------------------------


def assert_step_for_step_equal(single, vector, resets, actions):
    """Compare until the episode ends; return how many steps that were."""
    (observation, info), (observations, infos) = resets
    rest = batch = ()
    for step, action in enumerate(actions):
        np.testing.assert_array_equal(observations["observation"][0], observation["observation"])
        assert observations["instruction"] == (observation["instruction"],)
        assert [array[0] for array in batch] == list(rest)
        assert set(info) == set(infos)
        for key in info:
            np.testing.assert_equal(infos[key][0], info[key])
        if rest and rest[1]:
            return step
        observation, *rest, info = single.step(action)
        observations, *batch, infos = vector.step(action[None])
    return len(actions)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_single_and_vector_environment_are_equal_with_the_same_options(layout):
    generator = np.random.default_rng(0)
    options = {"position": (8.5, 9.5), "instruction": "the top left corner"}
    single, vector, *resets = single_and_vector(options=options, layout=layout)
    actions = generator.normal([-0.5, -0.5], 1.0, (90, 2)).astype(np.float32)
    assert assert_step_for_step_equal(single, vector, resets, actions) > 5


@pytest.mark.parametrize("seed", range(5))
def test_single_and_vector_environment_are_equal_with_the_same_seed(seed):
    settings = {"layout": "fork", "kinds": KINDS, "angle_noise": 30.0}
    single, vector, *resets = single_and_vector(seed=seed, **settings)
    actions = np.random.default_rng(seed).normal(size=(90, 2)).astype(np.float32)
    assert_step_for_step_equal(single, vector, resets, actions)


def test_step_after_the_end_starts_a_new_episode_and_ignores_its_action():
    def episodes(last_action):
        envs = StreetMazeVectorEnv(2, "blank")
        envs.reset(seed=0, options={"position": (0.7, 5.0), "instruction": "row 1"})
        first = envs.step(np.array([DOWN, UP]))
        return first, envs.step(np.array([last_action, UP])), envs

    (_, rewards, terminations, truncations, infos), second, envs = episodes(DOWN)
    np.testing.assert_array_equal(rewards, [1, 0])
    np.testing.assert_array_equal(terminations, [True, False])
    np.testing.assert_array_equal(truncations, [False, False])
    np.testing.assert_array_equal(infos["is_success"], [True, False])
    observations, rewards, terminations, truncations, infos = second
    assert not np.concatenate([rewards, terminations, truncations, infos["is_success"]]).any()
    assert observations["instruction"][1] == "row 1"
    assert observations["instruction"][0] != "row 1"
    start = observations["observation"][:1]
    assert not envs.denotation(start, observations["instruction"][0])[0]
    assert infos["shortest_steps"][0] > 0
    for other_action in (UP, (0, 0), (0.3, -0.2)):
        np.testing.assert_equal(episodes(other_action)[1], second)
    moved = envs.step(np.array([RIGHT, UP]))[0]["observation"]  # the new episode goes on
    assert not np.array_equal(moved[0], start[0])


def test_first_step_of_a_new_episode_counts_from_zero():
    envs = StreetMazeVectorEnv(1, "blank", max_episode_steps=3)
    envs.reset(seed=0, options={"position": (5, 5), "instruction": "row 0"})
    ends = [bool(envs.step(np.zeros((1, 2)))[3][0]) for _ in range(11)]
    assert ends == [False, False, True, False] * 2 + [False, False, True]


def test_reset_in_the_middle_of_an_episode_starts_the_clock_anew():
    envs = StreetMazeVectorEnv(1, "blank", max_episode_steps=3)
    for steps in (2, 3, 3):  # the second reset finds an episode under way, the third an ended one
        envs.reset(seed=0, options={"position": (5, 5), "instruction": "row 0"})
        results = [envs.step(np.array([DOWN])) for _ in range(steps)]
        assert [bool(result[3][0]) for result in results] == [False, False, True][:steps]
        np.testing.assert_array_equal(results[-1][0]["observation"], [(5 + steps / 2, 5)])


def test_vector_environment_truncates_after_100_steps():
    envs = StreetMazeVectorEnv(2, "blank")
    envs.reset(seed=0, options={"position": (5, 5), "instruction": "row 0"})
    for step in range(1, 101):
        _, rewards, terminations, truncations, _ = envs.step(np.zeros((2, 2)))
        assert not np.concatenate([rewards, terminations]).any()
        assert truncations.all() == truncations.any() == (step == 100)


def test_success_in_the_last_step_ends_at_the_limit_too():
    envs = StreetMazeVectorEnv(1, "blank", max_episode_steps=1)
    envs.reset(seed=0, options={"position": (0.7, 5.0), "instruction": "row 1"})
    _, _, terminations, truncations, _ = envs.step(np.array([DOWN]))
    assert terminations[0]
    assert truncations[0]


@pytest.mark.parametrize("make", [StreetMazeEnv, vector_of_one])
def test_noise_is_the_same_for_every_agent(make):
    def angles(seed, heading):
        env = make(layout="blank", angle_noise=20.0)
        action = np.broadcast_to(
            np.array([np.sin(heading), np.cos(heading)]), env.action_space.shape
        )
        turned = []
        env.reset(seed=seed)
        for _ in range(6):
            env.reset(options={"position": (5, 5), "instruction": "dance"})
            place = env.step(action)[0]["observation"].reshape(2) - 5
            turned.append((np.arctan2(*place) - heading + np.pi) % (2 * np.pi) - np.pi)
        return np.array(turned)

    np.testing.assert_allclose(angles(0, 0.0), angles(0, 2.0), atol=1e-5)
    assert not np.allclose(angles(0, 0.0), angles(1, 0.0), atol=1e-2)
    assert 0 < np.abs(angles(0, 0.0)).mean() < np.deg2rad(60)


def test_noise_has_the_standard_deviation_asked_for():
    envs = StreetMazeVectorEnv(4000, "blank", angle_noise=10.0)
    envs.reset(seed=0, options={"position": (5, 5), "instruction": "dance"})
    places = envs.step(np.tile(np.array(RIGHT), (4000, 1)))[0]["observation"] - 5
    angles = np.rad2deg(np.arctan2(places[:, 0], places[:, 1]))
    assert abs(angles.mean()) < 0.7  # standard error 0.16
    assert angles.std() == pytest.approx(10, rel=0.06)


def test_tasks_of_unfinished_episodes_do_not_depend_on_the_actions():
    def reset_twice(action):
        envs = StreetMazeVectorEnv(3, "fork", angle_noise=20.0)
        envs.reset(seed=0, options={"instruction": "dance"})
        for _ in range(10):
            envs.step(np.tile(action, (3, 1)))
        return envs.reset()

    np.testing.assert_equal(reset_twice(np.array(UP)), reset_twice(np.array(RIGHT)))


@pytest.mark.parametrize("make", [StreetMazeEnv, vector_of_one])
def test_noise_follows_a_generator_that_was_set_before_the_first_reset(make):
    def place(seed):
        env = make(layout="blank", angle_noise=20.0)
        env.np_random = np.random.default_rng(seed)
        env.reset(options={"position": (5, 5), "instruction": "dance"})
        action = np.broadcast_to(np.array(RIGHT), env.action_space.shape)
        return env.step(action)[0]["observation"].reshape(2)

    assert not np.array_equal(place(1), place(2))


# -- images --------------------------------------------------------------------------------------


def test_image_shows_walls_denoted_cells_and_the_agent():
    env = StreetMazeEnv("fork", render_mode="rgb_array")
    env.reset(seed=0, options={"position": (0.5, 0.5), "instruction": "row 2"})
    image = env.render()
    assert image.dtype == np.uint8
    assert image.shape == (15 * 24, 15 * 24, 3)

    def colour(row, column):
        return tuple(image[int(row * 24), int(column * 24)])

    agent, wall, denoted, free = (
        colour(0.5, 0.5),
        colour(1.5, 0.5),
        colour(2.5, 5.5),
        colour(4.5, 3.5),
    )
    assert len({agent, wall, denoted, free}) == 4
    assert colour(13.5, 9.5) == wall
    assert colour(2.5, 14.5) == denoted
    assert colour(1.5, 10.5) == free
    env.step(np.array(RIGHT))
    assert tuple(env.render()[12, 24]) == agent


def test_rendering_without_a_mode_warns_and_returns_nothing():
    env = StreetMazeEnv("fork")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
