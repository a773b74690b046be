import numpy as np
import pytest
import torch

from langrl.agents.grounded import GroundedAgent
from langrl.data.related_pairs import KIND_CELLS, KINDS, learn_words
from langrl.envs.grid.grammar import COLOURS, TYPES
from langrl.envs.grid.rooms import (
    ACTIONS,
    GRID_WORLDS,
    ahead,
    draw_rooms,
    is_free,
    list_poses,
    observe,
    reachable_poses,
)
from langrl.errors import ConfigError, DomainError
from langrl.grounding.candidates import ReachablePoses
from langrl.grounding.generated import IMAGE, TEXT, GeneratedCandidates, RelatedLanguage
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.config import GridCriticConfig
from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.model import build_vae
from langrl.tasks.grid.agent import build_grid_critic

WORDS = learn_words()


def model_of(names=(IMAGE, TEXT)):
    modalities = (
        ModalityConfig(name=names[0], size=192, likelihood="bernoulli"),
        ModalityConfig(name=names[1], size=len(WORDS), likelihood="categorical"),
    )
    return build_vae(VaeConfig(modalities=modalities, latent=4, width=16), seed=0).eval()


@pytest.fixture(scope="module")
def model():
    return model_of()


@pytest.fixture(scope="module")
def observations():
    rooms = draw_rooms(GRID_WORLDS["goto"], 3, np.random.default_rng(0))
    poses = np.array([list_poses(is_free(room[None])[0])[5] for room in rooms])
    return observe(rooms, poses)


TEXTS = ("go to the red ball", "find something blue", "go to a key")


def test_candidates_can_be_reached_and_weights_make_up_for_the_draw(model, observations):
    candidates = GeneratedCandidates(model, WORDS, 4000, uniform=0.3)
    goals, log_weights = candidates.draw_for(observations, TEXTS, np.random.default_rng(0))
    assert goals.shape == (3, 4000, 3)
    for listed, drawn, weights in zip(
        reachable_poses(observations), goals, log_weights, strict=True
    ):
        assert {tuple(p) for p in drawn.tolist()} <= {tuple(p) for p in listed.tolist()}
        # E_q[p/q] = 1, and E_q[p/q 1(east)] = the share of poses that look east
        ratio = np.exp(weights)
        assert ratio.mean() == pytest.approx(1, abs=0.1)
        east = (ratio * (drawn[:, 2] == 0)).mean()
        assert east == pytest.approx((listed[:, 2] == 0).mean(), abs=0.06)
        assert ratio.max() <= 1 / 0.3 + 1e-5


def test_wholly_uniform_candidates_weigh_the_same(model, observations):
    candidates = GeneratedCandidates(model, WORDS, 50, uniform=1.0)
    _, log_weights = candidates.draw_for(observations, TEXTS, np.random.default_rng(0))
    np.testing.assert_allclose(log_weights, 0, atol=1e-6)


def test_unweighted_candidates_are_the_same_goals_with_no_weights(model, observations):
    drawn = [
        GeneratedCandidates(model, WORDS, 20, weighted=weighted).draw_for(
            observations, TEXTS, np.random.default_rng(3)
        )
        for weighted in (True, False)
    ]
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    assert not drawn[1][1].any()
    assert drawn[0][1].any()


def test_fit_of_a_goal_is_that_of_what_it_shows(model, observations):
    language = RelatedLanguage(model, WORDS, samples=8)
    listed = [list_poses(is_free(o[None, ..., :2])[0])[:60] for o in observations]
    goals = torch.from_numpy(np.stack(listed))
    fit = language.score(
        language.embed_goals(torch.from_numpy(observations), goals), language.encode_text(TEXTS)[:1]
    )[..., 0]
    table = language.encode_text(TEXTS[:1])[0, 0]
    for observation, poses, row in zip(observations, goals.numpy(), fit, strict=True):
        for pose, value in zip(poses, row, strict=True):
            cell = tuple(observation[(*ahead(pose),)][:2].tolist())
            known = [tuple(kind) for kind in KIND_CELLS.tolist()]
            expected = table[known.index(cell)] if cell in known else torch.tensor(-30.0)
            assert float(value) == pytest.approx(float(expected), abs=1e-5)


def test_fit_is_the_models_pointwise_information_and_does_not_change(model):
    language = RelatedLanguage(model, WORDS, samples=8)
    one, two = language.encode_text(TEXTS), language.encode_text(TEXTS)
    assert torch.equal(one, two)
    assert one.shape == (3, 1, len(KINDS) + 1)
    assert (one[..., -1] == -30).all()


def test_kind_cells_are_the_kinds():
    for (name, colour), cell in zip(KINDS, KIND_CELLS, strict=True):
        assert cell.tolist() == [TYPES[name], COLOURS[colour]]


@pytest.mark.parametrize("strategy", ["log_sum_exp", "nearest_goal"])
@pytest.mark.parametrize("generated", [True, False])
def test_agent_acts_with_generated_candidates_and_draws_anew_for_a_new_text(
    model, observations, strategy, generated
):
    critic = build_grid_critic(GridCriticConfig(embedding=8, channels=8, depth=1, width=16), 0)
    candidates = GeneratedCandidates(model, WORDS, 6) if generated else ReachablePoses()
    agent = GroundedAgent(
        critic, RelatedLanguage(model, WORDS, 4), GROUNDINGS[strategy], candidates,
        actions=np.arange(len(ACTIONS)),
    )  # fmt: skip
    agent.reset(np.random.default_rng(0))
    assert agent.act({"observation": observations, "instruction": TEXTS}).shape == (3,)
    before = agent._batch.goals.copy()
    agent.act({"observation": observations, "instruction": TEXTS})
    np.testing.assert_array_equal(agent._batch.goals, before)
    agent.act({"observation": observations, "instruction": (*TEXTS[:2], "go to a box")})
    np.testing.assert_array_equal(agent._batch.goals[:2], before[:2])
    assert np.array_equal(agent._batch.goals[2], before[2]) != generated
    posterior = agent.posterior({"observation": observations[0]}, TEXTS[0])
    assert posterior.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_models_of_other_modalities_are_refused():
    other = model_of(("digit", "glyph"))
    for make in (
        lambda: RelatedLanguage(other, WORDS),
        lambda: GeneratedCandidates(other, WORDS, 3),
    ):
        with pytest.raises(ConfigError, match="digit, glyph; train one of crop and text"):
            make()


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"samples": 0}, {"uniform": 0.0}, {"uniform": 1.5}]
)
def test_numbers_out_of_range_are_refused(model, wrong):
    with pytest.raises(DomainError, match="uniform in"):
        GeneratedCandidates(model, WORDS, **({"count": 3} | wrong))


def test_unknown_words_can_count_as_known_ones_of_near_meaning(model, observations):
    plain, near = (RelatedLanguage(model, WORDS, 16, near_words=way) for way in (False, True))
    told = ["go to the crimson sphere", "go to the scarlet globe", "go to the red ball"]
    by_plain, by_near = plain.encode_text(told), near.encode_text(told)
    assert torch.equal(by_plain[0], by_plain[1])  # both have two unknown words
    assert not torch.equal(by_near[0], by_near[1])
    assert torch.equal(by_plain[2], by_near[2])
    candidates = GeneratedCandidates(model, WORDS, 5, near_words=True)
    goals, _ = candidates.draw_for(observations, told, np.random.default_rng(0))
    assert goals.shape == (3, 5, 3)
