import numpy as np
import pytest
import torch

from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import (
    ACTIONS,
    GRID_WORLDS,
    draw_rooms,
    is_free,
    list_poses,
    move,
    observe,
)
from langrl.errors import ShapeError
from langrl.models.config import GridCriticConfig
from langrl.models.critics.instructed import (
    CODES,
    Conditioned,
    EmbeddedTextBody,
    ImageBody,
    ImageReader,
    TokenisedTextBody,
    VectorBody,
    agent_view,
    free_cells,
    pose_offset,
    view_side,
)
from langrl.tasks.grid.agent import build_grid_critic

EAST, SOUTH, WEST, NORTH = range(4)
BALL, KEY, DOOR = TYPES["ball"], TYPES["key"], TYPES["door"]
OUTSIDE = (WALL, 0)


def seen(room, row, column, direction):
    """The observation [1, 3, H, W] of an agent in a room [H, W, 2]."""
    images = observe(np.asarray(room, np.uint8)[None], np.array([[row, column, direction]]))
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def empty_room(height, width):
    room = np.full((height, width, 2), (WALL, COLOURS["grey"]), np.uint8)
    room[1:-1, 1:-1] = (EMPTY, 0)
    return room


def some_observations(world="rooms", count=200):
    """Observations uint8 [B, H, W, 3] of agents anywhere in drawn rooms, and their poses [B, 3]."""
    generator = np.random.default_rng(0)
    rooms = draw_rooms(GRID_WORLDS[world], count, generator)
    poses = np.stack([generator.choice(list_poses(free)) for free in is_free(rooms)])
    return observe(rooms, poses), poses


# -- what an agent sees ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "cells"),
    [
        (EAST, [[2, 7, 2], [5, 1, 2], [2, 2, 2]]),
        (SOUTH, [[2, 2, 2], [7, 1, 2], [2, 5, 2]]),
        (WEST, [[2, 2, 2], [2, 1, 5], [2, 7, 2]]),
        (NORTH, [[2, 5, 2], [2, 1, 7], [2, 2, 2]]),
    ],
)
def test_a_view_worked_by_hand(direction, cells):
    # The agent in row 1, column 1; a key (5) north of it, in the wall, and a box (7) east of it.
    room = empty_room(4, 4)
    room[0, 1] = (KEY, 1)
    room[1, 2] = (TYPES["box"], 2)
    room[2] = (WALL, 5)
    view = agent_view(seen(room, 1, 1, direction))
    assert view.shape == (1, 2, 3, 3)
    assert view[0, 0].tolist() == cells


def test_a_view_reaches_beyond_the_room_and_that_is_wall():
    view = agent_view(seen(empty_room(5, 5), 1, 1, NORTH))[0]
    assert view.shape == (2, 5, 5)
    cells = view.permute(1, 2, 0).tolist()
    assert all(tuple(cell) == OUTSIDE for cell in cells[0])  # two cells north of row 1
    assert all(tuple(row[0]) == OUTSIDE for row in cells)  # two cells west of column 1
    assert cells[1][1:] == [[WALL, COLOURS["grey"]]] * 4
    assert cells[2][2] == [EMPTY, 0]


def turned_by_numpy(observation, pose):
    """The oracle: pad the room, cut out the cells around the agent, turn them."""
    height, width = observation.shape[:2]
    reach = max(height, width) - 3
    padded = np.empty((height + 2 * reach, width + 2 * reach, 2), np.uint8)
    padded[:] = OUTSIDE
    padded[reach : reach + height, reach : reach + width] = observation[..., :2]
    row, column, direction = pose
    cut = padded[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
    return np.rot90(cut, direction + 1)  # looking east, east is turned up


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_a_view_is_the_room_cut_out_and_turned(world):
    observations, poses = some_observations(world)
    view = agent_view(torch.from_numpy(observations).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    expected = np.stack([turned_by_numpy(*pair) for pair in zip(observations, poses, strict=True)])
    assert np.array_equal(view.numpy(), expected)


def test_rooms_need_not_be_square():
    room = empty_room(4, 7)
    room[2, 5] = (BALL, 3)
    for pose in [(1, 1, EAST), (2, 4, SOUTH), (1, 5, WEST), (2, 1, NORTH)]:
        view = agent_view(seen(room, *pose))[0].permute(1, 2, 0)
        observation = observe(room[None], np.array([pose]))[0]
        assert np.array_equal(view.numpy(), turned_by_numpy(observation, pose))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_a_view_keeps_the_kind_of_numbers(dtype):
    images = seen(empty_room(6, 6), 2, 3, SOUTH).to(dtype)
    assert agent_view(images).dtype == dtype
    assert torch.equal(agent_view(images).long(), agent_view(images.long()))


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_all_of_the_room_inside_its_walls_is_seen_from_anywhere(world):
    observations, _ = some_observations(world)
    view = agent_view(torch.from_numpy(observations).permute(0, 3, 1, 2))
    assert np.array_equal(free_cells(view).sum((1, 2)).numpy(), is_free(observations).sum((1, 2)))


def test_free_cells_are_empty_ones_and_doors():
    view = torch.tensor([[[EMPTY, DOOR, WALL], [BALL, KEY, 0]]])  # [1, 2, 3] of types
    view = torch.stack([view, torch.zeros_like(view)], 1)
    assert free_cells(view).tolist() == [[[1, 1, 0], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("height", "width", "side"), [(3, 3, 1), (4, 4, 3), (8, 8, 11), (5, 8, 11), (11, 3, 17)]
)
def test_the_side_of_a_view_worked_by_hand(height, width, side):
    assert view_side(height, width) == side
    assert agent_view(seen(empty_room(height, width), 1, 1, EAST)).shape[2:] == (side, side)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (torch.zeros(2, 3, 6, 6), "shows the agent in one cell"),
        (torch.full((2, 3, 6, 6), 200), "shows the agent in one cell"),
        (seen(empty_room(6, 6), 2, 2, WEST) / 255, "not divided by 255"),
        (torch.ones(2, 6, 6, 3), r"\[B, 3, H, W\], got \[2, 6, 6, 3\]"),
        (torch.ones(3, 6, 6), r"\[B, 3, H, W\], got \[3, 6, 6\]"),
        (torch.ones(1, 3, 2, 6), "at least 3 x 3"),
    ],
    ids=["no agent", "brightness", "divided", "channels last", "single", "no room"],
)
def test_images_that_are_no_rooms_are_refused(images, told):
    with pytest.raises(ShapeError, match=told):
        agent_view(images)


# -- where a goal is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "ahead", "right"),
    [(EAST, 3, 2), (SOUTH, 2, -3), (WEST, -3, -2), (NORTH, -2, 3)],
)
def test_an_offset_worked_by_hand(direction, ahead, right):
    here = torch.tensor([[1.0, 1, direction, 0]])
    there = torch.tensor([[3.0, 4, WEST, 1]])  # two rows down, three columns right
    turn = [0.0] * 4
    turn[(WEST - direction) % 4] = 1
    assert pose_offset(here, there).tolist() == [[ahead, right, *turn, 0, 1]]


def test_the_pose_one_is_in_is_no_way_off():
    pose = torch.tensor([[2.0, 5, NORTH, 1]])
    assert pose_offset(pose, pose).tolist() == [[0, 0, 1, 0, 0, 0, 1, 1]]


def test_a_step_ahead_is_one_cell_ahead():
    observations, poses = some_observations(count=300)
    free = is_free(observations)
    moved = move(free, poses, np.full(len(poses), ACTIONS.index("forward")))
    went = (moved != poses).any(1)
    assert 50 < went.sum() < 300
    here, there = (torch.from_numpy(np.c_[p, 0 * p[:, :1]]).float() for p in (poses, moved))
    offsets = pose_offset(here, there)
    assert torch.equal(offsets[:, 0], torch.from_numpy(went).float())
    assert (offsets[:, 1] == 0).all()
    right = move(free, poses, np.full(len(poses), ACTIONS.index("right")))
    turned = pose_offset(here, torch.from_numpy(np.c_[right, 0 * right[:, :1]]).float())
    assert (turned[:, 2:6].argmax(1) == 1).all()  # clockwise


def test_the_offset_points_at_the_goals_cell_in_the_view():
    observations, poses = some_observations()
    generator = np.random.default_rng(1)
    marked = observations.copy()
    goals = np.stack([generator.choice(list_poses(free)) for free in is_free(observations)])
    each = np.arange(len(goals))
    marked[each, goals[:, 0], goals[:, 1], 1] = 77  # a colour that nothing has
    view = agent_view(torch.from_numpy(marked).permute(0, 3, 1, 2))
    rows, columns = (view[:, 1] == 77).nonzero()[:, 1:].T
    here, there = (torch.from_numpy(np.c_[p, 0 * p[:, :1]]).float() for p in (poses, goals))
    ahead, right = pose_offset(here, there)[:, :2].long().T
    middle = view.shape[2] // 2
    assert torch.equal(rows, middle - ahead)
    assert torch.equal(columns, middle + right)


# -- images as they come ---------------------------------------------------------------------


def test_images_come_with_their_channels_first_or_last():
    last = torch.arange(2 * 8 * 7 * 3).reshape(2, 8, 7, 3)
    for images in (last, last.permute(0, 3, 1, 2)):
        reader = ImageReader(images.shape[1:])
        assert reader.shape == (3, 8, 7)
        assert torch.equal(reader(images), last.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (torch.ones(1, 3, 8, 8) / 255, "divided by 255.*normalize_images"),
        (torch.full((1, 3, 8, 8), 12.0), "holds 12.*below 12"),
        (torch.full((1, 3, 8, 8), 200, dtype=torch.uint8), "holds 200"),
    ],
)
def test_images_of_codes_hold_codes(images, told):
    with pytest.raises(ShapeError, match=told):
        ImageReader((3, 8, 8), CODES)(images)
    assert ImageReader((3, 8, 8))(images) is images  # brightness may be anything
    assert ImageReader((3, 8, 8), CODES)(images[:0]).shape == (0, 3, 8, 8)


# -- networks ----------------------------------------------------------------------------------


def test_a_condition_that_says_nothing_changes_nothing():
    condition = Conditioned(3, 5)
    torch.nn.init.zeros_(condition.film.weight)
    torch.nn.init.zeros_(condition.film.bias)
    for x in (torch.randn(2, 5), torch.randn(2, 7, 5)):
        assert torch.equal(condition(x, torch.randn(2, 3)), x)


def test_a_condition_scales_and_shifts_by_hand():
    condition = Conditioned(1, 2)
    condition.film.weight.data = torch.tensor([[1.0], [0.0], [0.0], [10.0]])
    condition.film.bias.data.zero_()
    x = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    text = torch.tensor([[2.0], [-1.0]])
    assert condition(x, text).tolist() == [[3, 21], [0, -9]]


@pytest.mark.parametrize("codes", [None, 7])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 12, 12), (2, 13, 5), (3, 40, 64)])
def test_images_of_any_size_have_features(shape, codes):
    body = ImageBody(shape, 4, 9, codes)
    images = torch.randint(0, 7, (2, *shape)).float()
    assert body(images, torch.randn(2, 4)).shape == (2, 9)


@pytest.mark.parametrize("body", [ImageBody((2, 5, 5), 4, 9, 7), VectorBody(50, 4, 9)])
def test_features_depend_on_what_is_seen_and_on_what_is_said(body):
    torch.manual_seed(0)
    images = torch.randint(0, 7, (2, 2, 5, 5)).float()
    texts = torch.randn(2, 4)
    x = images if isinstance(body, ImageBody) else images.flatten(1)
    features = body(x, texts)
    assert not torch.allclose(body(x.flip(0), texts), features)
    assert not torch.allclose(body(x, texts.flip(0)), features)
    torch.testing.assert_close(body(x[1:], texts[1:]), features[1:])


def test_codes_are_names_and_not_amounts():
    body = ImageBody((1, 1, 1), 1, 3, 5)
    body.describe.weight.data[:, 2] = body.describe.weight.data[:, 4]  # 2 and 4 are one thing
    text = torch.ones(1, 1)
    two, three, four = (body(torch.full((1, 1, 1, 1), code), text) for code in (2.0, 3.0, 4.0))
    assert torch.equal(two, four)
    assert not torch.allclose(two, three)


def test_embedded_texts_of_any_length_are_brought_to_one_scale():
    body = EmbeddedTextBody(6, 4)
    embeddings = torch.randn(3, 6)
    assert body(embeddings).shape == (3, 4)
    torch.testing.assert_close(body(1000 * embeddings), body(embeddings), rtol=1e-3, atol=1e-3)


def test_tokens_are_read_in_their_order_and_padding_says_nothing_of_its_own():
    torch.manual_seed(0)
    body = TokenisedTextBody(9, 4)
    texts = torch.tensor([[2, 3, 0, 0], [3, 2, 0, 0], [2, 3, 4, 0], [0, 0, 0, 0]])
    features = body(texts)
    assert features.shape == (4, 4)
    assert features.isfinite().all()
    assert torch.pdist(features).min() > 1e-4
    torch.testing.assert_close(body(texts.float()), features)  # SB3 gives floats
    torch.testing.assert_close(body(texts[2:3]), features[2:3])
    body.words.weight.data[1:] += 1  # words are learned, padding stays 0
    assert not body.words.weight[0].any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ImageBody((2, 14, 14), 4, 8, 7),
        lambda: ImageBody((3, 14, 14), 4, 8),
        lambda: VectorBody(5, 4, 8),
    ],
)
def test_gradients_reach_every_parameter(make):
    torch.manual_seed(0)
    body = make()
    if isinstance(body, VectorBody):
        x = torch.randn(16, 5)
    else:
        channels = 2 if body.codes else 3
        x = torch.randint(0, 7, (16, channels, 14, 14)).float()
    for text, given in (
        (EmbeddedTextBody(6, 4), torch.randn(16, 6)),
        (TokenisedTextBody(9, 4), torch.randint(1, 9, (16, 5))),
    ):
        body(x, text(given)).pow(2).sum().backward()
        for name, parameter in [*body.named_parameters(), *text.named_parameters()]:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_it_learns_to_tell_whether_what_is_said_is_there():
    torch.manual_seed(0)
    body, text = ImageBody((1, 3, 3), 8, 32, 4), TokenisedTextBody(6, 8)
    head = torch.nn.Linear(32, 1)
    parameters = [*body.parameters(), *text.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-2)
    for _ in range(150):
        images = torch.randint(0, 4, (128, 1, 3, 3))
        said = torch.randint(0, 4, (128,))
        there = (images.flatten(1) == said[:, None]).any(1).float()
        tokens = torch.stack([said + 2, torch.zeros_like(said)], 1)
        logits = head(body(images.float(), text(tokens))).squeeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, there)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((logits > 0) == (there > 0)).float().mean() > 0.9


# -- features of trained critics ---------------------------------------------------------------


def test_features_of_a_maze_critic_are_what_its_encoders_say(make_critics):
    critic, _ = make_critics()
    torch.manual_seed(0)
    states, goals = torch.rand(6, 2) * 5, torch.rand(6, 2) * 5
    features = critic.features(states, goals)
    assert features.shape == (6, 16 + 2 * 8)
    read, here, there = features.split([16, 8, 8], 1)
    torch.testing.assert_close(here, critic.goal(states))
    torch.testing.assert_close(there, critic.goal(goals))
    action = torch.rand(6, 2)
    torch.testing.assert_close(
        critic.state_action.head(read + critic.state_action.action(action)),
        critic.state_action(states, action),
    )


def test_features_of_a_maze_critic_need_states_of_its_width(make_critics):
    critic, _ = make_critics()
    with pytest.raises(ShapeError, match="2 numbers"):
        critic.features(torch.zeros(1, 3), torch.zeros(1, 2))
    with pytest.raises(ShapeError, match="2 numbers"):
        critic.features(torch.zeros(1, 2), torch.zeros(1, 4))


def room_critic():
    return build_grid_critic(GridCriticConfig(embedding=8, channels=6, depth=1, width=16), seed=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("columns", [3, 4])
def test_features_of_a_room_critic_are_what_its_encoders_say(dtype, columns):
    observations, _ = some_observations("goto", 5)
    critic, seen = room_critic(), torch.from_numpy(observations)
    goals = np.stack([list_poses(free)[3] for free in is_free(observations)])
    goals = torch.from_numpy(np.c_[goals, np.ones(5, int)][:, :columns])
    with torch.no_grad():
        features = critic.features(seen.to(dtype), goals.float())
        assert features.shape == (5, 4 + 4 * 8 + 8)
        scores, states, embedded = features.split([4, 32, 8], 1)
        context = critic.initial_context(seen)
        actions = critic.embed_actions(context, seen, torch.arange(4).expand(5, -1))
        expected = critic.embed_goals(context, goals[:, None])
        torch.testing.assert_close(states, actions.flatten(1))
        torch.testing.assert_close(embedded, expected[:, 0])
        torch.testing.assert_close(scores, critic.score(actions, expected).squeeze(-1))


def test_features_of_critics_carry_gradients(make_critics):
    observations, poses = some_observations("goto", 5)
    goals = torch.from_numpy(poses).float()
    critic = room_critic()
    critic.features(torch.from_numpy(observations), goals).sum().backward()
    assert critic.room.first.weight.grad.abs().max() > 0
    assert critic.goal.net[0].weight.grad.abs().max() > 0
    maze, _ = make_critics()
    maze.features(torch.rand(4, 2), torch.rand(4, 2)).pow(2).sum().backward()
    assert maze.goal.net[0].weight.grad.abs().max() > 0
    assert maze.state_action.state[0].weight.grad.abs().max() > 0


def test_padding_changes_nothing_of_a_tokenised_text():
    torch.manual_seed(0)
    body = TokenisedTextBody(10, 8)
    short = torch.tensor([[3, 4, 5]])
    torch.testing.assert_close(body(torch.nn.functional.pad(short, (0, 6))), body(short))
    assert not torch.allclose(body(short), body(short.flip(1)))
