"""Nothing is missing from the pages that are read from the code."""

import inspect
import re

import pytest
from command_line import run_langrl
from documents import ROOT
from generators import commands, fields, files, names, plain

import langrl.functional
from langrl.cli.main import COMMANDS
from langrl.reproduce.arguments import REPRODUCTIONS
from langrl.tasks.presets import preset_names
from langrl.tasks.registry import TASKS

COMMANDS_PAGE = commands.render()
SECTIONS = dict(
    zip(*[iter(re.split(r"^## (.+)\n", COMMANDS_PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True)
)


def test_every_command_has_a_section():
    assert {name.split()[1] for name in SECTIONS} == set(COMMANDS)
    assert {name.split()[2] for name in SECTIONS if "reproduce" in name} == set(REPRODUCTIONS)
    assert {f"langrl data {name}" for name in ("describe", "make")} <= set(SECTIONS)
    assert {f"langrl benchmark {name}" for name in ("run", "list", "speed")} <= set(SECTIONS)


@pytest.mark.parametrize("name", ["evaluate", "benchmark run", "train", "sweep"])
def test_every_flag_that_help_prints_is_in_the_commands_section(name, capsys):
    assert run_langrl(*name.split(), "--help") == 0
    printed = capsys.readouterr().out
    flags = set(re.findall(r"(?<![\w.-])--[a-z][a-z.-]*[a-z]", printed)) - {"--help"}
    assert len(flags) > 8
    listed = SECTIONS[f"langrl {name}"]
    if name == "train":  # the fields are flags; they have a page of their own
        own = {f"--{path[1:-1].replace('_', '-')}" for path, *_ in leaves_of("street-maze")}
        assert own <= flags
        flags -= own | {flag.replace("--", "--no-", 1) for flag in own}
        flags -= {re.sub(r"\.([^.]+)$", r".no-\1", flag) for flag in own}
    missing = {flag for flag in flags if f"`{flag}`" not in listed}
    assert not missing


def leaves_of(task):
    return list(fields.leaves(TASKS[task].config_class))


@pytest.mark.parametrize("task", TASKS)
def test_every_field_of_a_config_has_a_row_with_type_default_and_meaning(task):
    page = fields.render_tasks()
    section = page.split(f"## {task}\n")[1].split("\n## ")[0]
    dumped = TASKS[task].config_class.model_validate({}).model_dump()

    def paths(values, before=""):
        for name, value in values.items():
            if isinstance(value, dict) and value:
                yield from paths(value, f"{before}{name}.")
            else:
                yield f"{before}{name}"

    rows = {row[0][1:-1]: row for row in leaves_of(task)}
    assert set(paths(dumped)) == set(rows)
    for path, row in rows.items():
        assert all(row), path
        assert f"| `{path}` |" in section


def test_every_preset_has_a_section():
    page = fields.render_presets()
    assert sorted(re.findall(r"^## (.+)$", page, re.MULTILINE)) == preset_names()


def test_a_preset_shows_what_it_sets():
    section = fields.render_presets().split("## street-fork-minilm\n")[1].split("## ")[0]
    assert "| `text.model` | `all-MiniLM-L6-v2` | `compact` |" in section


def api_pages():
    return {
        section: page
        for page in sorted((ROOT / "docs/reference/api").glob("*.md"))
        for section in re.findall(r"<!-- generated: names (.+) -->", page.read_text())
    }


def test_every_section_of_public_names_has_a_page():
    assert set(api_pages()) == set(names.sections())


def test_every_name_of_the_mathematics_is_described():
    described = {path.rpartition(".")[2] for path, _ in names.public(
        "Mathematics: tensors in, tensors out")}  # fmt: skip
    assert set(langrl.functional.__all__) <= described


@pytest.mark.parametrize("section", sorted(set(names.sections()) - {"Stable-Baselines3"}))
def test_every_public_name_is_found_and_says_what_it_is(section):
    found = list(names.public(section))
    assert found
    for path, thing in found:
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), path
    page = names.render(section)
    assert all(path in page for path, _ in found)


def test_a_link_out_of_the_site_leads_to_a_page_of_it_or_is_text():
    site = ROOT / "docs"
    text = "[a](../../SECURITY.md) [b](law.md#x) [c](../../examples) ![d](../images/law.png)"
    assert files.with_pages(text, site, "explanation/method") == (
        "[a](../project/security.md) [b](law.md#x) c ![d](../images/law.png)"
    )


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "whole number"),
        (str | None, "text or None"),
        (tuple[str, ...] | None, "list of: text or None"),
        (tuple[float, float], "number and number"),
    ],
)
def test_a_type_is_said_in_words(annotation, words):
    assert plain.kind(annotation) == words
