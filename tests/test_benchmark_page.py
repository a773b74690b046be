import re

from documents import ROOT, blocks

from langrl.benchmark.entrants import ENTRANTS
from langrl.benchmark.metrics import METRICS
from langrl.benchmark.profiles import PROFILES
from langrl.training.engines import local

PAGE = ROOT / "docs" / "reference" / "benchmark.md"


def test_the_python_of_the_page_runs_as_it_stands(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "cores", lambda: 1)  # in this process
    (code,) = blocks(PAGE, "python")
    called = code[code.index("if __name__") :]
    assert len(called.strip().splitlines()) < 10
    exec(compile(code, "benchmark.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert float(printed.split()[-1]) < 0.2  # success of an agent that stands still
    assert (tmp_path / "runs" / "benchmark-smoke" / "report.html").is_file()


def test_every_entrant_metric_and_profile_is_on_the_page():
    text = PAGE.read_text()
    families = {name.rpartition("-")[0] or name for name in ENTRANTS}
    for name in {*families, *PROFILES}:
        assert re.search(rf"`{re.escape(name)}[-`]", text), name
    shown = set(METRICS) - {"ceiling", "questions", "seconds"}
    for name in shown:
        assert f"`{name}`" in text, name
