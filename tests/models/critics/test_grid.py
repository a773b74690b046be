import numpy as np
import pytest
import torch

from langrl.data.grid.experts import GridReplay, grid_experts
from langrl.envs.grid.grammar import EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import (
    ACTIONS,
    GRID_WORLDS,
    draw_rooms,
    is_free,
    list_poses,
    move,
    observe,
    pose_distances,
)
from langrl.functional.energies import ENERGIES
from langrl.functional.losses import ranking_info_nce
from langrl.models.config import GridCriticConfig
from langrl.models.critics.grid import GridCritic

TINY = GridCriticConfig(embedding=8, channels=6, depth=2, width=16)


def critic_of(config=TINY, seed=0, energy="neg_half_sq_l2"):
    torch.manual_seed(seed)
    return GridCritic(len(ACTIONS), ENERGIES[energy], config)


def drawn(world="goto", count=2):
    return draw_rooms(GRID_WORLDS[world], count, np.random.default_rng(0))


def some_poses(rooms, count=7, seed=0):
    """Poses [B, S, 3] on free cells of each room."""
    generator = np.random.default_rng(seed)
    poses = [generator.choice(list_poses(free), count) for free in is_free(rooms)]
    return torch.from_numpy(np.stack(poses))


def features_of(critic, rooms):
    return critic.room(torch.from_numpy(rooms))


# -- shapes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("world", GRID_WORLDS)
@pytest.mark.parametrize("depth", [0, 2])
def test_shapes(world, depth):
    critic, rooms = critic_of(TINY.model_copy(update={"depth": depth})), drawn(world)
    poses, size = some_poses(rooms), GRID_WORLDS[world].size
    seen = torch.from_numpy(observe(rooms, poses[:, 0].numpy()))
    context = critic.initial_context(seen)
    assert context.shape == (2, size, size, 6)
    assert critic.embed_poses(context, poses).shape == (2, 7, 4, 8)
    assert critic.embed_actions(context, seen, torch.arange(4).expand(2, -1)).shape == (2, 4, 8)
    assert critic.embed_actions(context, seen, torch.tensor([[3, 1], [0, 2]])).shape == (2, 2, 8)
    goals = critic.embed_goals(context, poses)
    assert goals.shape == (2, 7, 8)
    scores = critic.score(critic.embed_actions(context, seen, torch.arange(4).expand(2, -1)), goals)
    assert scores.shape == (2, 4, 7)
    assert scores.isfinite().all()


def test_rooms_need_not_be_square():
    rooms = np.full((1, 4, 7, 2), (WALL, 5), np.uint8)
    rooms[:, 1:-1, 1:-1] = (EMPTY, 0)
    critic, poses = critic_of(), torch.from_numpy(list_poses(is_free(rooms)[0])).unsqueeze(0)
    embedded = critic.embed_goals(features_of(critic, rooms), poses)[0]
    assert torch.cdist(embedded, embedded).fill_diagonal_(1).min() > 1e-4


@pytest.mark.parametrize("energy", ENERGIES)
def test_scores_are_the_energy_times_the_learned_scale(energy):
    critic = critic_of(energy=energy)
    left, right = torch.randn(2, 4, 8), torch.randn(2, 3, 8)
    for scale in (0.0, 1.5):
        critic.scale.log_scale.data.fill_(scale)
        expected = torch.tensor(scale).exp() * ENERGIES[energy](left, right)
        assert torch.allclose(critic.score(left, right), expected, atol=1e-5)


# -- what it sees ----------------------------------------------------------------------------


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_colours_and_kinds_of_objects_make_no_difference(world):
    critic, rooms = critic_of(), drawn(world)
    generator = np.random.default_rng(1)
    other = rooms.copy()
    other[..., 1] = generator.integers(6, size=other.shape[:3])
    things = rooms[..., 0] > TYPES["door"]
    other[things, 0] = generator.integers(TYPES["key"], TYPES["box"] + 1, size=things.sum())
    assert not np.array_equal(rooms, other)
    torch.testing.assert_close(features_of(critic, rooms), features_of(critic, other))


def test_where_the_agent_is_makes_no_difference_to_the_room():
    critic, rooms = critic_of(), drawn(count=1).repeat(2, 0)
    seen = observe(rooms, some_poses(rooms)[0, :2].numpy())
    first, second = critic.initial_context(torch.from_numpy(seen))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("kind", ["empty", "door", "wall"])
def test_what_can_be_walked_on_makes_a_difference(kind):
    critic, rooms = critic_of(), np.full((2, 5, 5, 2), (WALL, 5), np.uint8)
    rooms[:, 1:-1, 1:-1] = (EMPTY, 0)
    rooms[:, 2, 2, 0] = TYPES["ball"] if kind == "empty" else EMPTY
    rooms[1, 2, 2, 0] = {"empty": EMPTY, "door": TYPES["door"], "wall": WALL}[kind]
    first, second = features_of(critic, rooms)
    assert not torch.allclose(first, second, atol=1e-4)


def test_doorway_is_a_free_cell_with_a_mark():
    critic, rooms = critic_of(), np.full((2, 5, 5, 2), (WALL, 5), np.uint8)
    rooms[:, 1:-1, 1:-1] = (EMPTY, 0)
    rooms[1, 2, 2, 0] = TYPES["door"]
    critic.room.first.weight.data[:, 1] = 0  # the mark
    first, second = features_of(critic, rooms)
    torch.testing.assert_close(first, second)


def test_a_pose_is_read_where_it_stands_and_where_it_looks():
    critic = critic_of(TINY.model_copy(update={"depth": 0}))  # each cell sees those around it
    rooms = np.full((2, 9, 9, 2), (WALL, 5), np.uint8)
    rooms[:, 1:-1, 1:-1] = (EMPTY, 0)
    poses = torch.tensor([[4, 4, direction] for direction in range(4)]).expand(2, 4, 3)
    for direction, cell in enumerate([(4, 6), (6, 4), (4, 2), (2, 4)]):  # two cells ahead
        rooms[1] = rooms[0]
        rooms[1, *cell, 0] = WALL
        context = features_of(critic, rooms)
        for embed in (critic.embed_goals, critic.embed_poses):
            first, second = embed(context, poses).flatten(2)
            changed = (first - second).abs().amax(1) > 1e-5
            assert changed.nonzero().tolist() == [[direction]]


def test_cells_out_of_sight_make_no_difference():
    critic = critic_of(TINY.model_copy(update={"depth": 0}))  # one 3x3 convolution
    rooms = drawn("rooms", 1).repeat(2, 0)
    rooms[1, 8, 8] = (WALL, 5) if is_free(rooms)[0, 8, 8] else (EMPTY, 0)
    first, second = features_of(critic, rooms)
    changed = (first - second).abs().amax(-1) > 1e-5
    assert changed[7:10, 7:10].any()
    changed[7:10, 7:10] = False
    assert not changed.any()


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_every_pose_has_an_embedding_of_its_own(world):
    critic, rooms = critic_of(), drawn(world, 1)
    poses = torch.from_numpy(list_poses(is_free(rooms[0]))).unsqueeze(0)
    context = features_of(critic, rooms)
    actions = critic.embed_poses(context, poses)[0].flatten(1)
    for embedded in (critic.embed_goals(context, poses)[0], actions):
        assert torch.pdist(embedded).min() > 1e-4


def test_actions_of_a_pose_have_embeddings_of_their_own():
    critic, rooms = critic_of(), drawn()
    embedded = critic.embed_poses(features_of(critic, rooms), some_poses(rooms)).flatten(0, 1)
    assert torch.cdist(embedded, embedded)[:, *torch.triu_indices(4, 4, 1)].min() > 1e-4


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_embedded_observation_is_the_embedded_pose(world):
    critic, rooms = critic_of(), drawn(world, 1)
    poses = list_poses(is_free(rooms[0]))
    seen = torch.from_numpy(observe(rooms.repeat(len(poses), 0), poses))
    context = critic.initial_context(seen)
    numbers = torch.tensor([2, 0, 3, 1])
    found = critic.embed_actions(context, seen, numbers.expand(len(seen), -1))
    expected = critic.embed_poses(context[:1], torch.from_numpy(poses).unsqueeze(0))[0]
    torch.testing.assert_close(found, expected[:, numbers])


def test_rows_of_a_batch_do_not_see_each_other():
    critic, rooms = critic_of(), drawn(count=3)
    poses = some_poses(rooms)
    context = features_of(critic, rooms)
    for n in range(3):
        alone = features_of(critic, rooms[n : n + 1])
        torch.testing.assert_close(alone[0], context[n])
        for embed in (critic.embed_poses, critic.embed_goals):
            one = embed(alone, poses[n : n + 1])[0]
            torch.testing.assert_close(one, embed(context, poses)[n])


def test_only_another_room_is_a_changed_scene():
    critic, rooms = critic_of(), drawn(count=3)
    poses = some_poses(rooms)
    before, later = (torch.from_numpy(observe(rooms, poses[:, step].numpy())) for step in (0, 1))
    assert critic.scene_changed(before, later).tolist() == [False] * 3
    later[1, 3, 3, 1] += 1  # only a colour
    assert critic.scene_changed(before, later).tolist() == [False, True, False]
    assert critic.scene_changed(before, before[[0, 2, 1]]).tolist() == [False, True, True]
    big = drawn("rooms")
    now = torch.from_numpy(observe(big, some_poses(big)[:, 0].numpy()))
    assert critic.scene_changed(before, now).tolist() == [True, True]  # of another size


# -- training --------------------------------------------------------------------------------


def scores_of(critic, batch):
    """Critic values [S, A] of each state's goal with every action, of a batch of one room."""
    context = critic.room(batch["room"])
    actions = critic.embed_poses(context, batch["pose"])[0]  # [S, A, D]
    goals = critic.embed_goals(context, batch["goal"])[0].unsqueeze(1)  # [S, 1, D]
    return critic.score(actions, goals).squeeze(-1)


def test_gradients_reach_every_parameter():
    critic, rooms = critic_of(), drawn(count=1)
    batch = {
        "room": torch.from_numpy(rooms),
        "pose": some_poses(rooms),
        "goal": some_poses(rooms, seed=1),
    }
    scores_of(critic, batch).log_softmax(1)[:, 0].sum().backward()
    for name, parameter in critic.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_weights_alone_make_the_critic():
    first, second = critic_of(seed=0), critic_of(seed=1)
    assert not any("ahead" in name for name in first.state_dict())  # a constant
    second.load_state_dict(first.state_dict())
    context = features_of(second, drawn())
    assert torch.equal(context, features_of(first, drawn()))


def test_it_learns_the_best_actions_of_a_tiny_room():
    rooms = np.full((1, 5, 5, 2), (WALL, 5), np.uint8)
    rooms[0, 1:-1, 1:-1] = (EMPTY, 0)
    rooms[0, 2, 2] = TYPES["ball"], 0  # a ring of eight cells
    data = grid_experts(rooms, 400, np.random.default_rng(0))
    replay = GridReplay([data], discount=0.9, tail="clip", device=torch.device("cpu"))
    critic = critic_of(GridCriticConfig(embedding=16, channels=8, depth=2, width=48))
    optimizer = torch.optim.Adam(critic.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        batch = replay.sample(1, 128, generator)
        values = scores_of(critic, batch)
        taken = torch.nn.functional.one_hot(batch["action"][0], 4).bool()
        loss, _ = ranking_info_nce(values[taken], values[~taken].unflatten(0, (-1, 3)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    free = is_free(rooms)
    poses = list_poses(free[0])
    count = len(poses)
    state, goal = (grid.ravel() for grid in np.indices((count, count)))
    batch = {
        "room": torch.from_numpy(rooms),
        "pose": torch.from_numpy(poses[state]).unsqueeze(0),
        "goal": torch.from_numpy(poses[goal]).unsqueeze(0),
    }
    with torch.no_grad():
        chosen = scores_of(critic, batch).argmax(1).numpy()
    targets = np.zeros((count, 5, 5, 4), bool)
    targets[np.arange(count), *poses.T] = True
    distances = pose_distances(free.repeat(count, 0), targets)  # [goal, H, W, 4]
    left = distances[goal, *poses[state].T]
    moved = move(free.repeat(len(state), 0), poses[state], chosen)
    best = np.where(left == 0, chosen == 3, distances[goal, *moved.T] == left - 1)
    assert best.mean() > 0.8  # of all pairs of a state and a goal; at random, about 0.3
