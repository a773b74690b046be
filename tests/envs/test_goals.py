import pickle
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch

from langrl.envs.goals import NO_TASK, BoxGoals, FrameGoals, Goals
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.grammar import parse
from langrl.envs.grid.rooms import DONE, GRID_WORLDS, draw_rooms, observe, reachable_poses
from langrl.envs.maze.goals import MazeGoals
from langrl.errors import DomainError, GroundingError, LangRLError, NonFiniteError, ShapeError

SIZE = GRID_WORLDS["goto"].size


def rng(seed=0):
    return np.random.default_rng(seed)


def observe_rooms(count, seed=0):
    """First observations of grid worlds, uint8 [N, H, W, 3]."""
    env = gymnasium.make_vec("langrl/GridGoTo-v0", num_envs=count)
    return env.reset(seed=seed)[0]["observation"]


def mean_colours(images):
    """A cheap encoder: brightness in three thirds of an image, and a constant [M, 4]."""
    thirds = np.array_split(images.astype(np.float32) / 255, 3, axis=2)
    means = [third.mean((1, 2, 3)) for third in thirds]
    return np.stack([*means, np.ones(len(images))], 1)


class Screen(gymnasium.Env):
    """A square that an action moves; what is observed is where it is."""

    metadata = {"render_modes": ["rgb_array"]}
    observation_space = gymnasium.spaces.Box(0, 7, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    render_mode = "rgb_array"

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = int(self.np_random.integers(8))
        return np.array([self.at], np.float32), {}

    def step(self, action):
        self.at = int(np.clip(self.at + 2 * action - 1, 0, 7))
        return np.array([self.at], np.float32), 0.0, False, False, {}

    def render(self):
        image = np.zeros((8, 8, 3), np.uint8)
        image[:, self.at] = 255
        return image


def columns_of(images):
    """Which column of a ``Screen`` is bright [M, 8]."""
    return images[:, 0, :, 0].astype(np.float32)


def screens(*columns):
    """Images of ``Screen``."""
    images = np.zeros((len(columns), 8, 8, 3), np.uint8)
    for image, column in zip(images, columns, strict=True):
        image[:, column] = 255
    return images


def frame_goals(env=None, **settings):
    return FrameGoals(env or Screen(), columns_of, **settings)


# -- what all goals offer --------------------------------------------------------------------


@pytest.fixture(params=["maze", "pose", "box", "frame"])
def some_goals(request, world):
    """Goals of each sort, with first observations of episodes."""
    if request.param == "maze":
        return MazeGoals(world), world.sample_states(1, rng())
    if request.param == "pose":
        return PoseGoals(SIZE), observe_rooms(1)
    if request.param == "box":
        return BoxGoals([-1, 0], [1, 2], 0.1, columns=[2, 0]), np.zeros((1, 4), np.float32)
    return frame_goals(), np.zeros((1, 1), np.float32)


def test_every_sort_is_goals(some_goals):
    goals, observations = some_goals
    assert isinstance(goals, Goals)
    drawn, achieved = goals.draw(observations, rng()), goals.achieved(observations)
    assert drawn.shape == achieved.shape == (1, *goals.space.shape)
    assert drawn.dtype == achieved.dtype == goals.space.dtype
    assert goals.space.contains(drawn[0])
    assert goals.space.contains(achieved[0])


def test_the_generator_decides_the_goals(some_goals):
    goals, observations = some_goals
    one, two = ([goals.draw(observations, rng(1)).tolist() for _ in range(2)] for _ in range(2))
    assert one == two
    generator = rng(1)
    assert len({str(goals.draw(observations, generator)) for _ in range(20)}) > 1


def test_whether_goals_are_reached_is_asked_of_any_batch(some_goals):
    goals, observations = some_goals
    generator = rng()
    drawn = np.stack([goals.draw(observations, generator)[0] for _ in range(6)])
    others = drawn[[0, 0, 2, 2, 4, 4]]
    whole = goals.reached(drawn, others)
    assert whole.dtype == bool
    assert whole.shape == (6,)
    assert whole.tolist() == [bool(goals.reached(a, d)) for a, d in zip(drawn, others, strict=True)]
    square = goals.reached(drawn.reshape(2, 3, -1), others.reshape(2, 3, -1))
    assert np.array_equal(square, whole.reshape(2, 3))
    assert goals.reached(drawn, drawn).all()
    assert goals.reached(drawn[:, None], drawn[None]).shape == (6, 6)


def test_what_is_achieved_is_not_changed_by_the_observation_afterwards(some_goals):
    goals, observations = some_goals
    observations = observations.copy()
    achieved = goals.achieved(observations)
    before = achieved.copy()
    observations[...] = 0
    assert np.array_equal(achieved, before)


def test_pickled_goals_draw_the_same(some_goals):
    goals, observations = some_goals
    copied = pickle.loads(pickle.dumps(goals))
    assert np.array_equal(copied.draw(observations, rng(2)), goals.draw(observations, rng(2)))


def test_no_grammar_reads_that_there_is_no_task(world):
    text = NO_TASK["instruction"]
    assert world.denotation(world.sample_states(5, rng()), text) is None
    assert parse(text) is None


# -- positions in a maze ---------------------------------------------------------------------


def test_a_position_is_reached_in_its_cell(world):
    goals = MazeGoals(world)
    desired = np.float32([2.5, 1.2])
    achieved = np.float32([[2.0, 1.999], [2.999, 1.0], [1.999, 1.2], [2.5, 2.0], [3.0, 1.2]])
    assert goals.reached(achieved, desired).tolist() == [True, True, False, False, False]


def test_positions_are_drawn_where_one_can_be(world):
    drawn = MazeGoals(world).draw(np.zeros((300, 2)), rng())
    assert world.inside(drawn, ~world.walls).all()
    cells = {tuple(cell) for cell in np.floor(drawn).astype(int).tolist()}
    assert cells == {tuple(cell) for cell in np.argwhere(~world.walls).tolist()}


def test_what_is_achieved_in_a_maze_is_where_one_is(world):
    positions = world.sample_states(3, rng())
    assert np.array_equal(MazeGoals(world).achieved(positions), positions)


# -- poses in a room -------------------------------------------------------------------------


def test_a_pose_counts_once_done_is_said():
    observations = observe_rooms(3)
    goals = PoseGoals(SIZE)
    quiet, said = goals.achieved(observations), goals.achieved(observations, np.array([0, DONE, 2]))
    assert quiet[:, 3].tolist() == [0, 0, 0]
    assert said[:, 3].tolist() == [0, 1, 0]
    assert np.array_equal(quiet[:, :3], said[:, :3])
    assert goals.reached(said, quiet).tolist() == [True, False, True]


def test_a_pose_is_row_column_and_direction():
    room = draw_rooms(GRID_WORLDS["goto"], 1, rng())
    seen = observe(room, np.array([[2, 5, 3]]))
    assert PoseGoals(SIZE).achieved(seen).tolist() == [[2, 5, 3, 0]]


def test_poses_are_drawn_among_those_that_can_be_reached_with_done_said():
    observations = observe_rooms(2)
    goals = PoseGoals(SIZE)
    listed = reachable_poses(observations)
    reachable = [{tuple(pose) for pose in poses.tolist()} for poses in listed]
    generator = rng()
    for _ in range(50):
        drawn = goals.draw(observations, generator)
        assert (drawn[:, 3] == 1).all()
        for pose, known in zip(drawn[:, :3].astype(int).tolist(), reachable, strict=True):
            assert tuple(pose) in known


def test_poses_of_another_world_are_refused():
    with pytest.raises(ShapeError, match="observations of a grid world"):
        PoseGoals(SIZE).achieved(np.zeros((1, 4), np.float32))


# -- numbers of a vector ---------------------------------------------------------------------


def test_the_goal_is_some_numbers_of_the_observation():
    observations = np.arange(8.0).reshape(2, 4)
    assert BoxGoals([0], [1], 0.1).achieved(observations).tolist() == [[0], [4]]
    picked = BoxGoals([0, 0], [1, 1], 0.1, columns=[3, -3])
    assert picked.achieved(observations).tolist() == [[3, 1], [7, 5]]


def test_goals_are_drawn_between_low_and_high():
    low, high = np.float32([-1.2, 0.1, 3]), np.float32([0.6, 0.2, 3])
    drawn = BoxGoals(low, high, 0.1).draw(np.zeros((1000, 3)), rng())
    assert drawn.shape == (1000, 3)
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    assert np.allclose(drawn.min(0), low, atol=0.01)
    assert np.allclose(drawn.max(0), high, atol=0.01)


def test_only_goals_that_are_accepted_are_drawn():
    goals = BoxGoals([-1, -1], [1, 1], 0.1, accept=lambda g: np.linalg.norm(g, axis=1) < 0.5)
    drawn = goals.draw(np.zeros((200, 2)), rng())
    assert drawn.shape == (200, 2)
    assert (np.linalg.norm(drawn, axis=1) < 0.5).all()


def test_a_goal_is_reached_within_the_tolerance_in_a_straight_line():
    goals = BoxGoals([0, 0], [9, 9], 0.5)
    achieved = np.array([[1, 1.5], [1.3, 1.4], [1.4, 1.4], [1, 1.501], [0.5, 1]])
    assert goals.reached(achieved, np.array([1, 1])).tolist() == [True, True, False, False, True]
    assert BoxGoals([0], [9], 0).reached(np.array([1.0]), np.array([1.0]))


def test_a_rule_that_takes_nothing_is_an_error():
    never = BoxGoals([0], [1], 0.1, accept=lambda goals: np.zeros(len(goals), bool))
    with pytest.raises(ShapeError, match="accept took too few"):
        never.draw(np.zeros((1, 1)), rng())


@pytest.mark.parametrize(
    ("accept", "says"),
    [
        (lambda goals: True, r"accept gives bool \[\] for 4 goals"),
        (lambda goals: np.arange(len(goals)), r"accept gives int64 \[4\]"),
        (lambda goals: goals > 0, r"bool \[4, 1\].*let it return bool \[4\]"),
    ],
)
def test_a_rule_that_gives_no_mask_is_refused(accept, says):
    with pytest.raises(ShapeError, match=says):
        BoxGoals([0], [1], 0.1, accept=accept).draw(np.zeros((1, 1)), rng())


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([0, 0], [1], 0.1), ShapeError, r"a number for each of a goal's, got \[2\], \[1\]"),
        ((0.0, 1.0, 0.1), ShapeError, "must be lists"),
        (([0], [1], 0.1, [0, 1]), ShapeError, r"\[1\], \[1\] and \[2\]"),
        (([1], [0], 0.1), ShapeError, "low must be at most high"),
        (([0], [np.inf], 0.1), ShapeError, "both finite"),
        (([np.nan], [1], 0.1), ShapeError, "low must be at most high"),
        (([], [], 0.1), ShapeError, "at least one number"),
        ((["left"], ["right"], 0.1), ShapeError, "lists of numbers"),
        (([0], [1], 0.1, "x"), ShapeError, "lists of numbers"),
        (([0], [1], -0.1), DomainError, "tolerance is a finite number of at least 0, got -0.1"),
        (([0], [1], np.nan), DomainError, "tolerance"),
        (([0], [1], "near"), DomainError, "got 'near'"),
        (([0], [1], None), DomainError, "tolerance"),
    ],
)
def test_wrong_bounds_or_tolerance_are_refused(arguments, error, says):
    with pytest.raises(error, match=says) as caught:
        BoxGoals(*arguments)
    assert isinstance(caught.value, LangRLError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 3), (1, 8, 8, 3)])
def test_columns_that_the_observation_has_not_are_named(shape):
    with pytest.raises(ShapeError, match=r"numbers \[5\] of vectors.*FlattenObservation"):
        BoxGoals([0], [1], 0.1, columns=[5]).achieved(np.zeros(shape))


# -- images --------------------------------------------------------------------------------


def test_what_is_achieved_is_the_embedding_of_the_present_frame():
    env = Screen()
    goals = frame_goals(env)
    for column in (3, 5):
        env.at = column
        assert goals.achieved(np.zeros((1, 1))).tolist() == [np.eye(8)[column].tolist()]


def test_images_are_the_goals_that_are_drawn():
    env = Screen()
    goals = FrameGoals(env, columns_of, images=screens(2, 6))
    env.reset(seed=0)
    env.at = 4
    goals.achieved(np.zeros((1, 1)))  # a frame that is seen is no goal then
    drawn = goals.draw(np.zeros((40, 1)), rng())
    assert {int(row.argmax()) for row in drawn} == {2, 6}


def test_frames_that_were_seen_are_the_goals_that_are_drawn():
    env = Screen()
    goals = frame_goals(env)
    before = {int(row.argmax()) for row in goals.draw(np.zeros((200, 1)), rng())}
    assert len(before) > 1  # a walk came before
    new = next(column for column in range(8) if column not in before)
    env.at = new
    goals.achieved(np.zeros((1, 1)))
    after = {int(row.argmax()) for row in goals.draw(np.zeros((400, 1)), rng())}
    assert after == before | {new}
    goals.forget()
    assert {int(row.argmax()) for row in goals.draw(np.zeros((400, 1)), rng())} == before


def test_the_walk_before_is_the_same_and_leaves_the_environment_unseeded():
    envs = Screen(), Screen()
    drawn = [frame_goals(env).draw(np.zeros((50, 1)), rng()) for env in envs]
    assert np.array_equal(*drawn)
    assert envs[0].np_random.integers(2**62) != envs[1].np_random.integers(2**62)


def test_images_need_no_walk():
    env = Screen()
    FrameGoals(env, columns_of, images=screens(2), similarity=0.9)
    assert not hasattr(env, "at")


def test_a_image_is_reached_by_cosine():
    goals = frame_goals(similarity=0.8)
    desired = np.float32([1, 0, 0, 0])
    cosines = [1, 0.81, 0.79, 0, -1]
    achieved = [[c, np.sqrt(1 - c**2), 0, 0] for c in cosines]
    assert goals.reached(np.array(achieved), desired).tolist() == [True, True, False, False, False]
    longer = 3 * np.array(achieved)
    assert goals.reached(longer, 0.5 * desired).tolist() == [True, True, False, False, False]
    assert not goals.reached(np.zeros(4), desired)


def test_the_same_frame_is_reached_at_a_similarity_of_1():
    goals = FrameGoals(Screen(), mean_colours, similarity=1.0)
    drawn = goals.draw(np.zeros((20, 1)), rng())
    assert goals.reached(drawn, drawn).all()


def test_tensors_of_any_precision_are_taken():
    goals = FrameGoals(Screen(), lambda p: torch.from_numpy(columns_of(p)).bfloat16())
    assert goals.space.shape == (8,)
    assert goals.space.dtype == np.float32
    tracked = torch.nn.Linear(8, 3)
    assert FrameGoals(Screen(), lambda p: tracked(torch.from_numpy(columns_of(p)))).space.shape == (
        3,
    )


def test_a_batch_has_no_one_frame():
    with pytest.raises(ShapeError, match="one frame at a time"):
        frame_goals().achieved(np.zeros((2, 1)))


@pytest.mark.parametrize("mode", [None, "human", "ansi", "rgb_array_list"])
def test_an_environment_that_renders_no_images_is_refused(mode):
    env = Screen()
    env.render_mode = mode
    with pytest.raises(GroundingError, match=r'render_mode="rgb_array"'):
        FrameGoals(env, columns_of)


def fixed(value):
    return lambda images: value


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"images": []}, ShapeError, r"uint8 \[M, H, W, 3\]"),
        ({"images": screens(1)[0]}, ShapeError, r"got uint8 \[8, 8, 3\]"),
        ({"images": screens(1) / 255}, ShapeError, "got float64"),
        ({"images": [screens(1)[0], screens(1)[0, :4]]}, ShapeError, "all of one size"),
        ({"similarity": 1.5}, DomainError, "at most 1, got 1.5"),
        ({"similarity": "high"}, DomainError, "similarity"),
        ({"encode_image": None}, GroundingError, "encode_image of a language-image model"),
        ({"encode_image": fixed(np.zeros(3))}, ShapeError, r"\[3\] for 16 images"),
        ({"encode_image": fixed("red")}, ShapeError, "gives no array of numbers, but str"),
        ({"encode_image": fixed(np.full((16, 2), np.nan))}, NonFiniteError, "not finite"),
        ({"encode_image": fixed(np.zeros((16, 0)))}, ShapeError, r"not \[M, D\]"),
    ],
)
def test_wrong_images_encoder_or_similarity_are_refused(settings, error, says):
    make = partial(FrameGoals, Screen(), **{"encode_image": columns_of} | settings)
    with pytest.raises(error, match=says) as caught:
        make()
    assert isinstance(caught.value, LangRLError)
    assert "\n" not in str(caught.value)
