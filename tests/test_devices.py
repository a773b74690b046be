"""Models on another device than the CPU: everything goes to where their weights are, and back."""

import copy
import dataclasses
from functools import partial
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
import torch
from stand_in_device import AWAY, AwayTensor, send, stand_in_device
from torch import nn
from wrapped_environments import TEXTS as SIDES
from wrapped_environments import place_goals, text_cart

from langrl.agents.cloning import ClonedPolicy, CloningAgent
from langrl.agents.grounded import GroundedAgent
from langrl.agents.language_image import LanguageImageLearner
from langrl.agents.relating import RelatingConfig, RelatingLearner
from langrl.data.images.grid_scenes import ImageTexts
from langrl.data.related_pairs import learn_words
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_free, list_poses, observe
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction
from langrl.grounding.candidates import ListedCandidates, ReachablePoses, SampledCandidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.generated import IMAGE, TEXT, GeneratedCandidates, RelatedLanguage
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.joining import JoinedModels, Side
from langrl.grounding.language_critic import EmbeddedImages, learn_language
from langrl.grounding.proposals import GaussianProposal
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.config import GridCriticConfig, TextConfig
from langrl.models.critics.maze import LanguageCritic, PairCritic
from langrl.models.encoders import PretrainedTextEncoder
from langrl.models.language_image.image_inputs import frame_image
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import load_language_image_model
from langrl.models.protocols import device_of
from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.model import build_vae
from langrl.tasks.grid.agent import render_goals
from langrl.tasks.maze.agent import directions

TEXTS = ["go to row 0", "the red ball"]
WORDS = learn_words()


@pytest.fixture
def away(monkeypatch):
    with stand_in_device(monkeypatch):
        yield AWAY


def generator():
    return np.random.default_rng(0)


def equal(one, other):
    assert np.asarray(one).shape == np.asarray(other).shape
    return np.allclose(one, other, atol=1e-5)


def test_tensors_of_two_devices_do_not_mix(away):
    there, here = torch.ones(3, device=away), torch.ones(3)
    assert there.device == here.to(away).device == (there + 1).device == away
    assert (there + there).cpu().tolist() == [2, 2, 2]
    assert here.device.type == "cpu"
    for mixed in (lambda: there + here, lambda: nn.Linear(3, 3)(there), there.numpy):
        with pytest.raises((RuntimeError, TypeError, ValueError)):
            mixed()


def vae():
    modalities = (
        ModalityConfig(name=IMAGE, size=192, likelihood="bernoulli"),
        ModalityConfig(name=TEXT, size=len(WORDS), likelihood="categorical"),
    )
    return build_vae(VaeConfig(modalities=modalities, latent=4, width=16), seed=0).eval()


def rooms():
    drawn = draw_rooms(GRID_WORLDS["goto"], 2, generator())
    poses = [list_poses(is_free(room[None])[0])[5] for room in drawn]
    return observe(drawn, np.array(poses))


class Sentences:
    """In the place of a SentenceTransformer, which stays on the CPU."""

    def encode(self, inputs, **options):
        return torch.tensor([[float(len(each["text"])), 1.0] for each in inputs])


SIDES_OF_LANGUAGE = ["critic", "named text", "images", "embedded images", "related pairs"]


@pytest.fixture
def case(request, make_critics, tiny_language):
    """A language side, observations and candidates."""
    listed = ListedCandidates(np.random.default_rng(1).random((6, 2)).astype(np.float32))
    positions = np.zeros((2, 2), np.float32)
    if request.param == "critic":
        return make_critics()[1], positions, listed
    if request.param == "named text":
        critic = make_critics()[1]
        text = PretrainedTextEncoder("sentences", 8, TextConfig(width=8), Sentences(), width=2)
        return LanguageCritic(critic.goal, text, critic.energy).eval(), positions, listed
    if request.param == "related pairs":
        return RelatedLanguage(vae(), WORDS), rooms(), ReachablePoses()
    model = load_language_image_model(tiny_language)
    if request.param == "images":
        return ImageLanguage(model, render_goals), rooms(), ReachablePoses()
    goals = np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32)
    return EmbeddedImages(model), positions, ListedCandidates(goals)


@pytest.mark.parametrize("case", SIDES_OF_LANGUAGE, indirect=True)
@pytest.mark.parametrize("strategy", ["max_goal", "sampled_goal"])
def test_goals_are_chosen_where_the_weights_are(case, strategy, monkeypatch):
    language, observations, candidates = case
    chooser = GoalChooser(language, strategy, candidates)
    goals, posteriors = chooser.choose(observations, TEXTS, generator())
    moved = copy.deepcopy(language)
    with stand_in_device(monkeypatch):
        send(moved)
        assert device_of(moved) == AWAY
        other = GoalChooser(moved, strategy, candidates)
        found, beliefs = other.choose(observations, TEXTS, generator())
    assert np.array_equal(found, goals)
    for one, belief in zip(posteriors, beliefs, strict=True):
        assert equal(one.probabilities, belief.probabilities)
        assert isinstance(belief.probabilities, np.ndarray)


def test_a_language_side_that_is_moved_later_is_found(make_critics, monkeypatch):
    candidates = ListedCandidates(np.float32([[1, 1], [4, 4]]))
    _, language = make_critics()
    chooser = GoalChooser(language, "max_goal", candidates)
    before, _ = chooser.choose(np.zeros((1, 2), np.float32), TEXTS[:1], generator())
    with stand_in_device(monkeypatch):
        send(language)
        after, _ = chooser.choose(np.zeros((1, 2), np.float32), TEXTS[:1], generator())
    assert np.array_equal(before, after)


def test_an_environment_follows_instructions_by_a_language_side_elsewhere(monkeypatch):
    goals = np.float32([[-1], [1]] * 8)
    language = learn_language(goals, SIDES[:2] * 8, steps=20, batch_size=8)
    candidates = ListedCandidates(np.float32([[-0.5], [0.5]]))

    def reset(side):
        env = InstructionToGoal(text_cart(goals=place_goals()), side, "max_goal", candidates)
        observation, info = env.reset(seed=0, options={"instruction": "go right"})
        return observation["desired_goal"], info["posterior"]

    goal, posterior = reset(language)
    with stand_in_device(monkeypatch):
        send(language)
        other, belief = reset(language)
    assert np.array_equal(goal, other)
    assert equal(posterior, belief)


def test_texts_and_images_are_encoded_where_the_weights_are(tiny_language, monkeypatch):
    model = load_language_image_model(tiny_language)
    photo = frame_image(np.random.default_rng(0).random((40, 90, 3)), 64)
    ratio, embedded = model.log_ratio(photo, TEXTS), model.encode_text(TEXTS[1])
    with stand_in_device(monkeypatch):
        send(model)
        found = model.log_ratio(photo, TEXTS)
        assert isinstance(found, AwayTensor)
        assert equal(found.cpu(), ratio)
        env = EmbedInstruction(AddInstruction(gym.make("CartPole-v1"), TEXTS[1:]), model)
        assert equal(env.reset(seed=0)[0]["instruction"], embedded[0])


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("direct", "both"),
        ("nearest_goal", "both"),
        *product(("log_sum_exp", "sampled_goal"), ("both", "critic", "language")),
    ],
)
def test_agents_act_with_models_on_any_devices(make_critics, world, monkeypatch, where, name):
    critic, language = make_critics()
    if where != "both":
        language = copy.deepcopy(language)  # with a goal encoder of its own
    candidates = SampledCandidates(world.sample_states, 12)
    states = np.float32([[0.5, 0.5], [4.5, 4.5], [2.5, 0.5]])
    observation = {"observation": states, "instruction": ["row 0", "row 4", "column 1"]}
    make = partial(
        GroundedAgent, grounding=GROUNDINGS[name], candidates=candidates, actions=directions(8)
    )

    def act(agent):
        agent.reset(generator())
        actions = [agent.act(observation) for _ in range(2)]
        single = {"observation": states[0], "instruction": "row 0"}
        return [*actions, agent.posterior(single).probabilities]

    expected = act(make(critic, language))
    with stand_in_device(monkeypatch):
        for part in (
            (critic, language)
            if where == "both"
            else ((critic,) if where == "critic" else (language,))
        ):
            send(part)
        if where == "both":
            language.goal = critic.goal
        found = act(make(critic, language))
    for one, other in zip(expected, found, strict=True):
        assert equal(one, other)


def test_generated_candidates_are_drawn_where_the_weights_are(monkeypatch):
    model = vae()
    expected = GeneratedCandidates(model, WORDS, 5).draw_for(rooms(), TEXTS, generator())
    with stand_in_device(monkeypatch):
        send(model)
        found = GeneratedCandidates(model, WORDS, 5).draw_for(rooms(), TEXTS, generator())
        drawn = model.generate({}, torch.Generator(AWAY), 3)
        assert device_of(drawn[TEXT]) == AWAY
    assert all(equal(one, other) for one, other in zip(expected, found, strict=True))


def test_joined_models_may_be_on_two_devices(tiny_language, monkeypatch):
    model = load_language_image_model(tiny_language)
    torch.manual_seed(0)
    critic = PairCritic(nn.Linear(3, 4), nn.Sequential(nn.Flatten(), nn.Linear(1728, 4)), _dot)
    images = np.random.default_rng(0).integers(0, 255, (5, 24, 24, 3), np.uint8)
    sounds = np.random.default_rng(1).random((2, 3)).astype(np.float32)

    def join():
        side = Side.from_critic(critic)
        left = Side(lambda x: side.encode_shared(np.float32(x)), side.encode_other, side.score)
        joined = JoinedModels(left, Side.from_language_image(model), images)
        return joined.log_ratio(sounds, TEXTS).value.cpu()

    with torch.no_grad():
        expected = join()
        with stand_in_device(monkeypatch):
            send(critic)
            assert equal(join(), expected)


def _dot(x, y):
    return x @ y.mT


def test_a_language_image_model_is_trained_where_its_weights_are(tiny_language, away):
    model = send(load_language_image_model(tiny_language))
    images = np.random.default_rng(0).integers(0, 255, (4, 24, 24, 3), np.uint8)
    batch = ImageTexts(images, ["a key", "a ball"], np.array([[1, 0, 1, 0], [0, 1, 0, 1]], bool))
    learner = LanguageImageLearner(model, lambda step: batch, steps=2, learning_rate=1e-3)
    assert learner.device == away
    loss, _ = learner.loss(learner.batch())
    assert np.isfinite(loss.item())
    assert device_of(loss) == away


@pytest.mark.parametrize("proposal", ["experts", "posterior"])
def test_related_observations_are_learned_where_the_weights_are(proposal, away):
    modalities = (ModalityConfig(name="image", size=6), ModalityConfig(name="text", size=4))
    model = send(build_vae(VaeConfig(modalities=modalities, latent=3, width=16), seed=0))
    data = {"image": torch.rand(8, 6, device=away), "text": torch.rand(8, 4, device=away)}
    config = RelatingConfig(steps=2, batch_size=4, proposal=proposal)
    learner = RelatingLearner(model, data, config, torch.Generator(away))
    loss, _ = learner.loss(learner.batch())
    assert np.isfinite(loss.item())


def test_cloned_policies_act_where_their_weights_are(monkeypatch):
    torch.manual_seed(0)
    policy = ClonedPolicy(4, 7, GridCriticConfig(channels=8, depth=1, width=8))
    observation = {"observation": rooms(), "instruction": TEXTS}

    def act():
        agent = CloningAgent(policy, lambda texts: torch.ones(len(texts), 4), 1.0)
        agent.reset(generator())
        return agent.act(observation)

    expected = act()
    with stand_in_device(monkeypatch):
        send(policy)
        assert np.array_equal(act(), expected)


def test_proposals_are_drawn_where_the_queries_are(away):
    draw = torch.Generator().manual_seed(0)
    queries, goals = torch.randn(40, 2, generator=draw), torch.randn(40, 2, generator=draw)
    proposal = GaussianProposal.fit(queries.to(away), goals.to(away))
    drawn, log_weights = proposal.draw(queries[:3].to(away), 5, torch.Generator(away))
    assert drawn.device == log_weights.device == away


def test_policies_of_stable_baselines3_are_evaluated_where_the_language_side_is(
    tiny_language, tmp_path, monkeypatch
):
    pytest.importorskip("stable_baselines3")
    from langrl.tasks.sb3.agent import TrainedPolicy
    from langrl.tasks.sb3.config import Sb3RunConfig

    config = Sb3RunConfig.model_validate(
        {
            "world": "langrl/GridGoTo-v0",
            "policy": {"algorithm": "dqn"},
            "language": str(tiny_language),
        }
    )
    policy = TrainedPolicy(config, tmp_path, None)
    guidance = policy.guidance
    expected = policy.instruction_task("full").reset(seed=0)[1]["posterior"]
    moved = dataclasses.replace(guidance, language=copy.deepcopy(guidance.language))
    policy.__dict__["guidance"] = moved
    with stand_in_device(monkeypatch):
        send(moved.language)
        moved.language._cache.clear()
        assert equal(policy.instruction_task("full").reset(seed=0)[1]["posterior"], expected)
