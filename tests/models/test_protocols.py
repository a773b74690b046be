"""Every critic and every language side has what agents need of it."""

import numpy as np
import pytest
import torch

from langrl.data.related_pairs import learn_words
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms, is_free, list_poses, observe
from langrl.envs.grid.views import egocentric_views
from langrl.errors import InstructionError
from langrl.functional.energies import neg_half_sq_l2
from langrl.grounding.generated import IMAGE, TEXT, RelatedLanguage
from langrl.grounding.language_critic import EmbeddedImages
from langrl.models.config import CpcConfig, GridCriticConfig, RecurrentCriticConfig
from langrl.models.cpc import CPC, CpcDescription
from langrl.models.critics.grid import GridCritic
from langrl.models.critics.recurrent import RecurrentCritic
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.models.protocols import Critic, Language, StateEncoder, shares_goal_encoder
from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.model import build_vae
from langrl.tasks.grid.agent import render_goals

N, M, A = 3, 5, 4
TEXTS = ["go to the red ball", "a key"]


def rooms_and_poses():
    rooms = draw_rooms(GRID_WORLDS["goto"], N, np.random.default_rng(0))
    return rooms, np.array([list_poses(is_free(room[None])[0])[:M] for room in rooms])


@pytest.fixture(params=["maze", "grid", "recurrent"])
def critic_case(request, make_critics):
    """Return a critic, observations [N, ...], actions [N, A, ...] and goals [N, M, ...]."""
    torch.manual_seed(0)
    rooms, poses = rooms_and_poses()
    numbers = torch.arange(A).expand(N, -1)
    if request.param == "maze":
        actions = torch.nn.functional.normalize(torch.randn(N, A, 2), dim=-1)
        return make_critics()[0], torch.rand(N, 2) * 5, actions, torch.rand(N, M, 2) * 5
    if request.param == "grid":
        sizes = GridCriticConfig(embedding=8, channels=6, depth=1, width=16)
        critic = GridCritic(len(ACTIONS), neg_half_sq_l2, sizes)
        return critic, torch.from_numpy(observe(rooms, poses[:, 0])), numbers, torch.tensor(poses)
    history = CpcConfig(embedding=8, context=8, horizon=2, width=16, depth=1)
    cpc = CPC(CpcDescription(observation=(7, 7, 3), actions=A, config=history))
    sizes = RecurrentCriticConfig(embedding=8, width=16, depth=1)
    critic = RecurrentCritic(cpc, True, A, neg_half_sq_l2, sizes)
    views = torch.from_numpy(egocentric_views(rooms, poses[:, 0]))
    return critic, views, numbers, torch.randint(1, 6, (N, M, 2))


@torch.no_grad()
def test_every_critic_satisfies_its_protocol(critic_case):
    critic, observations, actions, goals = critic_case
    assert isinstance(critic, Critic)
    assert observations.ndim == critic.observation_axes + 1
    context = critic.initial_context(observations)
    assert len(context) == N
    acted = torch.tensor([True, False, True])
    after = critic.update_memory(context, observations, actions[:, 0], acted)
    assert after.shape == context.shape
    assert torch.equal(after[~acted], context[~acted])
    changed = critic.scene_changed(observations, observations)
    assert changed.dtype == torch.bool
    assert changed.tolist() == [False] * N
    embedded, listed = (
        critic.embed_actions(context, observations, actions),
        critic.embed_goals(context, goals),
    )
    assert embedded.shape == (N, A, listed.shape[-1])
    assert listed.shape[:2] == (N, M)
    scores = critic.score(embedded, listed)
    assert scores.shape == (N, A, M)
    assert scores.isfinite().all()


def test_critics_that_see_the_whole_state_give_features(critic_case):
    critic, observations, _, goals = critic_case
    sees_a_part = isinstance(critic, RecurrentCritic)
    assert isinstance(critic, StateEncoder) != sees_a_part
    if not sees_a_part:
        features = critic.features(observations, goals[:, 0])
        assert features.shape[0] == N
        assert features.ndim == 2


@pytest.fixture(params=["critic", "images", "embedded images", "related pairs"])
def language_case(request, make_critics, tiny_language):
    """Return a language side, observations [N, ...] and goals [N, M, ...]."""
    rooms, poses = rooms_and_poses()
    seen, goals = torch.from_numpy(observe(rooms, poses[:, 0])), torch.from_numpy(poses)
    if request.param == "critic":
        return make_critics()[1], torch.rand(N, 2), torch.rand(N, M, 2) * 5
    if request.param == "images":
        model = load_language_image_model(tiny_language)
        return ImageLanguage(model, render_goals), seen, goals
    if request.param == "embedded images":
        model = load_language_image_model(tiny_language)
        return EmbeddedImages(model), torch.zeros(N, 0), torch.randn(N, M, 8)
    words = learn_words()
    modalities = (
        ModalityConfig(name=IMAGE, size=192, likelihood="bernoulli"),
        ModalityConfig(name=TEXT, size=len(words), likelihood="categorical"),
    )
    vae = build_vae(VaeConfig(modalities=modalities, latent=4, width=16), seed=0).eval()
    return RelatedLanguage(vae, words), seen, goals


@torch.no_grad()
def test_every_language_side_satisfies_its_protocol(language_case):
    language, observations, goals = language_case
    assert isinstance(language, Language)
    embedded, texts = language.embed_goals(observations, goals), language.encode_text(TEXTS)
    assert embedded.shape == (N, M, texts.shape[-1])
    assert texts.ndim == 3
    assert len(texts) == len(TEXTS)
    every = language.score(embedded, texts)
    assert every.shape == (N, M, len(TEXTS))
    one = language.score(embedded, texts[:1].expand(N, -1, -1).unsqueeze(1))
    torch.testing.assert_close(one, every[..., :1])
    for hostile in ("", "row\x00", 3):
        with pytest.raises(InstructionError):
            language.encode_text(["a key", hostile])


def test_a_goal_encoder_is_shared_if_both_models_have_the_same_one(make_critics, language_case):
    critic, language = make_critics(0)
    assert shares_goal_encoder(critic, language)
    assert not shares_goal_encoder(make_critics(1)[0], language)
    assert not shares_goal_encoder(critic, language_case[0])
