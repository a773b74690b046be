import shutil

import numpy as np
import pytest
from command_line import read_results, read_weights, run_langrl
from corridor import CORRIDOR
from PIL import Image

from langrl.tasks import registry
from langrl.tasks.loading import load_agent


@pytest.fixture(autouse=True, scope="module")
def corridor():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.TASKS, "corridor", CORRIDOR)  # the one line of the registry
        yield


@pytest.fixture(scope="module")
def run(corridor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corridor")
    file = folder / "corridor.yaml"
    file.write_text("task: corridor\nlogging: {checkpoint_every: 100}\n")
    assert run_langrl("train", "--config", file, "--cells", 9, "--out", folder / "run") == 0
    return folder / "run"


def test_it_trains_and_is_evaluated_beside_its_baselines(run):
    success = {row["method"]: row["success"] for row in read_results(run)["rows"]}
    assert set(success) == {"log_sum_exp", "max_goal", "random"}
    assert min(success["log_sum_exp"], success["max_goal"]) >= 0.9 > success["random"] + 0.1
    for name in ("posterior", "training"):
        assert np.asarray(Image.open(run / "figures" / f"{name}.png").convert("L")).std() > 5


def test_a_run_that_was_cut_off_ends_with_the_same_bits(run, tmp_path):
    cut = shutil.copytree(run, tmp_path / "cut")
    shutil.rmtree(cut / "checkpoints" / "step-200")
    assert run_langrl("train", "--resume", cut) == 0
    assert read_weights(cut) == read_weights(run)


def test_it_is_evaluated_by_instruction_type_and_on_a_typed_text(run, tmp_path, capsys):
    assert run_langrl("evaluate", run, "--episodes", 5, "--out", tmp_path / "types") == 0
    texts = {row["text"] for row in read_results(tmp_path / "types")["rows"]}
    assert texts == {"go to an end", "go to the left end", "go to the right end"}
    text = ("--instruction", "go to cell 4", "--episodes", 5, "--out", tmp_path / "text")
    assert run_langrl("evaluate", run, *text) == 0
    assert "'go to cell 4' denotes 1 cells" in capsys.readouterr().out
    assert len(read_results(tmp_path / "text")["rows"]) == 3
    assert (tmp_path / "text" / "figures" / "instruction.png").is_file()


def test_its_agent_is_loaded_as_any_other(run):
    agent = load_agent(run, strategy="max_goal")
    observation = {"observation": np.array([[4.0], [4.0]], np.float32)}
    assert agent.act(observation, ["go to cell 8", "go to cell 0"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--instruction", "go to cell 40"), "denotes no cell"),
        (("--methods", "nearest_goal"), "no method named 'nearest_goal'"),
        (("--kinds", "middle"), "no text of instruction named 'middle'"),
        (("--layout", "fork"), "leave the layout out"),
        (("--trust-pickle",), "is no run of Stable-Baselines3"),
    ],
)
def test_wrong_usage_is_one_line(run, arguments, words, capsys):
    capsys.readouterr()
    assert run_langrl("evaluate", run, *arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
