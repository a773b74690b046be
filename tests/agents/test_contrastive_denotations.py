import pytest
import torch

from langrl.agents.config import LearnerConfig
from langrl.agents.contrastive import balanced_information
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.run import build_run

TINY = {
    "world": {"layout": "blank"},
    "data": {"num_trajectories": 20, "num_pairs": 60, "paraphrases": 0.5},
    "critic": {"embedding": 4, "width": 8, "depth": 1},
    "text": {"width": 8, "depth": 1},
    "learner": {"steps": 4, "batch_size": 8, "language_batch_size": 12, "denotations": True},
}


@pytest.fixture
def learner(tmp_path):
    return build_run(MazeRunConfig.model_validate(TINY), tmp_path).learner


def test_a_text_is_contrasted_with_all_states_that_it_denotes(learner):
    batch = learner.batch()
    assert batch["denoted"].shape == (12, 12)
    assert batch["denoted"].diagonal().all()  # each text with its own state
    assert batch["denoted"].sum() > 12
    metrics = learner.update(batch)
    assert metrics["loss"].isfinite()


def test_a_text_that_denotes_every_state_has_no_part_in_the_loss(learner):
    batch = learner.batch()
    batch["denoted"][3] = True
    loss, _ = learner.loss(batch)
    others = torch.arange(12) != 3
    some = others & ~batch["denoted"].all(1)
    language = learner.language
    logits = language.score(language.goal(batch["described"]), language.text(batch["text"])).T
    chosen = logits[some].log_softmax(1)
    fits = batch["denoted"][some].float()
    left = -(chosen * fits).sum(1) / fits.sum(1) - fits.sum(1).log()
    by_hand = (left / (12 / fits.sum(1)).log().sqrt()).mean()
    critic, _ = learner._critic_loss(batch)
    torch.testing.assert_close(loss, critic + by_hand)


def test_texts_that_say_little_count_by_the_root_of_what_they_say():
    row, all_but_it = torch.zeros(2, 100, dtype=torch.bool)
    row[:10], all_but_it[10:] = True, True
    denoted = torch.stack([row, all_but_it])
    nothing, all_known = torch.zeros(2, 100), 50.0 * denoted
    roots = torch.tensor([100 / 10, 100 / 90]).log().sqrt()
    assert float(balanced_information(nothing, denoted)) == pytest.approx(float(roots.mean()))
    assert float(balanced_information(all_known, denoted)) == pytest.approx(0, abs=1e-5)
    first = all_known * torch.tensor([[1.0], [0.0]])  # what the other one says is left
    left = float(balanced_information(first, denoted))
    assert left == pytest.approx(float(roots[1]) / 2, abs=1e-5)


def test_it_is_not_so_by_default():
    assert not LearnerConfig().denotations
