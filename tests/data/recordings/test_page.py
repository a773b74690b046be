from documents import ROOT, blocks

from langrl.data.recordings.pointmaze import RECIPES
from langrl.data.recordings.reading import LAYOUTS

PAGE = ROOT / "docs" / "how-to" / "recorded-data.md"


def test_the_python_of_the_page_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(PAGE, "python")
    exec(compile(code, "recorded-data.md", "exec"), {})
    (shown,) = (line.partition("# ")[2] for line in code.splitlines() if line.startswith("print"))
    assert capsys.readouterr().out.strip() == shown


def test_the_page_names_every_layout_and_every_published_set():
    text = PAGE.read_text()
    for name in LAYOUTS:
        assert f"| `{name}`" in text, name
    for recipe in RECIPES.values():
        assert f"{recipe.maze}-{recipe.kind}`" in text
        assert f"| {recipe.episodes:,} | {recipe.states:,} |" in text
