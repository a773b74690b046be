import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from langrl.envs.grid.rooms import (
    GRID_WORLDS,
    draw_rooms,
    is_free,
    list_poses,
    observe,
    reachable_poses,
)
from langrl.errors import (
    GroundingError,
    InstructionError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
)
from langrl.grounding.candidates import ListedCandidates, ReachablePoses, SampledCandidates
from langrl.grounding.chooser import GoalChooser, TextCache
from langrl.grounding.strategies import GROUNDINGS, Decision
from langrl.tasks.grid.agent import image_language

GOALS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], np.float32)
STATES = np.zeros((3, 2), np.float32)
SCORES = {"the top": [2.0, 1.0, -1.0, -1.0], "the right": [-1.0, 1.5, -1.0, 2.0], "up": [0.0] * 4}
TEXTS = ("the top", "the right", "up")


class Worked:
    """A language side by hand: a goal's embedding is its number, a text's is its row of scores."""

    def __init__(self, table=SCORES):
        self.table, self.encoded = table, []

    def embed_goals(self, observations, goals):
        number = (2 * goals[..., 0] + goals[..., 1]).long()
        return torch.nn.functional.one_hot(number, 4).float()  # [N, M, 4]

    def encode_text(self, texts):
        self.encoded.append(list(texts))
        return torch.tensor([[self.table[text]] for text in texts])  # [K, 1, 4]

    def score(self, goals, texts):
        return goals @ texts.squeeze(-2).mT  # [..., M, K]


class Answering:
    """A strategy that answers with a given decision."""

    needs = frozenset()

    def __init__(self, **answer):
        self.answer = answer

    def ground(self, scores, memory, generator):
        posterior = scores.log_posterior.exp()
        asks = torch.zeros(len(posterior), dtype=torch.bool)
        return Decision(posterior, asks, **self.answer), memory


def chooser(grounding="max_goal", log_weights=None, language=None, **options):
    candidates = ListedCandidates(GOALS, log_weights)
    return GoalChooser(language or Worked(), grounding, candidates, **options)


def seeded(seed=0):
    return np.random.default_rng(seed)


# -- the choice --------------------------------------------------------------------------------


def test_the_best_fit_is_chosen_by_hand():
    goals, posteriors = chooser().choose(STATES[:2], TEXTS[:2], seeded())
    assert goals.tolist() == [[0, 0], [1, 1]]
    for posterior, text in zip(posteriors, TEXTS, strict=False):
        weights = np.exp(SCORES[text])
        assert np.array_equal(posterior.goals, GOALS)
        assert posterior.probabilities == pytest.approx(weights / weights.sum(), abs=1e-6)


def test_log_weights_count_as_much_as_the_fit():
    log_weights = np.array([-1.5, 0, 3.4, 0], np.float32)
    goals, posteriors = chooser(log_weights=log_weights).choose(STATES, TEXTS, seeded())
    assert goals.tolist() == [[1, 0], [1, 0], [1, 0]]
    weaker, _ = chooser(log_weights=log_weights / 2).choose(STATES, TEXTS, seeded())
    assert weaker.tolist() == [[0, 0], [1, 1], [1, 0]]
    weights = np.exp(np.array(SCORES["the top"]) + log_weights)
    assert posteriors[0].probabilities == pytest.approx(weights / weights.sum(), abs=1e-6)


def test_what_is_no_candidate_is_never_chosen():
    log_weights = np.array([-np.inf, 0, 0, -np.inf], np.float32)
    for grounding in ("max_goal", "sampled_goal"):
        choose = chooser(grounding, log_weights).choose
        goals, posteriors = choose(np.zeros((300, 2), np.float32), ["the top"] * 300, seeded())
        assert set(map(tuple, goals.tolist())) <= {(0, 1), (1, 0)}
        assert posteriors[0].probabilities[[0, 3]].tolist() == [0, 0]


def test_sampled_goals_follow_the_posterior():
    count = 4000
    choose = chooser("sampled_goal").choose
    goals, posteriors = choose(np.zeros((count, 2), np.float32), ["the right"] * count, seeded())
    found = np.bincount((2 * goals[:, 0] + goals[:, 1]).astype(int), minlength=4)
    expected = posteriors[0].probabilities.astype(float)
    assert chisquare(found, count * expected / expected.sum()).pvalue > 0.001


@pytest.mark.parametrize("language_weight", [0.0, 1.0, 3.0])
def test_a_larger_language_weight_raises_the_probability_of_the_best_goals(language_weight):
    _, (posterior,) = chooser(language_weight=language_weight).choose(
        STATES[:1], TEXTS[:1], seeded()
    )
    weights = np.exp(language_weight * np.array(SCORES["the top"]))
    assert posterior.probabilities == pytest.approx(weights / weights.sum(), abs=1e-6)


def test_the_device_is_that_of_the_language_side(make_critics):
    assert chooser(device="meta").device == torch.device("meta")  # without weights
    assert chooser(language=make_critics()[1], device="meta").device == torch.device("cpu")


def test_the_generator_decides():
    def draw(seed):
        states = np.zeros((20, 2), np.float32)
        return chooser("sampled_goal").choose(states, ["up"] * 20, seeded(seed))[0]

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_a_choice_draws_nothing_from_the_global_generators():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    chooser("sampled_goal").choose(STATES, TEXTS, seeded())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.parametrize("language", ["worked", "critic"])
def test_a_batch_gets_the_goals_of_singles(language, make_critics, world):
    texts = ("go to row 0", "column 4", "the bottom half", "row 2 or column 0") * 3
    if language == "worked":
        texts, choose = TEXTS * 4, chooser().choose
    else:
        listed = ListedCandidates(world.sample_states(60, seeded(5)))
        choose = GoalChooser(make_critics()[1], "max_goal", listed).choose
    states = np.zeros((12, 2), np.float32)
    together, posteriors = choose(states, texts, seeded())
    for n, text in enumerate(texts):
        alone, (posterior,) = choose(states[n : n + 1], [text], seeded())
        assert np.array_equal(alone[0], together[n])
        assert posterior.probabilities == pytest.approx(posteriors[n].probabilities, abs=1e-6)


def test_a_language_critic_is_asked_as_it_answers(make_critics, world):
    _, language = make_critics()
    candidates = SampledCandidates(world.sample_states, 50)
    goals, posteriors = GoalChooser(language, GROUNDINGS["max_goal"], candidates).choose(
        STATES[:2], ["column 4", "row 2"], seeded()
    )
    for goal, posterior, text in zip(goals, posteriors, ["column 4", "row 2"], strict=True):
        assert posterior.goals.shape == (50, 2)
        assert np.array_equal(goal, posterior.goals[posterior.probabilities.argmax()])
        with torch.no_grad():
            embedded = language.goal(torch.from_numpy(posterior.goals))
            scores = language.score(embedded, language.encode_text([text])).squeeze(1)
        assert posterior.probabilities == pytest.approx(scores.softmax(0).numpy(), abs=1e-5)
    assert not np.array_equal(posteriors[0].goals, posteriors[1].goals)  # drawn for each


def test_goals_of_a_grid_world_are_poses_of_its_room(tiny_language):
    rooms = draw_rooms(GRID_WORLDS["goto"], 3, seeded())
    seen = observe(rooms, np.stack([list_poses(free)[0] for free in is_free(rooms)]))
    language = image_language(str(tiny_language), "cpu")
    candidates = ReachablePoses(said_done=True)
    for grounding in ("max_goal", "sampled_goal"):
        choose = GoalChooser(language, grounding, candidates).choose
        goals, posteriors = choose(seen, ["go to a ball", "a key", "dance"], seeded())
        assert goals.shape == (3, 4)
        assert (goals[:, 3] == 1).all()
        for goal, posterior, listed in zip(goals, posteriors, reachable_poses(seen), strict=True):
            real = posterior.probabilities > 0
            assert np.array_equal(posterior.goals[real, :3], listed)
            assert goal[:3].tolist() in listed.tolist()


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(GROUNDINGS))
def test_strategies_that_need_a_critic_are_refused_by_name(name):
    if not GROUNDINGS[name].needs:
        assert chooser(name).choose(STATES, TEXTS, seeded())[0].shape == (3, 2)
        return
    for grounding in (name, GROUNDINGS[name]):
        told = rf"{type(GROUNDINGS[name]).__name__} needs a critic.*sampled_goal, max_goal"
        with pytest.raises(GroundingError, match=told):
            chooser(grounding)


def test_an_unknown_strategy_is_refused_with_the_closest_one():
    with pytest.raises(UnknownNameError, match="did you mean 'max_goal'"):
        chooser("maxgoal")


def test_a_strategy_of_ones_own_must_answer_with_a_goal():
    goal = torch.tensor([3, 0, 1])
    goals, _ = chooser(Answering(goal=goal)).choose(STATES, TEXTS, seeded())
    assert np.array_equal(goals, GOALS[goal])
    with pytest.raises(GroundingError, match=r"Answering answers with actions.*max_goal"):
        chooser(Answering(action_scores=torch.zeros(3, 2))).choose(STATES, TEXTS, seeded())


class Scoring(Worked):
    def __init__(self, score):
        super().__init__()
        self.score = score


@pytest.mark.parametrize(
    ("states", "texts", "error", "told"),
    [
        (STATES, TEXTS[:2], ShapeError, "3 observations and 2 .*pair them"),
        (STATES[:1], TEXTS, ShapeError, "1 observations and 3"),
        (STATES, "top", ShapeError, "one text"),
        (STATES[:0], (), ShapeError, "at least one observation"),
        (STATES, ("the top", " ", "up"), InstructionError, "empty"),
        (STATES, ("the top", None, "up"), InstructionError, "NoneType"),
    ],
    ids=["fewer texts", "more texts", "a text as a list", "none", "blank", "no text"],
)
def test_bad_episodes_are_refused(states, texts, error, told):
    generator = seeded()
    with pytest.raises(error, match=told):
        chooser().choose(states, texts, generator)
    assert generator.random() == seeded().random()  # nothing was drawn


@pytest.mark.parametrize(
    ("score", "log_weights", "error"),
    [
        (lambda goals, texts: torch.full((3, 4, 1), torch.nan), None, NonFiniteError),
        (lambda goals, texts: torch.full((3, 4, 1), torch.inf), None, NonFiniteError),
        (lambda goals, texts: torch.zeros(3, 4, 3), None, ShapeError),
        (lambda goals, texts: torch.zeros(3, 5, 1), None, ShapeError),
        (lambda goals, texts: torch.zeros(3, 4, 1), np.full(4, -np.inf), NonFiniteError),
    ],
    ids=["nan", "infinite", "every pair of texts", "other candidates", "no candidate"],
)
def test_scores_that_decide_nothing_are_refused_by_name(score, log_weights, error):
    with pytest.raises(error, match="Scoring"):
        chooser(log_weights=log_weights, language=Scoring(score)).choose(STATES, TEXTS, seeded())


# -- texts -------------------------------------------------------------------------------------


def test_each_text_is_encoded_once_and_by_itself():
    language = Worked()
    choose = chooser(language=language).choose
    choose(STATES, ("the top", "up", "the top"), seeded())
    choose(STATES[:2], ("up", "the right"), seeded())
    assert language.encoded == [["the top"], ["up"], ["the right"]]


def test_the_cache_keeps_the_order_of_what_is_asked(monkeypatch):
    monkeypatch.setattr("langrl.grounding.chooser._CACHED_TEXTS", 1)
    language = Worked()
    cache = TextCache(language)
    for texts in (TEXTS, TEXTS[::-1], ("up", "up")):
        embedded = cache(texts)
        assert embedded.shape == (len(texts), 1, 4)
        assert embedded[:, 0].tolist() == [SCORES[text] for text in texts]
    assert len(language.encoded) == 3 + 3 + 1  # more than it keeps, so it was emptied


def test_cached_embeddings_carry_no_gradients(make_critics):
    _, language = make_critics()
    assert not TextCache(language)(["go to row 0"]).requires_grad
