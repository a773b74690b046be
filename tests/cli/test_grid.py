import shlex
import shutil

import numpy as np
import pytest
from command_line import read_results, read_weights, run_langrl
from PIL import Image
from small_runs import GRID


@pytest.fixture(scope="module")
def tiny(tiny_language):
    return [*GRID, "--language", str(tiny_language)]


@pytest.fixture(scope="module")
def run(small_run):
    return small_run("grid")


def test_a_grid_run_leaves_results_and_images(run):
    rows = {row["method"]: row for row in read_results(run)["rows"]}
    assert rows["oracle"]["success"] == 1.0
    assert {"log_sum_exp", "nearest_goal", "sampled_goal", "nearest_object", "random"} <= set(rows)
    for name in ("training.png", "posterior.png"):
        pixels = np.asarray(Image.open(run / "figures" / name).convert("L"))
        assert pixels.std() > 5


@pytest.mark.usefixtures("blank_images")
def test_a_resumed_grid_run_ends_with_the_same_bits(run, tmp_path):
    copy = tmp_path / "resumed"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints" / "step-20")
    assert run_langrl("train", "--resume", copy) == 0
    assert read_weights(copy) == read_weights(run)


def test_a_grid_run_is_evaluated_by_level_and_phrasing(run, tmp_path):
    arguments = ["--episodes", 2, "--methods", "max_goal", "oracle", "--kinds", "colour", "any"]
    assert run_langrl("evaluate", run, *arguments, "--out", tmp_path) == 0
    rows = read_results(tmp_path)["rows"]
    assert len(rows) == 2 * 2 * 2
    assert {row["level"] for row in rows} == {"colour", "any"}
    assert all(row["success"] == 1 for row in rows if row["method"] == "oracle")


def test_a_typed_text_is_followed_filmed_and_drawn(run, tmp_path, capsys):
    text = "go to something red or a key"
    arguments = ["--instruction", text, "--episodes", 3, "--methods", "nearest_goal", "oracle"]
    assert run_langrl("evaluate", run, *arguments, "--out", tmp_path) == 0
    told = capsys.readouterr().out
    assert "objects of the room in the figure" in told
    assert "entropy" in told
    for name in ("instruction.png", "belief.png", "film-oracle.gif", "film-nearest_goal.gif"):
        image = Image.open(tmp_path / "figures" / name)
        assert np.asarray(image.convert("L")).std() > 5
    assert Image.open(tmp_path / "figures" / "film-oracle.gif").n_frames > 3


def test_the_grid_demo_trains_once_and_tells_the_whole_story(tiny, tmp_path, capsys, request):
    preset = tmp_path / "tiny.yaml"
    assert run_langrl("train", *tiny, "--print-config") == 0
    preset.write_text(capsys.readouterr().out)
    arguments = ["demo", "--world", "grid", "--config", preset, "--out", tmp_path / "demo"]
    assert run_langrl(*arguments) == 0
    rows = read_results(tmp_path / "demo")["rows"]
    assert {row["world"] for row in rows} == {"the grid world 'goto'"}
    for name in ("methods.png", "posterior.png", "instruction.png", "belief.png"):
        assert (tmp_path / "demo" / "figures" / name).is_file()
    request.getfixturevalue("blank_images")
    assert run_langrl(*arguments) == 0
    assert "using the run in" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["as it is", "fine-tuned"])
def test_a_clip_grounds_an_agent(source, clip, tmp_path):
    language = clip
    if source == "fine-tuned":
        arguments = ["--worlds", "goto", "--steps", 2, "--rooms-per-batch", 2, "--start", clip]
        arguments += ["--train", "heads", "--evaluation-rooms", 2, "--texts-per-room", 4]
        assert run_langrl("pretrain", *arguments, "--out", tmp_path / "clip") == 0
        language = tmp_path / "clip" / "model"
    run = tmp_path / "run"
    assert run_langrl("train", *GRID, "--language", language, "--out", run) == 0
    rows = {row["method"]: row for row in read_results(run)["rows"]}
    assert rows["log_sum_exp"]["episodes"] == 4
    arguments = ["--instruction", "go to the red ball", "--episodes", 2, "--methods", "max_goal"]
    assert run_langrl("evaluate", run, *arguments, "--out", tmp_path / "told") == 0
    assert (tmp_path / "told" / "figures" / "belief.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train --config grid-gotoo", ["did you mean 'grid-goto'"]),
        ("train --config grid-goto --world.worlds gotto", ["world.worlds", "did you mean 'goto'"]),
        ("train --config grid-goto --language ./nowhere", ["nowhere"]),
        ("demo --world grid --config street-fork", ["task is 'street-maze'"]),
        ("train --config pretrain-bundled", ["task is 'language-image'"]),
        ("pretrain --worlds goto goto", ["langrl: error: worlds names one twice; name each once"]),
        ("pretrain --words None --frequent-words 9", ["error: frequent_words are", "set words"]),
        ("evaluate RUN --kinds colours", ["did you mean 'colour'"]),
        ("evaluate RUN --methods direct", ["no method named 'direct'"]),
        ("evaluate RUN --layout fork", ["grid world", "leave the layout out"]),
        ("evaluate RUN --instruction ' '", ["instruction is empty"]),
        ("evaluate RUN --instruction 'go to the red door'", ["denotes nothing"]),
    ],
)
def test_bad_usage_is_one_clear_line_and_status_2(arguments, words, run, capsys, tmp_path):
    given = [str(run) if word == "RUN" else word for word in shlex.split(arguments)]
    out = [] if given[0] == "demo" else ["--out", str(tmp_path / "out")]
    assert run_langrl(*given, *out) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert error.startswith("langrl: error: ")
    assert all(word in error for word in words), error


def test_separate_embeddings_are_compared_when_asked_for(tiny, tmp_path):
    flags = ("--grounding.compare-separate", "--learner.steps", 2)
    assert run_langrl("train", *tiny, *flags, "--out", tmp_path / "run") == 0
    assert "direct" in {row["method"] for row in read_results(tmp_path / "run")["rows"]}


def test_separate_embeddings_of_other_sizes_are_refused_before_training(tiny, tmp_path, fails):
    flags = ("--grounding.compare-separate", "--critic.embedding", 12)
    error = fails("train", *tiny, *flags, "--out", tmp_path / "run")
    assert "critic.embedding is 12" in error
    assert "set critic.embedding 8" in error
    assert not (tmp_path / "run").exists()
