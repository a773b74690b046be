import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_langrl

from langrl.cli.flags import parse
from langrl.errors import ConfigError, suggestion
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import parse_config, preset_names
from langrl.tasks.registry import tasks_of

ENERGIES = "'cosine' or 'dot' or 'neg_half_sq_l2' or 'neg_l2'"
WRONG = {
    "train --learner.stepss 3": "no flag --learner.stepss; did you mean --learner.steps?",
    "train --learner.stepss=3": "no flag --learner.stepss; did you mean --learner.steps?",
    "train --learner.batch_sise 3": "did you mean --learner.batch-size?",
    "train -seed 3": "no flag -seed; did you mean --seed?",
    "train --cofnig street-fork": "no flag --cofnig; did you mean --config?",
    "train --qqqqqqqqqq 1": "no flag --qqqqqqqqqq; --help lists them",
    "train --world 1": "did you mean --world.layout?",
    "train --learner.steps abc": "--learner.steps takes a whole number, got 'abc'",
    "train --learner.steps 1.5": "--learner.steps takes a whole number, got '1.5'",
    "train --learner.learning-rate abc": "--learner.learning-rate takes a number, got 'abc'",
    "train --critic.energy cosin": f"--critic.energy takes {ENERGIES}, got 'cosin'",
    "train --seed": "--seed needs a value",
    "train street-fork": "'street-fork' belongs to no flag; a value comes after its flag",
    "reproduce law --out y --workers x": "--workers takes a whole number, got 'x'",
    "reproduce law --out y --sedes 2": "no flag --sedes; did you mean --seeds?",
    "evaluate x --phrasings foo": "--phrasings takes 'held_out' or 'noisy' or 'seen', got 'foo'",
    "evaluate x --kinds": "--kinds needs a value",
    "diagnose bundled --piars goto": "no flag --piars; did you mean --pairs?",
    "benchmark speed --rounds x": "--rounds takes a whole number, got 'x'",
    "demo --wrold grid": "no flag --wrold; did you mean --world?",
    "pretrain --word-limit abc": "--word-limit takes a whole number, got 'abc'",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_is_wrong_with_a_flag_is_said_in_plain_words(command, fails):
    assert WRONG[command] in fails(*command.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--learner.batch-size", "64"],
        ["--learner.batch_size", "64"],
        ["--learner.batch-size=64"],
    ],
)
def test_flags_that_there_are_pass(arguments):
    found = parse(MazeRunConfig, arguments, "langrl train", default=MazeRunConfig())
    assert found.learner.batch_size == 64


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learner: {steps: many}", "learner.steps: takes a whole number, got 'many'"),
        ("learner: {steps: 1.5}", "learner.steps: takes a whole number, got 1.5"),
        ("learner: {learning_rate: [1]}", "learner.learning_rate: takes a number, got [1]"),
        ("critic: {energy: cosin}", f"critic.energy: takes {ENERGIES}, got 'cosin'"),
        ("data: {kinds: row}", "data.kinds: takes a list, got 'row'"),
        ("device: 3", "device: takes a text, got 3"),
    ],
)
def test_a_field_of_a_file_is_told_of_in_the_same_words(text, words):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "mine", MazeRunConfig)
    assert str(caught.value) == f"mine: {words}"


def test_a_set_of_choices_is_listed_in_alphabetical_order():
    assert suggestion("zzz", {"c", "a", "b"}) == "choose one of: a, b, c"
    assert suggestion("zzz", ["c", "a", "b"]) == "choose one of: c, a, b"


def test_a_command_offers_only_presets_that_it_takes(capsys, fails):
    offered = {
        command: preset_names(*(task.config_class for task in tasks_of(command).values()))
        for command in ("train", "pretrain")
    }
    assert offered["pretrain"] == ["pretrain-bundled", "pretrain-words"]
    assert sorted(offered["train"] + offered["pretrain"]) == preset_names()
    assert run_langrl("train", "--help") == 0
    assert "pretrain-bundled" not in capsys.readouterr().out
    assert "pretrain-bundled" not in fails("train", "--config")
    assert "pretrain-bundled" not in fails("train", "--config", "pretrain")
    assert "presets are pretrain-bundled" in fails("pretrain", "--config")
    assert "did you mean 'pretrain-bundled'" in fails("pretrain", "--config", "pretrain-bundle")


def test_an_unknown_environment_is_answered_without_the_whole_list_of_gymnasium(fails):
    error = fails("diagnose", "bundled", "--pairs", "foo/bar", "--out", "x")
    assert "choose one of: goto, crowded" in error
    assert "CarRacing" not in error


@pytest.mark.parametrize("words", [["train", "--help"], ["--help"], ["train", "--print-config"]])
def test_a_reader_that_goes_away_is_no_error(words):
    script = Path(sys.executable).with_name("langrl")
    run = subprocess.Popen([script, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.close()  # before anything is written
    _, told = run.communicate(timeout=120)
    assert told == b""
    assert run.returncode == 1


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + ".yaml"])
@pytest.mark.parametrize(
    "flags", [["train", "--config"], ["evaluate"], ["train", "--resume"], ["train", "--start"]]
)
def test_a_name_that_is_too_long_is_one_line_wherever_it_is_given(flags, name, fails):
    said = ("file name too long", "no preset named 'aaa", "no config file aaa")
    assert any(each in fails(*flags, name) for each in said)


@pytest.mark.parametrize(
    "command", [["train", "--method", "direct"], ["pretrain", "--trajectories", "x"]]
)
def test_a_flag_of_another_command_is_no_flag(command, fails):
    assert f"no flag {command[1]}; " in fails(*command)


def test_a_setting_that_is_refused_is_said_in_its_own_words(fails):
    error = fails("train", "--evaluation.methods", "none", "direct")
    assert "--evaluation.methods: none turns the evaluation off; leave it" in error
