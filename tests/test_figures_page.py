from documents import ROOT, blocks
from PIL import Image


def test_the_python_about_films_runs_as_it_stands(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)  # read again
    (code,) = blocks(ROOT / "docs" / "reference" / "figures.md", "python")
    exec(code, {})
    (gif,) = tmp_path.rglob("*.gif")
    assert str(gif) in capsys.readouterr().out
    assert Image.open(gif).n_frames > 1
