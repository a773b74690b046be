import shutil

import numpy as np
import pytest
from command_line import read_results, run_langrl

from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import read_checkpoint, write_checkpoint
from langrl.errors import CheckpointError
from langrl.grounding.chooser import Posterior
from langrl.tasks.suite import understood

FEW = ["--methods", "log_sum_exp", "oracle", "--episodes", "2"]
START = {"observation": np.array([0.5, 0.5], np.float32)}


def test_an_evaluation_says_whether_a_text_is_understood(small_run, tmp_path, capsys):
    run, out = small_run("maze"), tmp_path / "out"
    text = "what is the weather like?"
    assert run_langrl("evaluate", run, "--instruction", text, *FEW, "--out", out) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "understood" in said
    rows = {row["method"]: row for row in read_results(out)["rows"]}
    agent = GroundedAgent.load(run)
    expected = agent.posterior(START, text).p_understood
    assert rows["log_sum_exp"]["p_understood"] == pytest.approx(expected)
    assert agent.p_understood(text) == pytest.approx(expected)
    assert "p_understood" not in rows["oracle"]


def test_a_checkpoint_of_an_earlier_version_says_nothing(small_run, tmp_path):
    newest = sorted((small_run("maze") / "checkpoints").glob("step-*"))[-1]
    stored = read_checkpoint(newest)
    stored.documents.pop("understood")
    write_checkpoint(tmp_path / "earlier", stored)
    agent = GroundedAgent.load(tmp_path / "earlier")
    assert agent.p_understood("go to row 1") is None
    posterior = agent.posterior(START, "go to row 1")
    assert posterior.p_understood is None
    assert understood(posterior) == []


def test_a_fit_for_another_language_side_is_refused(small_run, tmp_path):
    newest = sorted((small_run("maze") / "checkpoints").glob("step-*"))[-1]
    shutil.copytree(newest, tmp_path / "other")
    stored = read_checkpoint(newest)
    stored.documents["understood"] = {"weights": "none", "offset": 0.0}
    write_checkpoint(tmp_path / "other", stored)
    with pytest.raises(CheckpointError, match=r"understood\.json: .*weights"):
        GroundedAgent.load(tmp_path / "other")


@pytest.mark.parametrize(
    ("p", "probabilities", "said"),
    [
        (0.081, [0.25] * 4, "probably not understood: p 0.08; the belief stays near what it was "
         "before (0.0 bits)"),
        (0.3, [1.0, 0, 0, 0], "probably not understood: p 0.30; do not trust it (2.0 bits)"),
        (0.97, [0.5, 0.5, 0, 0], "understood with p 0.97; it says 1.0 bits about the goal"),
    ],
)  # fmt: skip
def test_sentences_by_hand(p, probabilities, said):
    goals = np.zeros((4, 2), np.float32)
    posterior = Posterior(goals, np.array(probabilities, np.float32), p_understood=p)
    assert understood(posterior) == [said]
