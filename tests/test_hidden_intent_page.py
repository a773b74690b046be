from documents import ROOT, blocks


def test_the_python_about_asking_runs_as_it_stands(capsys):
    (code,) = blocks(ROOT / "docs" / "explanation" / "hidden-intent.md", "python")
    exec(compile(code, "hidden-intent.md", "exec"), {})
    names, paid, answer = capsys.readouterr().out.splitlines()
    assert names.startswith("('colour', 'type', 'side', 'half')")
    assert paid.startswith("[ 0.  -0.1]")
    assert answer in {"red", "green", "blue", "purple", "yellow", "grey"}
