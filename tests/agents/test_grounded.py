import numpy as np
import pytest
import torch
from tolerance import ROUNDING

from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint, step_folder, write_checkpoint
from langrl.envs.maze.world import StreetMaze
from langrl.errors import (
    CheckpointError,
    GroundingError,
    InstructionError,
    LangRLError,
    NonFiniteError,
    ShapeError,
)
from langrl.grounding.candidates import SampledCandidates
from langrl.grounding.chooser import Posterior
from langrl.grounding.config import GroundingConfig
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.critics.maze import named_weights
from langrl.protocols import Agent
from langrl.tasks.loading import load_agent
from langrl.tasks.maze.agent import MazeAgentDescription, directions

TEXTS = ("go to row 0", "column 4", "the bottom half", "row 2 or column 0")
STATES = np.array([[0.5, 0.5], [2.2, 3.1], [4.5, 4.5], [2.5, 0.1]], np.float32)
BATCH = {"observation": STATES, "instruction": TEXTS}


class FixedCandidates:
    """The same goals in every episode."""

    def __init__(self, goals):
        self.goals = goals

    def draw(self, observations, generator):
        goals = np.repeat(self.goals[None], len(observations), 0)
        return goals, np.zeros(goals.shape[:2], np.float32)


class Recorder:
    """A strategy that records what it is asked, and answers as another one."""

    needs = frozenset()

    def __init__(self, name="sampled_goal"):
        self.inner, self.language_scores, self.memories, self.goals = GROUNDINGS[name], [], [], []

    def ground(self, scores, memory, generator):
        self.language_scores.append(scores.language_score.clone())
        self.memories.append(None if memory is None else memory.tolist())
        decision, memory = self.inner.ground(scores, memory, generator)
        self.goals.append(decision.goal.tolist())
        return decision, memory


@pytest.fixture
def make_agent(world, make_critics):
    def make(grounding="nearest_goal", candidates=None, count=40, critics=None):
        if isinstance(grounding, str):
            grounding = GROUNDINGS[grounding]
        candidates = candidates or SampledCandidates(world.sample_states, count)
        return GroundedAgent(
            *(critics or make_critics()), grounding, candidates, actions=directions(8)
        )

    return make


@pytest.fixture
def fixed(world):
    return FixedCandidates(world.sample_states(40, np.random.default_rng(5)))


def seeded(seed=0):
    return np.random.default_rng(seed)


def one(row):
    return {"observation": STATES[row], "instruction": TEXTS[row]}


def act(agent, seed=0, steps=1, batch=BATCH):
    agent.reset(seeded(seed))
    return np.stack([agent.act(batch) for _ in range(steps)])


# -- acting --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GROUNDINGS)
def test_every_strategy_makes_an_agent(name, make_agent):
    agent = make_agent(name)
    assert isinstance(agent, Agent)
    actions = act(agent)[0]
    assert actions.shape == (4, 2)
    compared = {tuple(action) for action in directions(8).tolist()}
    assert {tuple(action) for action in actions.tolist()} <= compared
    single = agent.act({"observation": STATES[0], "instruction": TEXTS[0]})
    assert single.shape == (2,)


@pytest.mark.parametrize("name", ["direct", "log_sum_exp", "nearest_goal", "max_goal"])
def test_single_and_batched_observations_get_the_same_actions(name, make_agent, fixed):
    agent = make_agent(name, fixed)
    together = act(agent)[0]
    for state, text, action in zip(STATES, TEXTS, together, strict=True):
        agent.reset()
        single = agent.act({"observation": state, "instruction": text})
        assert np.array_equal(single, action)


@pytest.mark.parametrize("name", ["direct", "log_sum_exp", "nearest_goal", "max_goal"])
def test_a_large_batch_gets_the_actions_of_small_ones(name, make_agent, fixed):
    agent = make_agent(name, fixed)
    small = act(agent, steps=2)
    many = {"observation": np.tile(STATES, (400, 1)), "instruction": TEXTS * 400}
    assert np.array_equal(act(agent, steps=2, batch=many), np.tile(small, (1, 400, 1)))


def test_commitments_of_a_large_batch_last_and_are_cleared_by_row(make_agent):
    agent = make_agent("sampled_goal")
    many = {"observation": np.repeat(STATES, 400, 0), "instruction": ("row 2",) * 1600}
    first, second = act(agent, steps=2, batch=many)
    assert np.array_equal(first, second)
    mask = np.arange(1600) % 2 == 0
    agent.reset(mask=mask)
    third = agent.act(many)
    assert np.array_equal(third[~mask], first[~mask])
    assert not np.array_equal(third[mask], first[mask])


@pytest.mark.parametrize("name", GROUNDINGS)
def test_the_generator_decides_the_actions(name, make_agent):
    assert np.array_equal(act(make_agent(name), 3, steps=3), act(make_agent(name), 3, steps=3))


def test_another_generator_draws_other_candidates(make_agent):
    agent = make_agent()
    goals = []
    for seed in (1, 2, 1):
        agent.reset(seeded(seed))
        goals.append(agent.posterior(one(0)).goals)
    assert not np.array_equal(goals[0], goals[1])
    assert np.array_equal(goals[0], goals[2])


def test_the_action_is_the_best_for_the_goal_committed_to(make_agent, make_critics, fixed):
    critic, _ = critics = make_critics()
    recorder = Recorder("max_goal")
    agent = make_agent(recorder, fixed, critics=critics)
    actions = act(agent)[0]
    with torch.no_grad():
        for n, goal in enumerate(recorder.goals[0]):
            state = torch.from_numpy(STATES[n]).expand(8, 2)
            embedded = critic.state_action(state, torch.from_numpy(directions(8)))
            scores = critic.score(embedded, critic.goal(torch.from_numpy(fixed.goals[goal, None])))
            assert np.array_equal(actions[n], directions(8)[scores.argmax().item()])


def test_the_language_score_is_the_language_critics(make_agent, make_critics, fixed):
    _, language = critics = make_critics()
    recorder = Recorder()
    act(make_agent(recorder, fixed, critics=critics))
    with torch.no_grad():
        goals = language.goal(torch.from_numpy(fixed.goals))
        expected = language.score(goals, language.encode_text(TEXTS)).T
    assert torch.allclose(recorder.language_scores[0], expected, atol=1e-4)


def test_the_callers_instruction_overrides_the_observations(make_agent, fixed):
    recorder = Recorder()
    agent = make_agent(recorder, fixed)
    agent.act(BATCH, "column 4")
    agent.act(BATCH | {"instruction": ("column 4",) * 4})
    agent.act(BATCH)
    assert torch.equal(recorder.language_scores[0], recorder.language_scores[1])
    assert not torch.equal(recorder.language_scores[0], recorder.language_scores[2])
    agent.act(BATCH, list(TEXTS))
    assert torch.equal(recorder.language_scores[2], recorder.language_scores[3])


@pytest.mark.parametrize(
    ("observations", "error"),
    [
        ({"observation": np.full((4, 2), np.nan), "instruction": TEXTS}, NonFiniteError),
        ({"observation": STATES, "instruction": TEXTS[:3]}, ShapeError),
        ({"observation": STATES, "instruction": ("", *TEXTS[1:])}, InstructionError),
        ({"observation": STATES}, InstructionError),
        ({"observation": np.zeros((4, 1)), "instruction": TEXTS}, ShapeError),
        ({"observation": np.zeros((4, 3)), "instruction": TEXTS}, ShapeError),
    ],
    ids=["nan", "too few texts", "blank text", "no text", "narrow state", "wide state"],
)
def test_bad_observations_are_refused_and_change_nothing(make_agent, observations, error):
    agent, other = make_agent(), make_agent()
    first = act(agent), act(other)
    with pytest.raises(error):
        agent.act(observations)
    assert np.array_equal(*first)
    assert np.array_equal(agent.act(BATCH), other.act(BATCH))


def test_a_strategy_that_needs_a_shared_encoder_is_refused_without_one(make_agent, make_critics):
    critic, language = make_critics(0)[0], make_critics(1)[1]
    with pytest.raises(GroundingError, match="Direct needs a shared encoder"):
        make_agent("direct", critics=(critic, language))


class Constant:
    """A language side that embeds every goal and text as ones of some size."""

    def __init__(self, size):
        self.size = size

    def embed_goals(self, observations, goals):
        return torch.ones(*goals.shape[:2], self.size)

    def encode_text(self, texts):
        return torch.ones(len(texts), 1, self.size)

    def score(self, goals, texts):
        return goals @ texts.squeeze(-2).mT


def test_separate_embeddings_of_one_size_are_compared_directly_on_request(make_critics, fixed):
    (critic, _), candidates = make_critics(), fixed
    options = {"actions": directions(8), "compare_separate": True}
    agent = GroundedAgent(critic, Constant(8), GROUNDINGS["direct"], candidates, **options)
    actions = agent.act(BATCH)
    states, text = torch.from_numpy(STATES), torch.ones(4, 1, 8)
    with torch.no_grad():
        compared = torch.from_numpy(directions(8)).expand(4, -1, -1)
        embedded = critic.embed_actions(states[:, :0], states, compared)
        best = critic.score(embedded, text).squeeze(-1).argmax(1)
    assert np.array_equal(actions, directions(8)[best])
    other = GroundedAgent(critic, Constant(6), GROUNDINGS["direct"], candidates, **options)
    with pytest.raises(GroundingError, match="one size, got 8 of the critic and 6 of the language"):
        other.act(BATCH)
    without = GroundedAgent(critic, Constant(6), GROUNDINGS["max_goal"], candidates, **options)
    assert without.act(BATCH).shape == (4, 2)


@pytest.mark.parametrize("name", ["log_sum_exp", "sampled_goal", "nearest_goal", "max_goal"])
def test_critics_with_goal_encoders_of_their_own_each_use_theirs(
    name, make_agent, make_critics, fixed
):
    critics = make_critics(0)[0], make_critics(1)[1]
    assert act(make_agent(name, fixed, critics=critics)).shape == (1, 4, 2)
    recorder = Recorder()
    act(make_agent(recorder, fixed, critics=critics))
    with torch.no_grad():
        goals = critics[1].goal(torch.from_numpy(fixed.goals))
        expected = critics[1].score(goals, critics[1].encode_text(TEXTS)).T
    assert torch.allclose(recorder.language_scores[0], expected, atol=1e-4)


# -- episodes ------------------------------------------------------------------------------


def test_commitments_last_as_long_as_the_episode(make_agent):
    recorder = Recorder()
    act(make_agent(recorder), steps=4)
    assert recorder.memories[0] is None
    assert recorder.memories[1:] == [recorder.goals[0]] * 3


def test_a_reset_forgets_everything(make_agent):
    recorder = Recorder()
    agent = make_agent(recorder)
    agent.act(BATCH)
    agent.reset()
    agent.act(BATCH)
    assert recorder.memories == [None, None]
    assert not (recorder.language_scores[0] == recorder.language_scores[1]).all(1).any()


@pytest.mark.parametrize("rows", [[2], [0, 3], []])
def test_a_masked_reset_starts_those_rows_anew_and_no_others(make_agent, rows):
    recorder = Recorder()
    agent = make_agent(recorder)
    agent.act(BATCH)
    mask = np.isin(np.arange(4), rows)
    agent.reset(mask=mask)
    agent.act(BATCH)
    same = (recorder.language_scores[0] == recorder.language_scores[1]).all(1).numpy()
    assert np.array_equal(same, ~mask)
    expected = [-1 if n in rows else goal for n, goal in enumerate(recorder.goals[0])]
    assert recorder.memories[1] == expected


def test_a_mask_of_all_rows_starts_everybody_anew(make_agent):
    recorder = Recorder()
    agent = make_agent(recorder)
    agent.act(BATCH)
    agent.reset(mask=np.ones(4, bool))
    agent.act(BATCH)
    assert recorder.memories[1] in (None, [-1] * 4)
    assert not (recorder.language_scores[0] == recorder.language_scores[1]).all(1).any()


def test_a_masked_reset_before_the_first_step_is_harmless(make_agent):
    agent, other = make_agent(), make_agent()
    agent.reset(mask=np.array([True, False, False, False]))
    assert np.array_equal(agent.act(BATCH), other.act(BATCH))


def test_a_changed_instruction_clears_the_commitment_of_its_row_alone(make_agent):
    recorder = Recorder()
    agent = make_agent(recorder)
    agent.act(BATCH)
    agent.act(BATCH, [TEXTS[0], "row 4", *TEXTS[2:]])
    committed = recorder.goals[0]
    assert recorder.memories[1] == [committed[0], -1, *committed[2:]]
    changed = (recorder.language_scores[0] != recorder.language_scores[1]).any(1)
    assert changed.tolist() == [False, True, False, False]
    agent.act(BATCH)  # the first text again, over the same candidates
    assert torch.allclose(recorder.language_scores[2], recorder.language_scores[0], **ROUNDING)
    assert recorder.memories[2] == [committed[0], -1, *committed[2:]]


def test_a_batch_of_another_size_starts_anew(make_agent):
    recorder = Recorder()
    agent = make_agent(recorder)
    agent.act(BATCH)
    agent.act({"observation": STATES[:2], "instruction": TEXTS[:2]})
    assert recorder.memories == [None, None]
    assert recorder.language_scores[1].shape == (2, 40)


# -- the posterior -------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*TEXTS, "sing me a song"])
def test_the_posterior_is_a_distribution_over_the_candidates(make_agent, world, text):
    posterior = make_agent(count=64).posterior(one(0), text)
    assert posterior.goals.shape == (64, 2)
    assert posterior.probabilities.shape == (64,)
    assert posterior.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert (posterior.probabilities >= 0).all()
    assert 0 <= posterior.entropy_bits <= 6 + 1e-6
    assert world.inside(posterior.goals, ~world.walls).all()


def test_the_posterior_is_the_softmax_of_the_language_score(make_agent, make_critics):
    _, language = critics = make_critics()
    posterior = make_agent(critics=critics).posterior(one(1))
    with torch.no_grad():
        goals = language.goal(torch.from_numpy(posterior.goals))
        scores = language.score(goals, language.encode_text([TEXTS[1]])).squeeze(1)
    assert posterior.probabilities == pytest.approx(scores.softmax(0).numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("probabilities", "bits"),
    [([1.0, 0.0], 0), ([0.5, 0.5], 1), ([0.25] * 4, 2), ([0.5, 0.25, 0.25], 1.5)],
)
def test_entropy_worked_by_hand(probabilities, bits):
    goals = np.zeros((len(probabilities), 2), np.float32)
    posterior = Posterior(goals, np.array(probabilities, np.float32))
    assert posterior.entropy_bits == pytest.approx(bits)


@pytest.mark.parametrize("text", [TEXTS[0], "column 4"])
def test_looking_at_the_posterior_does_not_disturb_the_episode(make_agent, text):
    recorder = Recorder()
    agent = make_agent(recorder)
    agent.reset(seeded())
    agent.act(one(0))
    agent.posterior(one(0), text)
    agent.act(one(0))
    assert recorder.goals[0] == recorder.goals[1]


def test_looking_at_one_posterior_does_not_disturb_a_batch(make_agent):
    recorder = Recorder()
    agent = make_agent(recorder)
    agent.act(BATCH)
    agent.posterior(one(1))
    agent.act(BATCH)
    assert recorder.goals[0] == recorder.goals[1]


def test_a_posterior_is_asked_for_one_observation(make_agent):
    with pytest.raises(ShapeError):
        make_agent().posterior(BATCH)


# -- stored agents -------------------------------------------------------------------------


@pytest.fixture
def parts(world, description, make_critics):
    """Return a checkpoint of an agent, as ``Run.snapshot`` makes it."""
    agent = MazeAgentDescription(
        layout=world.layout.text,
        critics=description,
        grounding=GroundingConfig(candidates=50, directions=8, weighting="none"),
    )
    weights = {name: p.detach().clone() for name, p in named_weights(*make_critics(3)).items()}
    density = np.where(world.walls, 0, np.arange(1.0, 26).reshape(5, 5))
    goals = {"density": torch.from_numpy(density / density.sum()).float()}
    return Checkpoint(
        {"agent": agent.model_dump(mode="json")}, {"weights": weights, "goals": goals}
    )


@pytest.mark.parametrize("name", GROUNDINGS)
def test_a_loaded_agent_acts_as_the_stored_one(name, world, parts, make_critics, tmp_path):
    write_checkpoint(tmp_path / "saved", parts)
    original = GroundedAgent(
        *make_critics(3),
        GROUNDINGS[name],
        SampledCandidates(world.sample_states, 50),
        actions=directions(8),
    )
    loaded = GroundedAgent.load(tmp_path / "saved", strategy=name, world=world)
    assert np.array_equal(act(original, 1, steps=3), act(loaded, 1, steps=3))


def test_the_newest_agent_of_a_run_is_loaded(parts, description, make_critics, tmp_path):
    write_checkpoint(step_folder(tmp_path, 10), parts)
    older = {name: p.detach() * 0 for name, p in named_weights(*make_critics(3)).items()}
    goals = parts.tensors["goals"]
    old = Checkpoint(parts.documents, {"weights": older, "goals": goals})
    write_checkpoint(step_folder(tmp_path, 9), old)
    agent = load_agent(tmp_path)
    loaded = named_weights(agent.critic, agent.language)
    assert all(torch.equal(p, parts.tensors["weights"][name]) for name, p in loaded.items())


def test_loading_does_not_touch_the_global_generator(parts, tmp_path):
    write_checkpoint(tmp_path / "saved", parts)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    load_agent(tmp_path / "saved")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loaded_agent_can_weigh_goals_by_the_data(world, parts, tmp_path):
    write_checkpoint(tmp_path / "saved", parts)
    plain = load_agent(tmp_path / "saved").posterior(one(0))
    weighted = load_agent(tmp_path / "saved", weighting="data").posterior(one(0))
    assert np.array_equal(plain.goals, weighted.goals)
    rows, columns = np.floor(plain.goals).astype(int).T
    expected = plain.probabilities * parts.tensors["goals"]["density"].numpy()[rows, columns]
    assert weighted.probabilities == pytest.approx(expected / expected.sum(), abs=1e-5)


@pytest.mark.parametrize(
    "overrides", [{"strategy": "log_sumexp"}, {"stratgey": "direct"}, {"candidates": 0}]
)
def test_settings_that_do_not_exist_are_refused_by_name(parts, tmp_path, overrides):
    write_checkpoint(tmp_path / "saved", parts)
    with pytest.raises(LangRLError, match=next(iter(overrides))):
        load_agent(tmp_path / "saved", **overrides)


@pytest.mark.parametrize("layout", ["fork", "....."])
def test_an_agent_of_another_maze_is_refused(parts, tmp_path, layout):
    write_checkpoint(tmp_path / "saved", parts)
    with pytest.raises(CheckpointError, match=r"another maze \(5x5\)"):
        load_agent(tmp_path / "saved", world=StreetMaze(layout))


def test_damaged_weights_are_refused(parts, tmp_path):
    write_checkpoint(tmp_path / "saved", parts)
    path = tmp_path / "saved" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="weights"):
        load_agent(tmp_path / "saved")


def test_a_layout_in_a_checkpoint_is_a_map_and_never_a_file(parts, tmp_path):
    path = tmp_path / "private.txt"
    path.write_text(parts.documents["agent"]["layout"])
    parts.documents["agent"]["layout"] = str(path)
    write_checkpoint(tmp_path / "saved", parts)
    with pytest.raises(CheckpointError, match="saved"):
        load_agent(tmp_path / "saved")


def spoil(parts, problem):
    agent, weights, goals = parts.documents["agent"], *parts.tensors.values()
    matrix = next(name for name, value in weights.items() if value.ndim == 2)
    if problem == "no description":
        del parts.documents["agent"]
    elif problem == "unknown field":
        agent["colour"] = "red"
    elif problem == "missing field":
        del agent["critics"]["critic"]
    elif problem == "other energy":
        agent["critics"]["critic"]["energy"] = "l3"
    elif problem == "other width":
        agent["critics"]["critic"]["width"] = 17
    elif problem == "broken layout":
        agent["layout"] = "..\n..."
    elif problem == "no weights":
        del parts.tensors["weights"]
    elif problem == "missing weight":
        del weights[matrix]
    elif problem == "extra weight":
        weights["more"] = torch.zeros(1)
    elif problem == "one row for all":
        weights[matrix] = weights[matrix][:1].clone()
    elif problem == "nan weight":
        weights[matrix][0, 0] = torch.nan
    elif problem == "no density":
        del parts.tensors["goals"]
    elif problem == "density of another maze":
        goals["density"] = goals["density"][:3].clone()


PROBLEMS = [
    "no description",
    "unknown field",
    "missing field",
    "other energy",
    "other width",
    "broken layout",
    "no weights",
    "missing weight",
    "extra weight",
    "one row for all",
    "nan weight",
    "no density",
    "density of another maze",
]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_checkpoint_that_does_not_fit_itself_is_refused(parts, tmp_path, problem):
    spoil(parts, problem)
    write_checkpoint(tmp_path / "saved", parts)
    with pytest.raises(CheckpointError, match="saved"):
        load_agent(tmp_path / "saved")


@pytest.mark.parametrize("name", GROUNDINGS)
def test_dropping_episodes_leaves_the_others_as_they_were(name, make_agent):
    everybody, fewer = make_agent(name), make_agent(name)
    for agent in (everybody, fewer):
        agent.reset(seeded(4))
        agent.act(BATCH)
    mask = np.arange(len(BATCH["observation"])) % 2 == 0
    fewer.keep(mask)
    rest = {
        "observation": BATCH["observation"][mask],
        "instruction": [t for t, kept in zip(BATCH["instruction"], mask, strict=True) if kept],
    }
    assert np.array_equal(fewer.act(rest), everybody.act(BATCH)[mask])
