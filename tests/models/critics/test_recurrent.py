import numpy as np
import pytest
import torch

from langrl.data.grid.experts import draw_poses
from langrl.envs.grid.grammar import EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import ACTIONS, DONE, GRID_WORLDS, draw_rooms, is_free
from langrl.envs.grid.views import egocentric_views, faced_cells
from langrl.functional.energies import neg_half_sq_l2
from langrl.models.config import CpcConfig, RecurrentCriticConfig
from langrl.models.cpc import CpcDescription, build_cpc
from langrl.models.critics.recurrent import RecurrentCritic, ViewPaths, kind_numbers

BALL, BOX = TYPES["ball"], TYPES["box"]
SIZES = CpcConfig(embedding=8, context=12, horizon=2, width=16, depth=1)


def critic_of(memory=True, actions=4, view_width=0) -> RecurrentCritic:
    description = CpcDescription(observation=(7, 7, 3), actions=actions, config=SIZES)
    torch.manual_seed(0)
    config = RecurrentCriticConfig(embedding=8, width=16, depth=1, view_width=view_width)
    return RecurrentCritic(
        build_cpc(description, 0), memory, len(ACTIONS), neg_half_sq_l2, config
    ).eval()


def views_of(count: int, seed: int = 0):
    generator = np.random.default_rng(seed)
    rooms = draw_rooms(GRID_WORLDS["goto"], count, generator)
    poses = draw_poses(is_free(rooms), generator)
    return torch.from_numpy(egocentric_views(rooms, poses)), faced_cells(rooms, poses)


@pytest.mark.parametrize(("actions", "view_width"), [(4, 0), (0, 0), (4, 16)])
def test_history_step_by_step_is_that_of_the_whole_tour(actions, view_width):
    critic = critic_of(actions=actions, view_width=view_width)
    views, _ = views_of(15)
    explorations = views.unflatten(0, (3, 5))
    taken = torch.randint(3, (3, 5), generator=torch.Generator().manual_seed(0))
    before = critic.history.actions_before(taken) if actions else None
    codes = critic.history.encode(explorations)
    whole = critic.contexts(explorations, codes, critic.history.contexts(codes, before)[0])
    context = critic.initial_context(explorations[:, 0])
    torch.testing.assert_close(context, whole[:, 0])
    acted = torch.ones(3, dtype=torch.bool)
    for step in range(1, 5):
        context = critic.update_memory(context, explorations[:, step], taken[:, step - 1], acted)
        torch.testing.assert_close(context, whole[:, step])


def test_history_stays_where_nothing_was_done():
    critic = critic_of()
    views, _ = views_of(2)
    context = critic.initial_context(views)
    after = critic.update_memory(
        context, views.flip(0), torch.zeros(2).long(), torch.tensor([True, False])
    )
    assert torch.equal(after[1], context[1])
    assert not torch.equal(after[0], context[0])


def test_without_memory_only_the_present_view_counts():
    critic = critic_of(memory=False)
    views, _ = views_of(4)
    acted = torch.ones(2, dtype=torch.bool)
    one = critic.update_memory(
        critic.initial_context(views[:2]), views[2:], torch.tensor([0, 1]), acted
    )
    assert torch.equal(one, critic.initial_context(views[2:]))


def test_moves_towards_what_is_in_view_are_judged_by_free_cells_alone():
    torch.manual_seed(0)
    paths = ViewPaths(7, 16, 3)
    view = torch.zeros(7, 7, 3, dtype=torch.uint8)
    view[..., 0] = EMPTY
    view[2, 1, :2], view[0, 5, :2] = torch.tensor([BALL, 0]), torch.tensor([BOX, 4])
    repainted = view.clone()
    repainted[2, 1, :2], repainted[0, 5, :2] = torch.tensor([BOX, 4]), torch.tensor([BALL, 0])
    values, others = paths(torch.stack([view, repainted])).detach().clone()  # [3, K] each
    kinds = kind_numbers(torch.tensor([[BALL, 0], [BOX, 4]]))
    assert values[:, kinds].abs().min() > 0
    torch.testing.assert_close(values[:, kinds], others[:, kinds.flip(0)])
    values[:, kinds] = 0
    assert not values.any()  # of what is not in view
    twice = view.clone()
    twice[0, 5, :2] = twice[2, 1, :2]
    torch.testing.assert_close(paths(twice)[:, kinds[0]], others[:, kinds].amax(1))


def test_scores_of_moves_have_the_values_of_what_is_in_view():
    critic = critic_of(view_width=16)
    views, _ = views_of(30)
    context = critic.initial_context(views)
    values = critic.towards(views)  # [N, A - 1, K]
    goals = torch.tensor([[BALL, 0], [WALL, 5]])
    scores = critic.score(critic.embed_contexts(context), critic.encode_goals(goals))
    with torch.no_grad():
        critic.towards.net[-1].weight.zero_()
        critic.towards.net[-1].bias.zero_()
    context = critic.initial_context(views)
    without = critic.score(critic.embed_contexts(context), critic.encode_goals(goals))
    assert (values[:, 0, kind_numbers(goals[0])] != 0).any()
    torch.testing.assert_close((scores - without)[:, :DONE, 0], values[..., kind_numbers(goals[0])])
    torch.testing.assert_close(scores[..., 1], without[..., 1])  # a wall
    torch.testing.assert_close(scores[:, DONE], without[:, DONE])


@pytest.mark.parametrize("view_width", [0, 16])
def test_done_is_valued_by_what_is_faced_alone(view_width):
    critic = critic_of(view_width=view_width)
    views, faced = views_of(200)
    goals = critic.encode_goals(torch.from_numpy(faced[:1]))
    embedded = critic.embed_contexts(critic.initial_context(views))  # [N, A, D]
    scores = critic.score(embedded, goals).squeeze(-1)
    same = torch.from_numpy((faced == faced[0]).all(1))
    assert same.sum() > 1
    assert scores[same][:, DONE].std() < 1e-5
    assert scores[same][:, 0].std() > 1e-5


def test_embeddings_of_actions_are_those_that_are_asked_for():
    critic = critic_of()
    views, _ = views_of(3)
    context = critic.initial_context(views)
    every = critic.embed_contexts(context)
    picked = critic.embed_actions(context, views, torch.tensor([[3, 0], [1, 1], [2, 3]]))
    assert torch.equal(picked[0], every[0][[3, 0]])
    assert torch.equal(picked[1], every[1][[1, 1]])


def test_goals_are_told_apart_by_type_and_colour():
    critic = critic_of()
    goals = torch.tensor([[[5, 0], [5, 1], [6, 0]]])
    embedded = critic.embed_goals(torch.zeros(1, 0), goals)[0]
    distances = torch.cdist(embedded, embedded)
    assert (distances[~torch.eye(3, dtype=torch.bool)] > 1e-3).all()
