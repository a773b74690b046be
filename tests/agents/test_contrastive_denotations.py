import pytest
import torch

from langrl.agents.config import LearnerConfig
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
    by_hand = -((chosen * fits).sum(1) / fits.sum(1)).mean()
    critic, _ = learner._critic_loss(batch)
    torch.testing.assert_close(loss, critic + by_hand)


def test_it_is_not_so_by_default():
    assert not LearnerConfig().denotations
