from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.stats import chisquare

from langrl.agents.goal_policy import GoalPolicy, InstructionPolicy, PolicyActions
from langrl.agents.grounded import GroundedAgent
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_free, list_poses, observe
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.maze.world import StreetMaze
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.text_features import EmbeddedText
from langrl.errors import ConfigError, InstructionError, NonFiniteError, ShapeError
from langrl.evaluation.policies import predict
from langrl.evaluation.rollouts import run_episodes
from langrl.grounding.candidates import ListedCandidates, ReachablePoses, SampledCandidates
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.config import GridCriticConfig
from langrl.protocols import Agent
from langrl.tasks.grid.agent import build_grid_critic, image_language

TEXTS = ("go to row 0", "column 4", "the bottom half", "row 2 or column 0")
STATES = np.array([[0.5, 0.5], [2.2, 3.1], [4.5, 4.5], [2.5, 0.1]], np.float32)
BATCH = {"observation": STATES, "instruction": TEXTS}
GRID_TEXTS = ("go to the red ball", "find a key", "anything but blue", "dance")


def seeded(seed=0):
    return np.random.default_rng(seed)


def rows(batch, mask):
    texts = [text for text, kept in zip(batch["instruction"], mask, strict=True) if kept]
    return {"observation": batch["observation"][mask], "instruction": texts}


class Straight:
    """Goes straight to the desired goal; remembers what it saw."""

    def __init__(self):
        self.seen = []

    def predict(self, observation, *, deterministic=False):
        self.seen.append({name: np.copy(part) for name, part in observation.items()})
        return observation["desired_goal"] - observation["observation"], None


class Fickle:
    """Draws from every generator that Stable-Baselines3's policies draw from."""

    def __init__(self, space=None):
        self.action_space = space or spaces.Discrete(1000)

    def predict(self, observation, *, deterministic=False):
        count = len(observation["observation"] if isinstance(observation, dict) else observation)
        if deterministic:
            return np.zeros((count, 3)), None
        drawn = [[self.action_space.sample(), np.random.rand()] for _ in range(count)]  # noqa: NPY002
        return np.concatenate([drawn, torch.rand(count, 1).numpy()], 1), None


class Oracle:
    """A language side that knows what texts denote in a maze."""

    def __init__(self, world):
        self.world, self.texts = world, []

    def embed_goals(self, observations, goals):
        return goals

    def encode_text(self, texts):
        self.texts += texts
        return torch.tensor([[[float(self.texts.index(text))]] for text in texts])

    def score(self, goals, texts):
        fits = []
        for listed, (number,) in zip(goals, texts[..., 0].flatten(1).long(), strict=True):
            satisfied = self.world.denotation(listed.numpy(), self.texts[number])
            fits.append(torch.from_numpy(np.where(satisfied, 0.0, -np.inf)))
        return torch.stack(fits).unsqueeze(-1)


@pytest.fixture
def make_agent(world):
    def make(grounding="sampled_goal", count=40, policy=None, language=None, draw=False):
        candidates = SampledCandidates(world.sample_states, count)
        chooser = GoalChooser(language or Oracle(world), grounding, candidates)
        return GoalPolicy(policy or Straight(), chooser, MazeGoals(world), axes=1, draw=draw)

    return make


@pytest.fixture
def make_reader():
    def make(policy=None, draw=False):
        def encode(texts):
            return np.array([[len(text), text.count("row"), 1] for text in texts])

        return InstructionPolicy(policy or Reads(), EmbeddedText(encode), axes=1, draw=draw)

    return make


class Reads:
    """Its action says what it read; remembers what it saw."""

    def __init__(self):
        self.seen = []

    def predict(self, observation, *, deterministic=False):
        self.seen.append(observation)
        return observation["instruction"][:, :2] + observation["observation"], None


def goals_of(agent):
    """The goals that an agent's policy was told at its last step."""
    return agent._policy.seen[-1]["desired_goal"]


# -- policies of goals -------------------------------------------------------------------------


def test_policies_are_agents(make_agent, make_reader):
    for agent in (make_agent(), make_reader()):
        assert isinstance(agent, Agent)
        assert agent.act(BATCH).shape == (4, 2)
        assert agent.act({"observation": STATES[0], "instruction": TEXTS[0]}).shape == (2,)


def test_a_goal_is_one_that_the_instruction_denotes(make_agent, world):
    agent = make_agent()
    agent.act(BATCH)
    for goal, text in zip(goals_of(agent), TEXTS, strict=True):
        assert world.denotation(goal[None], text)[0]
    (seen,) = agent._policy.seen
    assert np.array_equal(seen["observation"], STATES)
    assert np.array_equal(seen["achieved_goal"], STATES)
    assert all(part.dtype == np.float32 for part in seen.values())


def test_single_and_batched_observations_get_the_same_actions(make_agent, world):
    listed = ListedCandidates(world.sample_states(40, seeded(5)))
    chooser = GoalChooser(Oracle(world), "max_goal", listed)
    agent = GoalPolicy(Straight(), chooser, MazeGoals(world), axes=1)
    together = agent.act(BATCH)
    for state, text, action in zip(STATES, TEXTS, together, strict=True):
        agent.reset()
        assert np.array_equal(agent.act({"observation": state, "instruction": text}), action)


def test_goals_last_as_long_as_the_episode(make_agent):
    agent = make_agent()
    agent.act(BATCH)
    first = goals_of(agent)
    agent.act({**BATCH, "observation": STATES + 0.1})
    assert np.array_equal(goals_of(agent), first)
    agent.reset()
    agent.act(BATCH)
    assert not (goals_of(agent) == first).all(1).any()


@pytest.mark.parametrize("chosen", [[2], [0, 3], [], [0, 1, 2, 3]])
def test_a_masked_reset_chooses_anew_in_those_rows_and_no_others(make_agent, chosen):
    agent = make_agent()
    agent.act(BATCH)
    first = goals_of(agent)
    mask = np.isin(np.arange(4), chosen)
    agent.reset(mask=mask)
    agent.act(BATCH)
    assert np.array_equal((goals_of(agent) == first).all(1), ~mask)


def test_masks_before_the_first_step_are_harmless(make_agent):
    agent, other = make_agent(), make_agent()
    agent.reset(mask=np.array([True, False, False, False]))
    agent.keep(np.array([True, False, False, False]))
    assert np.array_equal(agent.act(BATCH), other.act(BATCH))


def test_a_masked_reset_may_bring_a_generator(make_agent):
    agent, other = make_agent(), make_agent()
    for one, seed in ((agent, 1), (other, 2)):
        one.act(BATCH)
        one.reset(seeded(seed), np.ones(4, bool))
    assert not np.array_equal(agent.act(BATCH), other.act(BATCH))


@pytest.mark.parametrize("mask", [np.ones(3, bool), np.ones((4, 1), bool), True])
def test_a_mask_of_another_batch_is_refused(make_agent, mask):
    agent = make_agent()
    first = agent.act(BATCH)
    for change in (lambda: agent.reset(mask=mask), lambda: agent.keep(mask)):
        with pytest.raises(ShapeError, match=r"bool \[4\].*reset without a mask"):
            change()
    assert np.array_equal(agent.act(BATCH), first)


def test_a_changed_instruction_gets_a_goal_of_its_own_row_alone(make_agent, world):
    agent = make_agent()
    agent.act(BATCH)
    first = goals_of(agent)
    agent.act(BATCH, [TEXTS[0], "row 4", *TEXTS[2:]])
    second = goals_of(agent)
    assert (second == first).all(1).tolist() == [True, False, True, True]
    assert world.denotation(second[1:2], "row 4")[0]
    agent.act(BATCH)
    third = goals_of(agent)
    assert (third == second).all(1).tolist() == [True, False, True, True]
    assert world.denotation(third[1:2], TEXTS[1])[0]


def test_dropping_episodes_leaves_the_others_as_they_were(make_agent):
    everybody, fewer = make_agent(), make_agent()
    for agent in (everybody, fewer):
        agent.reset(seeded(4))
        agent.act(BATCH)
    mask = np.array([True, False, True, False])
    fewer.keep(mask)
    assert np.array_equal(fewer.act(rows(BATCH, mask)), everybody.act(BATCH)[mask])
    fewer.keep(np.zeros(2, bool))
    assert fewer.act(BATCH).shape == (4, 2)


def test_a_batch_of_another_size_starts_anew(make_agent):
    agent = make_agent()
    agent.act(BATCH)
    first = goals_of(agent)
    agent.act(rows(BATCH, np.array([True, True, False, False])))
    assert not (goals_of(agent) == first[:2]).all(1).any()


@pytest.mark.parametrize("draw", [False, True])
def test_the_generator_decides_what_a_policy_does(make_agent, draw):
    def run(seed):
        agent = make_agent(draw=draw, policy=Fickle() if draw else Straight())
        agent.reset(seeded(seed))
        return np.stack([agent.act(BATCH) for _ in range(3)])

    assert np.array_equal(run(3), run(3))
    assert not np.array_equal(run(3), run(4))


def test_an_agent_begins_with_a_generator_of_its_own(make_agent):
    assert np.array_equal(make_agent().act(BATCH), make_agent().act(BATCH))


@pytest.mark.parametrize(
    ("observations", "error"),
    [
        ({"observation": np.full((4, 2), np.nan), "instruction": TEXTS}, NonFiniteError),
        ({"observation": STATES, "instruction": TEXTS[:3]}, ShapeError),
        ({"observation": STATES, "instruction": ("", *TEXTS[1:])}, InstructionError),
        ({"observation": STATES}, InstructionError),
        ({"observation": STATES[:0], "instruction": ()}, ShapeError),
    ],
    ids=["nan", "too few texts", "blank text", "no text", "nobody"],
)
def test_bad_observations_are_refused_and_change_nothing(make_agent, observations, error):
    agent = make_agent()
    first = agent.act(BATCH)
    with pytest.raises(error):
        agent.act(observations)
    assert np.array_equal(agent.act(BATCH), first)


def test_a_choice_that_fails_changes_nothing(make_agent):
    language = SimpleNamespace(**dict.fromkeys(("embed_goals", "encode_text", "score")))
    agent = make_agent()
    first = agent.act(BATCH)
    works, agent._chooser.language = agent._chooser.language, language
    with pytest.raises(TypeError):
        agent.act({"observation": STATES[:2], "instruction": TEXTS[:2]})
    with pytest.raises(TypeError):
        agent.act(BATCH, [TEXTS[0], "row 4", *TEXTS[2:]])
    agent._chooser.language = works
    assert np.array_equal(agent.act(BATCH), first)


def test_candidates_that_are_no_goals_of_the_policy_are_refused(world):
    listed = ListedCandidates(np.zeros((3, 3), np.float32))
    language = Oracle(world)
    language.score = lambda goals, texts: torch.zeros(*goals.shape[:2], 1)
    agent = GoalPolicy(
        Straight(), GoalChooser(language, "max_goal", listed), MazeGoals(world), axes=1
    )
    with pytest.raises(ShapeError, match=r"a candidate is \[3\] and goals are \[2\]"):
        agent.act(BATCH)


def test_episodes_are_run_with_a_policy(world):
    blank = StreetMaze("blank")
    candidates = SampledCandidates(blank.sample_states, 400)
    chooser = GoalChooser(Oracle(blank), "sampled_goal", candidates)
    agent = GoalPolicy(Straight(), chooser, MazeGoals(blank), axes=1)
    env = gym.make_vec("langrl/StreetMaze-Blank-v0", num_envs=20)
    episodes = run_episodes(env, agent, seed=0)
    assert episodes.success.all()
    assert 0.3 < episodes.spl.mean() <= 1


# -- what an instruction may mean --------------------------------------------------------------


def test_the_posterior_is_a_distribution_over_the_denoted_goals(make_agent, world):
    posterior = make_agent(count=64).posterior({"observation": STATES[0]}, "row 2")
    assert posterior.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert world.denotation(posterior.goals, "row 2").all()
    assert posterior.probabilities == pytest.approx(1 / len(posterior.goals), abs=1e-6)
    assert posterior.entropy_bits == pytest.approx(np.log2(len(posterior.goals)), abs=1e-4)


def test_looking_at_the_posterior_changes_nothing(make_agent):
    agent, other = make_agent(), make_agent()
    for looks in (True, False):
        one = agent if looks else other
        one.reset(seeded())
        one.act(BATCH)
        if looks:
            one.posterior({"observation": STATES[1], "instruction": "row 4"})
    assert np.array_equal(agent.act(BATCH), other.act(BATCH))
    agent.reset(mask=np.ones(4, bool))
    other.reset(mask=np.ones(4, bool))
    assert np.array_equal(agent.act(BATCH), other.act(BATCH))


def test_a_posterior_is_asked_for_one_observation(make_agent):
    with pytest.raises(ShapeError, match="single observation"):
        make_agent().posterior(BATCH)


# -- policies that read ------------------------------------------------------------------------


def test_a_policy_reads_the_numbers_of_the_wrapper(make_reader):
    agent = make_reader()
    actions = agent.act(BATCH)
    said = np.array([[11, 1], [8, 0], [15, 0], [17, 1]], np.float32)
    assert np.array_equal(actions, STATES + said)
    assert np.array_equal(agent.act(BATCH, "row row"), STATES + np.float32([7, 2]))
    single = agent.act({"observation": STATES[1]}, TEXTS[1])
    assert np.array_equal(single, actions[1])
    (seen, *_) = agent._policy.seen
    assert set(seen) == {"observation", "instruction"}


def test_a_policy_that_reads_forgets_nothing_and_knows_nothing(make_reader):
    agent = make_reader()
    agent.reset(seeded(), np.array([True, False, False, False]))
    first = agent.act(BATCH)
    agent.keep(np.array([True, False, True, False]))
    assert np.array_equal(agent.act(rows(BATCH, np.array([1, 0, 1, 0], bool))), first[[0, 2]])


@pytest.mark.parametrize("kind", ["goals", "reads"])
def test_global_generators_and_the_space_of_actions_stay_as_they_were(
    make_agent, make_reader, kind
):
    def draw():
        policy = Fickle()
        policy.action_space.seed(7)
        agent = (make_agent if kind == "goals" else make_reader)(policy=policy, draw=True)
        agent.reset(seeded(1))
        return agent.act(BATCH), policy.action_space.sample()

    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    actions, sampled = draw()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    torch.rand(1), np.random.rand()  # noqa: NPY002
    again, _ = draw()
    assert np.array_equal(again, actions)  # whatever the global generators are
    fresh = spaces.Discrete(1000)
    fresh.seed(7)
    assert sampled == fresh.sample()
    assert len(np.unique(actions[:, 0])) > 1


def test_generators_are_put_back_when_a_policy_fails():
    class Broken(Fickle):
        def predict(self, observation, *, deterministic=False):
            super().predict(observation)
            raise RuntimeError("broken")

    policy = Broken()
    space, before = policy.action_space, torch.get_rng_state()
    with pytest.raises(RuntimeError, match="broken"):
        predict(policy, {"observation": STATES}, seeded())
    assert torch.equal(torch.get_rng_state(), before)
    assert policy.action_space is space


@pytest.mark.parametrize(
    "actions", [np.zeros((3, 2)), np.zeros(2), np.float32(1)], ids=["too few", "one", "a number"]
)
def test_a_policy_that_gives_too_few_actions_is_named(actions):
    policy = SimpleNamespace(predict=lambda observation, deterministic: (actions, None))
    with pytest.raises(ShapeError, match="for 4 observations"):
        predict(policy, {"observation": STATES}, None)


# -- policies that propose actions -------------------------------------------------------------


def test_goals_are_drawn_as_they_are_believed_in(world):
    policy = Straight()
    goals = np.array([[[0, 0], [0, 4], [4, 0], [4, 4]]] * 2, np.float32)
    beliefs = np.array([[0.5, 0.0, 0.3, 0.2], [0.0, 0.0, 1.0, 0.0]], np.float32)
    proposer = PolicyActions(policy, 4000, MazeGoals(world), draw=False)
    actions = proposer.propose(STATES[:2], goals, beliefs, seeded())
    assert actions.shape == (2, 4000, 2)
    (seen,) = policy.seen
    assert np.array_equal(seen["observation"], STATES[:2].repeat(4000, 0))
    assert np.array_equal(seen["achieved_goal"], seen["observation"])
    drawn = seen["desired_goal"].reshape(2, 4000, 2)
    assert np.allclose(actions, drawn - STATES[:2, None])
    assert (drawn[1] == [4, 0]).all()
    found = (drawn[0][:, None] == goals[0]).all(2).sum(0)
    assert found[1] == 0
    real = [0, 2, 3]
    assert chisquare(found[real], 4000 * beliefs[0, real].astype(float)).pvalue > 0.001


def test_a_policy_without_goals_acts_on_what_is_observed():
    asked = []

    def act(observation, deterministic):
        asked.append((observation, deterministic))
        return observation[:, :1] * 2, None

    goals, beliefs = np.zeros((4, 3, 2), np.float32), np.full((4, 3), 1 / 3, np.float32)
    for draw in (True, False):
        proposer = PolicyActions(SimpleNamespace(predict=act), 5, draw=draw)
        actions = proposer.propose(STATES, goals, beliefs, seeded())
        assert np.array_equal(actions, np.repeat(2 * STATES[:, None, :1], 5, 1))
    assert np.array_equal(asked[0][0], STATES.repeat(5, 0))
    assert [deterministic for _, deterministic in asked] == [False, True]


@pytest.mark.parametrize(("given", "taken"), [(np.float64, np.float32), (np.int32, np.int64)])
def test_proposed_actions_are_numbers_that_critics_take(given, taken):
    policy = SimpleNamespace(predict=lambda seen, deterministic: (np.ones(len(seen), given), None))
    goals, beliefs = np.zeros((4, 3, 2), np.float32), np.full((4, 3), 1 / 3, np.float32)
    actions = PolicyActions(policy, 5).propose(STATES, goals, beliefs, seeded())
    assert actions.shape == (4, 5)
    assert actions.dtype == taken


def test_the_generator_decides_what_is_proposed(world):
    def propose(seed):
        goals = np.repeat(world.sample_states(9, seeded(1))[None], 4, 0)
        beliefs = np.full((4, 9), 1 / 9, np.float32)
        proposer = PolicyActions(Fickle(), 5, MazeGoals(world))
        return proposer.propose(STATES, goals, beliefs, seeded(seed))

    before = torch.get_rng_state()
    assert np.array_equal(propose(0), propose(0))
    assert not np.array_equal(propose(0), propose(1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("count", [0, -1])
def test_no_proposal_is_refused(count):
    with pytest.raises(ConfigError, match=f"at least 1; got {count}"):
        PolicyActions(Straight(), count)


def test_candidates_of_another_width_are_refused_with_the_repair():
    proposer = PolicyActions(Straight(), 2, PoseGoals(8))
    goals, beliefs = np.zeros((4, 3, 3), np.int64), np.full((4, 3), 1 / 3, np.float32)
    with pytest.raises(ShapeError, match=r"\[3\].*\[4\].*ReachablePoses\(said_done=True\)"):
        proposer.propose(np.zeros((4, 8, 8, 3), np.uint8), goals, beliefs, seeded())


@pytest.mark.parametrize("name", GROUNDINGS)
def test_every_strategy_compares_what_a_maze_policy_proposes(name, world, make_critics):
    def make(draw=False):
        proposer = PolicyActions(Straight(), 6, MazeGoals(world), draw=draw)
        candidates = SampledCandidates(world.sample_states, 40)
        agent = GroundedAgent(*make_critics(), GROUNDINGS[name], candidates, actions=proposer)
        agent.reset(seeded())
        return agent, proposer

    (agent, proposer), (other, _) = make(), make()
    for _ in range(3):
        actions = agent.act(BATCH)
        assert np.array_equal(actions, other.act(BATCH))
        seen = proposer._policy.seen[-1]
        proposed = (seen["desired_goal"] - seen["observation"]).reshape(4, 6, 2)
        assert (actions[:, None] == proposed).all(2).any(1).all()
    assert agent.act({"observation": STATES[0], "instruction": TEXTS[0]}).shape == (2,)


@pytest.fixture(scope="module")
def dqn():
    """A DQN that was trained for some steps on goals of a grid world, with its environment."""
    pytest.importorskip("stable_baselines3")
    from stable_baselines3 import DQN

    from langrl.agents.sb3.extractors import PoseExtractor

    env = GoalEnv(gym.make("langrl/GridGoTo-v0"))
    policy = {
        "features_extractor_class": PoseExtractor,
        "features_extractor_kwargs": {"features_dim": 16},
        "net_arch": [16],
        "normalize_images": False,
    }
    sizes = {"learning_starts": 10, "buffer_size": 100, "batch_size": 4}
    model = DQN("MultiInputPolicy", env, **sizes, policy_kwargs=policy, seed=0)
    return model.learn(20), env


@pytest.fixture(scope="module")
def observations():
    rooms = draw_rooms(GRID_WORLDS["goto"], 4, seeded())
    return observe(rooms, np.stack([list_poses(free)[7] for free in is_free(rooms)]))


@pytest.mark.parametrize("name", ["log_sum_exp", "nearest_goal", "max_goal", "sampled_goal"])
@pytest.mark.parametrize("real", [False, True], ids=["fake", "dqn"])
def test_every_strategy_compares_what_a_grid_policy_proposes(
    name, real, request, tiny_language, observations
):
    class Forward:
        def predict(self, observation, *, deterministic=False):
            return np.full(len(observation["desired_goal"]), 2), None

    policy = request.getfixturevalue("dqn")[0] if real else Forward()
    sizes = GridCriticConfig(embedding=8, channels=8, depth=1, width=16)
    agent = GroundedAgent(
        build_grid_critic(sizes, seed=0),
        image_language(str(tiny_language), "cpu"),
        GROUNDINGS[name],
        ReachablePoses(said_done=True),
        actions=PolicyActions(policy, 3, PoseGoals(8)),
    )
    batch = {"observation": observations, "instruction": GRID_TEXTS}
    drawn = []
    for _ in range(2):
        agent.reset(seeded(2))
        drawn.append(agent.act(batch))
    assert np.array_equal(*drawn)
    assert drawn[0].shape == (4,)
    assert set(drawn[0].tolist()) <= ({0, 1, 2, 3} if real else {2})


# -- a real one --------------------------------------------------------------------------------


def test_a_dqn_of_images_acts_on_batches_as_the_environment_gives_them(
    dqn, tiny_language, observations
):
    model, env = dqn
    candidates = ReachablePoses(said_done=True)
    chooser = GoalChooser(image_language(str(tiny_language), "cpu"), "max_goal", candidates)
    agent = GoalPolicy(model, chooser, PoseGoals(8), axes=3)
    assert model.observation_space["observation"].shape == (3, 8, 8)  # turned around inside
    together = agent.act({"observation": observations, "instruction": GRID_TEXTS})
    assert together.shape == (4,)
    for seen, text, action in zip(observations, GRID_TEXTS, together, strict=True):
        agent.reset()
        alone = agent.act({"observation": seen, "instruction": text})
        assert alone == action
        assert alone in env.action_space
    desired = np.ones((4, 4), np.float32)
    told = {"achieved_goal": PoseGoals(8).achieved(observations), "desired_goal": desired}
    first = {"observation": observations.transpose(0, 3, 1, 2), **told}
    last = predict(model, {"observation": observations, **told}, None)
    assert np.array_equal(last, predict(model, first, None))


def test_a_dqn_explores_by_the_given_generator_alone(dqn, observations):
    model, _ = dqn
    seen = {
        "observation": observations.repeat(10, 0),
        "achieved_goal": PoseGoals(8).achieved(observations.repeat(10, 0)),
        "desired_goal": np.ones((40, 4), np.float32),
    }
    rate, model.exploration_rate = model.exploration_rate, 1.0
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    drawn = [predict(model, seen, seeded(seed)).tolist() for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    model.exploration_rate = rate
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert set(drawn[0]) == {0, 1, 2, 3}


def test_a_start_that_was_not_said_is_warned_of_at_the_line_that_acts(make_agent):
    agent, seen = make_agent(), {"observation": np.float32([[0.5, 0.5]])}
    agent.act(seen | {"instruction": ("go to row 0",)})
    with pytest.warns(UserWarning, match="no episode was said to start") as warned:
        agent.act(seen | {"instruction": ("go to row 3",)})
    assert warned[0].filename == __file__
