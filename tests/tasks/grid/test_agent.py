import gymnasium as gym
import numpy as np
import pytest
import torch

from langrl.agents.baselines import RandomAgent
from langrl.checkpoint import Checkpoint, write_checkpoint
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, list_poses, observe
from langrl.errors import CheckpointError, ConfigError, GroundingError, ShapeError
from langrl.evaluation.rollouts import run_episodes
from langrl.grounding.config import GridGroundingConfig
from langrl.models.config import GridCriticConfig
from langrl.protocols import Agent
from langrl.tasks.grid.agent import (
    GridAgentDescription,
    build_grid_critic,
    compose_grid_agent,
    image_language,
    render_goals,
    restore_grid_agent,
)
from langrl.tasks.grid.baselines import (
    AXES,
    GridPlanner,
    any_object,
    denoted_objects,
    random_actions,
)
from langrl.tasks.loading import load_agent

SIZES = GridCriticConfig(embedding=8, channels=8, depth=1, width=16)


@pytest.fixture
def critic():
    return build_grid_critic(SIZES, seed=0)


@pytest.fixture
def make_agent(critic, tiny_language):
    def make(strategy="log_sum_exp", **settings):
        config = GridGroundingConfig(strategy=strategy, **settings)
        return compose_grid_agent(critic, str(tiny_language), config)

    return make


@pytest.fixture(scope="module")
def observations():
    rooms = draw_rooms(GRID_WORLDS["goto"], 4, np.random.default_rng(0))
    poses = np.array([list_poses(room[..., 0] == 1)[7] for room in rooms])
    return observe(rooms, poses)


TEXTS = ("go to the red ball", "find a key", "anything but blue", "dance")


@pytest.mark.parametrize("strategy", ["log_sum_exp", "sampled_goal", "nearest_goal", "max_goal"])
def test_every_strategy_acts_single_and_batched(make_agent, observations, strategy):
    agent = make_agent(strategy, temperature=0)
    assert isinstance(agent, Agent)
    agent.reset(np.random.default_rng(0))
    together = agent.act({"observation": observations, "instruction": TEXTS})
    assert together.shape == (4,)
    assert set(together.tolist()) <= {0, 1, 2, 3}
    if strategy != "sampled_goal":
        for seen, text, action in zip(observations, TEXTS, together, strict=True):
            agent.reset()
            assert agent.act({"observation": seen, "instruction": text}) == action


def test_the_posterior_covers_exactly_the_free_poses(make_agent, observations):
    posterior = make_agent().posterior({"observation": observations[0]}, "go to the red ball")
    free = list_poses(observations[0, ..., 0] == 1)
    assert {tuple(goal) for goal in posterior.goals.tolist()} == {tuple(p) for p in free.tolist()}
    assert posterior.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert 0 <= posterior.entropy_bits <= np.log2(len(free)) + 1e-6


def test_the_fit_is_the_log_ratio_of_the_goals_images(make_agent, observations, tiny_language):
    agent = make_agent(language_weight=1)
    posterior = agent.posterior({"observation": observations[1]}, "find a key")
    model = image_language(str(tiny_language), "cpu").model
    images = render_goals(observations[1], posterior.goals)
    expected = model.log_ratio(images, ["find a key"])[:, 0].softmax(0)
    np.testing.assert_allclose(posterior.probabilities, expected, rtol=1e-4)


def test_a_larger_language_weight_raises_the_probability_of_the_best_goals(
    make_agent, observations
):
    seen = {"observation": observations[1]}
    calibrated, sharp = (
        make_agent(language_weight=factor).posterior(seen, "find a key") for factor in (1, 3)
    )
    expected = calibrated.probabilities**3
    np.testing.assert_allclose(sharp.probabilities, expected / expected.sum(), rtol=1e-4)


def test_another_room_starts_a_new_episode_without_being_told(make_agent, observations):
    agent = make_agent("nearest_goal", temperature=0)
    agent.reset(np.random.default_rng(0))
    agent.act({"observation": observations[0], "instruction": TEXTS[0]})
    moved_on = agent.act({"observation": observations[1], "instruction": TEXTS[0]})
    agent.reset(np.random.default_rng(0))
    assert agent.act({"observation": observations[1], "instruction": TEXTS[0]}) == moved_on
    posterior = agent.posterior({"observation": observations[2]}, TEXTS[0])
    assert len(posterior.goals) == 4 * (observations[2, ..., 0] == 1).sum()


def test_images_of_a_room_are_embedded_once_for_all_agents(
    make_agent, observations, tiny_language, monkeypatch
):
    language = image_language(str(tiny_language), "cpu")
    language._cache.clear()
    calls = []
    encode = language.model.encode_image
    monkeypatch.setattr(
        language.model, "encode_image", lambda images: calls.append(1) or encode(images)
    )
    for strategy in ("log_sum_exp", "nearest_goal"):
        agent = make_agent(strategy)
        for text in TEXTS:
            agent.act({"observation": observations, "instruction": [text] * 4})
    assert len(calls) == len(observations)


def test_a_temperature_spreads_actions_around_the_best(make_agent, observations):
    batch = {"observation": np.repeat(observations[:1], 200, 0), "instruction": [TEXTS[0]] * 200}
    greedy = make_agent(temperature=0).act(batch)
    assert len(set(greedy.tolist())) == 1
    hot = make_agent(temperature=100.0)
    hot.reset(np.random.default_rng(0))
    shares = np.bincount(hot.act(batch), minlength=4) / 200
    assert (np.abs(shares - 0.25) < 0.1).all()
    hot.reset(np.random.default_rng(0))
    again = hot.act(batch)
    hot.reset(np.random.default_rng(0))
    assert (again == hot.act(batch)).all()


def test_direct_comparison_of_separate_encoders_has_to_be_asked_for(make_agent, observations):
    with pytest.raises(GroundingError, match="Direct needs a shared encoder"):
        make_agent("direct")
    agent = make_agent("direct", compare_separate=True)
    assert agent.act({"observation": observations, "instruction": TEXTS}).shape == (4,)


def test_an_observation_of_another_world_is_refused(make_agent):
    with pytest.raises(ShapeError, match="3 axes"):
        make_agent().act({"observation": np.zeros(2, np.float32), "instruction": "go"})
    with pytest.raises(ShapeError, match="shows the agent in one cell"):
        make_agent().act({"observation": np.zeros((8, 8, 3), np.uint8), "instruction": "go"})


def test_a_saved_agent_acts_like_the_one_that_was_saved(
    critic, tiny_language, observations, make_agent, tmp_path
):
    description = GridAgentDescription(
        critic=SIZES, language=str(tiny_language), grounding=GridGroundingConfig()
    )
    documents = {"agent": description.model_dump(mode="json")}
    checkpoint = Checkpoint(documents, {"weights": dict(critic.named_parameters())})
    write_checkpoint(tmp_path / "agent", checkpoint)
    loaded = load_agent(tmp_path / "agent", strategy="nearest_goal", temperature=0)
    mine = make_agent("nearest_goal", temperature=0)
    batch = {"observation": observations, "instruction": TEXTS}
    assert (loaded.act(batch) == mine.act(batch)).all()
    with pytest.raises(ConfigError, match="temprature"):
        load_agent(tmp_path / "agent", temprature=0)
    other = description.model_copy(update={"critic": SIZES.model_copy(update={"width": 8})})
    wrong = Checkpoint({"agent": other.model_dump(mode="json")}, checkpoint.tensors)
    with pytest.raises(CheckpointError, match="the config has changed since"):
        restore_grid_agent(wrong, tmp_path, "cpu", {})


def test_a_missing_language_model_is_named(critic):
    with pytest.raises(ConfigError, match="no-such-folder"):
        compose_grid_agent(critic, "./no-such-folder", GridGroundingConfig())


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_the_oracle_always_succeeds_by_a_shortest_way(world):
    env = gym.make_vec("langrl/GridGoTo-v0", num_envs=60, world=world)
    episodes = run_episodes(env, GridPlanner(denoted_objects), seed=0)
    assert episodes.success.all()
    assert (episodes.spl == 1).all()


def test_the_nearest_object_is_right_only_by_chance():
    env = gym.make_vec("langrl/GridGoTo-v0", num_envs=300, levels=("full",))
    episodes = run_episodes(env, GridPlanner(any_object), seed=0)
    assert (episodes.steps < 100).all()
    assert 0.02 < episodes.success.mean() < 0.4


def test_an_oracle_that_cannot_read_gives_up():
    env = gym.make_vec("langrl/GridGoTo-v0", num_envs=3)
    episodes = run_episodes(env, GridPlanner(denoted_objects), 0, {"instruction": "dance"})
    assert not episodes.success.any()
    assert (episodes.steps == 1).all()


def test_random_actions_come_from_the_generator(observations):
    agent = RandomAgent(random_actions, AXES)
    batch = {"observation": observations.repeat(50, 0), "instruction": TEXTS * 50}
    drawn = []
    for seed in (0, 0, 1):
        agent.reset(np.random.default_rng(seed))
        drawn.append(agent.act(batch))
    assert (drawn[0] == drawn[1]).all()
    assert not (drawn[0] == drawn[2]).all()
    assert set(drawn[0].tolist()) == {0, 1, 2, 3}
    assert agent.act({"observation": observations[0], "instruction": "go"}).shape == ()


def test_actions_are_plain_numbers_that_the_environment_takes(make_agent):
    env = gym.make("langrl/GridGoTo-v0")
    observation, _ = env.reset(seed=0)
    agent = make_agent()
    agent.reset()
    observation, *_ = env.step(agent.act(observation))
    assert agent.act(observation) in env.action_space
    assert torch.is_tensor(agent.embed_texts(["go to a ball"]))
