import pytest
import torch
from torch import nn

from langrl.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from langrl.errors import CheckpointError, NonFiniteError
from langrl.training.config import LoggingConfig
from langrl.training.learner import GradientLearner, OfflineReplay
from langrl.training.loop import BAD_BATCH, Training
from langrl.training.optim import Optimiser, constant_schedule, cosine_schedule
from langrl.training.seeding import seeded

ROWS, GOAL, LIMIT, SLICE = 8, 3, 10, 4  # counters; where they should be; steps; steps a batch
LOGGING = LoggingConfig(log_every=1, checkpoint_every=3)


class Counters:
    """Online experience: a vector world of counters that actions 0, 1 and 2 move by -1, 0 and 1.

    The reward is how near to ``GOAL`` a counter comes; after ``LIMIT`` steps all start anew.
    """

    def __init__(self, generator):
        self.generator = generator
        self.steps, self.counters = 0, torch.zeros(ROWS, dtype=torch.long)

    def draw(self, policy):
        seen, taken, rewards = [], [], []
        for _ in range(SLICE):
            if self.steps % LIMIT == 0:
                self.counters = torch.randint(-5, 12, (ROWS,), generator=self.generator)
            actions = policy(self.counters)
            seen.append(self.counters)
            taken.append(actions)
            self.counters = self.counters + actions - 1
            self.steps += 1
            nearer = (seen[-1] - GOAL).abs() - (self.counters - GOAL).abs()
            rewards.append(nearer.float() - (actions == 1) * (seen[-1] != GOAL) * 1.0)
        batch = {"seen": seen, "taken": taken, "reward": rewards}
        return {name: torch.cat(values) for name, values in batch.items()}

    def metrics(self):
        return {"counter": float(self.counters.float().mean())}

    def state(self):
        return {"counters": self.counters, "steps": torch.tensor(self.steps)}

    def load_state(self, state):
        self.counters, self.steps = state["counters"].clone(), int(state["steps"])


class PolicyGradient(GradientLearner):
    """Learns by policy gradient to bring counters to ``GOAL``."""

    def __init__(self, seed=0):
        self.generator = torch.Generator().manual_seed(seed)
        with seeded(seed):
            self.network = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 3))
        weights = dict(self.network.named_parameters())
        optimiser = Optimiser(weights, 0.03, constant_schedule, self.generator)
        super().__init__(optimiser, Counters(self.generator))

    def logits(self, counters):
        return self.network((counters.unsqueeze(-1) - GOAL) / 5)

    @torch.no_grad()
    def act(self, observations):
        chances = self.logits(observations).softmax(-1)
        return torch.multinomial(chances, 1, generator=self.generator)[:, 0]

    def loss(self, batch):
        chosen = self.logits(batch["seen"]).log_softmax(-1)
        chosen = chosen.gather(1, batch["taken"].unsqueeze(1))[:, 0]
        return -(batch["reward"] * chosen).mean(), {"reward": batch["reward"].mean()}


class Line(GradientLearner):
    """Fits a slope to stored pairs; an offset is stored and not trained."""

    def __init__(self, seed=0, **options):
        self.generator = torch.Generator().manual_seed(seed)
        self.slope, self.offset = (nn.Parameter(torch.zeros(())) for _ in range(2))
        optimiser = Optimiser({"slope": self.slope}, 0.1, cosine_schedule(40), self.generator)
        stored = {"slope": self.slope, "offset": self.offset}
        super().__init__(optimiser, OfflineReplay(self.sample, 16), stored=stored, **options)

    def sample(self, size):
        x = torch.randn(size, generator=self.generator)
        return {"x": x, "y": 2 * x}

    def loss(self, batch):
        return (self.slope * batch["x"] + self.offset - batch["y"]).square().mean(), {}


MAKERS = {"online": PolicyGradient, "offline": Line}


def trained(learner, folder, steps):
    folder.mkdir(exist_ok=True)
    training = Training(learner, steps, folder, LOGGING, lambda: Checkpoint({}, learner.state()))
    training.run("train")
    return learner


def equal(one, other):
    return one.keys() == other.keys() and all(
        part.keys() == other[name].keys()
        and all(torch.equal(value, other[name][key]) for key, value in part.items())
        for name, part in one.items()
    )


def test_a_learner_that_acts_learns_in_the_same_training_loop(tmp_path):
    learner = PolicyGradient()
    first = torch.stack([learner.batch()["reward"].mean() for _ in range(20)]).mean()
    trained(learner, tmp_path, 150)
    last = torch.stack([learner.batch()["reward"].mean() for _ in range(20)]).mean()
    assert first < 0
    assert last > 0.2


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_training_resumes_bit_for_bit(make, tmp_path):
    whole = trained(make(), tmp_path / "whole", 8)
    trained(make(), tmp_path / "begun", 3)  # in the middle of the counters' episode
    resumed = make(seed=7)
    resumed.load_state(read_checkpoint(tmp_path / "begun/checkpoints/step-3").tensors)
    trained(resumed, tmp_path / "begun", 8)
    assert resumed.step == 8
    assert equal(whole.state(), resumed.state())
    assert equal({"next": whole.batch()}, {"next": resumed.batch()})


def test_experience_without_state_adds_no_file(tmp_path):
    assert set(Line().state()) == {"weights", "optimizer"}
    assert set(PolicyGradient().state()) == {"weights", "optimizer", "experience"}


def test_frozen_parameters_are_stored_and_restored_and_stay_as_they_are(tmp_path):
    learner, other = Line(), Line()
    with torch.no_grad():
        learner.offset.fill_(0.5)
    trained(learner, tmp_path, 3)
    assert learner.offset == 0.5
    assert learner.slope != 0
    write_checkpoint(tmp_path / "stored", Checkpoint({}, learner.state()))
    other.load_state(read_checkpoint(tmp_path / "stored").tensors)
    assert (other.offset, other.slope) == (learner.offset, learner.slope)


def test_weights_of_another_model_change_nothing():
    learner = Line()
    learner.update(learner.batch())
    before = learner.slope.item()
    other = PolicyGradient().state()
    with pytest.raises(CheckpointError, match="another model"):
        learner.load_state(other)
    assert (learner.step, learner.slope.item()) == (1, before)


def test_bounds_hold_after_each_step_and_not_after_one_that_is_refused():
    called = []
    learner = Line(bounds=(lambda: called.append(1),))
    learner.update(learner.batch())
    assert called == [1]
    with pytest.raises(NonFiniteError):
        learner.update({"x": torch.tensor([torch.nan]), "y": torch.zeros(1)})
    assert called == [1]


def test_a_batch_that_is_refused_is_saved_for_online_learners_too(tmp_path):
    learner = PolicyGradient()
    learner.experience.draw = lambda policy: {"reward": torch.full((2,), torch.inf)}
    with pytest.raises(NonFiniteError, match="'reward' in the training batch"):
        trained(learner, tmp_path, 1)
    assert (tmp_path / BAD_BATCH).is_file()


def test_a_learner_that_does_not_act_refuses_experience_that_needs_actions():
    learner = Line()
    learner.experience = Counters(learner.generator)
    with pytest.raises(NotImplementedError, match="Line cannot act in a world"):
        learner.batch()
