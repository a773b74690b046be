import pytest
from documents import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "minigrid-levels.md"


@pytest.mark.parametrize("number", range(2))
def test_the_pages_python_runs_as_it_stands(number, capsys):
    exec(compile(blocks(PAGE, "python")[number], PAGE.name, "exec"), {})
    shown = ("0.0 ", "(5, 5, 3)")[number]
    assert shown in capsys.readouterr().out
