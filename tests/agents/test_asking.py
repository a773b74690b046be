"""An agent that asks: in a room made by hand, in a small maze, and in tasks with a price."""

import numpy as np
import pytest
import torch
from grid_rooms_by_hand import EAST, ROOM

from langrl.agents.asking import AskingAgent
from langrl.agents.grounded import GroundedAgent
from langrl.agents.pursuing import GroundedFollower, PlannedFollower
from langrl.envs.grid.rooms import observe
from langrl.envs.questions import grid_questions, maze_questions
from langrl.errors import GroundingError, ShapeError
from langrl.functional.asking import ACT
from langrl.grounding.asking import ASK_RULES, Asking
from langrl.grounding.beliefs import ExactBeliefs, LanguageBeliefs
from langrl.grounding.candidates import SampledCandidates
from langrl.grounding.intents import GridIntents, MazeIntents
from langrl.grounding.strategies import GROUNDINGS
from langrl.protocols import Agent
from langrl.tasks.grid.baselines import GridPlanner
from langrl.tasks.maze.agent import directions
from langrl.tasks.maze.baselines import OracleAgent

COLOUR, TYPE, SIDE, HALF = range(4)
STARTS = np.array([[0.5, 0.5], [4.5, 4.5], [0.5, 4.5]], np.float32)
TEXTS = ["go to row 0 or row 4", "column 0 or column 4", "go to row 0 or row 4"]


@pytest.fixture
def maze(world):
    return MazeIntents(world, maze_questions(world.walls.shape))


@pytest.fixture
def grid():
    return GridIntents(grid_questions(8))


@pytest.fixture
def make_grounded(world, make_critics):
    def make(strategy="max_goal"):
        critic, language = make_critics()
        candidates = SampledCandidates(world.sample_states, 300)
        return GroundedAgent(
            critic, language, GROUNDINGS[strategy], candidates, actions=directions(8)
        )

    return make


@pytest.fixture
def make_asking(maze, make_grounded):
    def make(rule="pays", price=0.01, exact=True):
        agent = make_grounded()
        beliefs = ExactBeliefs(maze) if exact else LanguageBeliefs(agent.language, maze)
        return AskingAgent(GroundedFollower(agent, maze), beliefs, Asking(rule, price))

    return make


@pytest.fixture
def planner(grid):
    asking = Asking("pays", 0.05)
    return AskingAgent(PlannedFollower(GridPlanner, grid.shape), ExactBeliefs(grid), asking)


def seen(states, answers, questions=4):
    table = np.full((len(states), questions), -1)
    for row, told in answers.items():
        for question, label in told.items():
            table[row, question] = label
    return {"observation": states, "answers": table}


def room(count=1):
    return observe(np.repeat(ROOM[None], count, 0), np.array([[1, 1, EAST]] * count))


def pursued(agent):
    """Return the cell of each goal that the grounded agent has committed to."""
    batch = agent.follower.agent._batch
    goals = batch.goals[np.arange(len(batch.goals)), batch.commitments.numpy()]
    return agent.intents.reached(goals)


def test_it_is_an_agent(make_asking):
    assert isinstance(make_asking(), Agent)


def test_it_asks_which_of_two_balls_and_goes_to_the_one_that_is_meant(planner, grid):
    texts = ["go to a ball"]
    asked = planner.ask(seen(room(), {}), texts)
    assert asked.tolist() == [COLOUR + 1]
    blue = grid.labels(room())[0, COLOUR, 6 * 8 + 1]
    told = seen(room(), {0: {COLOUR: blue}})
    assert planner.ask(told, texts).tolist() == [0]
    goal = np.zeros((1, 8, 8), bool)
    goal[0, 6, 1] = True
    alone = GridPlanner(lambda rooms, texts: goal)
    assert planner.act(told, texts) == alone.act({"observation": room()}, texts)


def test_an_instruction_that_is_not_ambiguous_is_not_asked_about(planner):
    assert planner.ask(seen(room(), {}), ["go to the key"]).tolist() == [0]


def test_nothing_is_asked_where_no_answers_are_offered(planner):
    assert planner.ask({"observation": room()}, ["go to a ball"]).tolist() == [0]


def test_single_observations_have_single_answers(planner):
    one = {"observation": room()[0], "answers": np.full(4, -1)}
    assert planner.ask(one, "go to a ball") == COLOUR + 1
    assert np.ndim(planner.act(one, "go to a ball")) == 0


def test_a_question_stays_until_it_is_answered(planner):
    observation, texts = seen(room(2), {}), ["go to a ball"] * 2
    first = planner.ask(observation, texts)
    planner.act(observation, texts)
    assert np.array_equal(planner.ask(observation, texts), first)


@pytest.mark.parametrize("exact", [True, False])
def test_answers_rule_out_candidates_of_a_grounded_agent(make_asking, maze, exact):
    agent = make_asking("always", exact=exact)
    asked = agent.ask(seen(STARTS, {}), TEXTS) - 1
    assert (asked >= 0).all()
    agent.act(seen(STARTS, {}), TEXTS)
    labels = maze.labels(STARTS)
    for label in (0, 1):
        told = seen(STARTS, {row: {int(q): label} for row, q in enumerate(asked)})
        agent.act(told, TEXTS)
        goals = pursued(agent)
        assert labels[range(3), asked, goals].tolist() == [label] * 3


def test_with_the_exact_posterior_the_agent_goes_where_the_words_say(make_asking, maze):
    agent = make_asking("never")
    agent.act(seen(STARTS, {}), TEXTS)
    assert maze.denoted(STARTS, TEXTS)[range(3), pursued(agent)].all()


def test_the_posterior_of_its_follower_is_what_is_believed(make_asking, maze):
    agent = make_asking("never", exact=False)
    agent.act(seen(STARTS, {}), TEXTS)
    batch = agent.follower.agent._batch
    terms = (batch.language_score + batch.log_weights).softmax(1).numpy()
    believed = agent.beliefs.log_posterior(STARTS, TEXTS).exp().numpy()
    for row in range(3):
        found = np.bincount(maze.reached(batch.goals[row]), terms[row], believed.shape[1])
        likely = np.where(believed[row] >= 0.9 * believed[row].max(), believed[row], 0)
        np.testing.assert_allclose(found, likely / likely.sum(), atol=1e-5)


def test_what_was_less_likely_is_pursued_once_an_answer_says_so(maze, make_grounded):
    chances = np.zeros((1, maze.possible(STARTS[:1]).shape[1]))
    first, second = np.flatnonzero(maze.possible(STARTS[:1])[0])[[0, -1]]
    chances[0, [first, second]] = 0.8, 0.2
    beliefs = ExactBeliefs(maze)
    beliefs.log_posterior = lambda states, texts: torch.from_numpy(chances).log()
    agent = AskingAgent(GroundedFollower(make_grounded(), maze), beliefs, Asking("never"))
    agent.act(seen(STARTS[:1], {}), TEXTS[:1])
    assert pursued(agent).tolist() == [first]
    told = seen(STARTS[:1], {0: dict(enumerate(maze.labels(STARTS[:1])[0, :, second]))})
    agent.act(told, TEXTS[:1])
    assert pursued(agent).tolist() == [second]


def test_waiting_for_an_answer_is_no_action_to_remember(make_asking):
    agent = make_asking("always")
    texts = [TEXTS[0], "go to row 0 and column 0", TEXTS[2]]
    asked = agent.ask(seen(STARTS, {}), texts)
    agent.act(seen(STARTS, {}), texts)
    assert agent.follower.agent._batch.acted.tolist() == (asked == 0).tolist()


def test_a_new_episode_forgets_the_answers(make_asking):
    agent = make_asking("always")
    first = agent.ask(seen(STARTS, {}), TEXTS)
    answers = {0: {int(first[0]) - 1: 1}}
    agent.act(seen(STARTS, answers), TEXTS)
    for restart in (
        lambda: agent.reset(mask=np.array([True, False, False])),
        lambda: None,  # the answers are gone: another episode has begun
    ):
        restart()
        assert agent.ask(seen(STARTS, {}), TEXTS)[0] == first[0]
        agent.act(seen(STARTS, answers), TEXTS)
    starts = np.array([True, False, False])
    assert agent.ask(seen(STARTS, {}), TEXTS, starts)[0] == first[0]


def test_another_text_is_another_episode(make_asking):
    agent = make_asking("never")
    agent.act(seen(STARTS, {}), TEXTS)
    others = ["go to row 2", *TEXTS[1:]]
    agent.act(seen(STARTS, {}), others)
    denoted = agent.intents.denoted(STARTS, others)
    assert denoted[range(3), pursued(agent)].all()


def test_dropping_episodes_keeps_the_others(make_asking):
    agent, alone = make_asking("always"), make_asking("always")
    asked = agent.ask(seen(STARTS, {}), TEXTS)
    agent.act(seen(STARTS, {}), TEXTS)
    agent.keep(np.array([False, True, True]))
    left = seen(STARTS[1:], {0: {int(asked[1]) - 1: 0}})
    expected = alone.ask(seen(STARTS[1:], {}), TEXTS[1:])
    assert expected.tolist() == asked[1:].tolist()
    assert agent.ask(left, TEXTS[1:]).tolist() == alone.ask(left, TEXTS[1:]).tolist()


@pytest.mark.parametrize("rule", ASK_RULES)
def test_the_same_generator_gives_the_same_episode(make_asking, rule):
    found = []
    for _ in range(2):
        agent = make_asking(rule, exact=False)
        agent.reset(np.random.default_rng(3))
        asked = agent.ask(seen(STARTS, {}), TEXTS)
        found.append((asked, agent.act(seen(STARTS, {}), TEXTS)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_its_arrays_stay_its_callers(make_asking):
    agent, observation = make_asking(), seen(STARTS.copy(), {})
    before = {name: array.copy() for name, array in observation.items()}
    agent.ask(observation, TEXTS)
    agent.act(observation, TEXTS)
    for name, array in observation.items():
        np.testing.assert_array_equal(array, before[name])


def test_what_it_believes_has_a_posterior(make_asking, maze):
    posterior = make_asking().posterior({"observation": STARTS[0]}, "go to row 0")
    found = posterior.of_intents(maze.reached(posterior.goals), maze.possible(STARTS[:1])[0])
    denoted = maze.denoted(STARTS[:1], ["go to row 0"])[0]
    np.testing.assert_allclose(found, denoted / denoted.sum(), atol=1e-6)


def test_the_decision_says_what_it_asks(make_asking):
    agent = make_asking()
    asked = agent.ask(seen(STARTS, {}), TEXTS)
    assert agent.decision.ask.tolist() == (asked > 0).tolist()
    assert ((agent.decision.question == ACT) == ~agent.decision.ask).all()
    torch.testing.assert_close(agent.decision.posterior.sum(1), torch.ones(3).double())


def test_answers_that_nothing_fits_do_not_stop_it(make_asking):
    agent = make_asking()
    told = seen(STARTS, {0: {0: 0, 1: 0, 2: 2, 3: 2}})
    assert np.isfinite(agent.act(told, TEXTS)).all()


def test_a_planner_of_mazes_walks_where_it_is_told(world, maze):
    follower = PlannedFollower(lambda choose: OracleAgent(world, choose), maze.shape)
    agent = AskingAgent(follower, ExactBeliefs(maze), Asking("never"))
    texts = ["go to row 4", "go to row 0", "column 0"]
    expected = OracleAgent(world).act({"observation": STARTS}, texts)
    np.testing.assert_array_equal(agent.act(seen(STARTS, {}), texts), expected)


def test_what_is_wrong_is_named(planner, maze, make_grounded):
    with pytest.raises(ShapeError, match=r"answers are whole numbers \[1, 4\]"):
        planner.ask({"observation": room(), "answers": np.zeros((1, 3), int)}, ["go to a ball"])
    with pytest.raises(ShapeError, match="of float64"):
        planner.ask({"observation": room(), "answers": np.zeros((1, 4))}, ["go to a ball"])
    with pytest.raises(GroundingError, match="Direct compares actions with the text alone"):
        GroundedFollower(make_grounded("direct"), maze)
