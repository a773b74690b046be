import json
import signal
import threading
import urllib.request

import pytest
from command_line import run_langrl

pytest.importorskip("uvicorn")

import uvicorn

import langrl.cli.play as command
from langrl.play.serving import bind


@pytest.fixture
def visited(monkeypatch):
    """Servers stop at once; what they were to serve is kept, with what is at the address."""
    seen = []

    def run(server, sockets):
        thread = threading.Thread(target=real, args=(server, sockets), daemon=True)
        thread.start()
        host, port = sockets[0].getsockname()[:2]
        request = urllib.request.Request(
            f"http://{host}:{port}/api/session", b"{}", {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            seen.append((port, json.load(answer)))
        server.should_exit = True
        thread.join()

    real = uvicorn.Server.run
    monkeypatch.setattr(uvicorn.Server, "run", run)
    return seen


def test_a_run_is_served_at_the_address_that_is_printed(small_run, visited, capsys):
    run = small_run("maze")
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert run_langrl("play", str(run), "--port", str(port)) == 0
    said = " ".join(capsys.readouterr().out.split())
    (used, opened), = visited  # fmt: skip
    assert used != port
    assert f"port {port} is in use" in said
    assert f"http://127.0.0.1:{used}/" in said
    assert opened["info"]["title"] == str(run)


@pytest.mark.parametrize(
    ("number", "status", "says"), [(signal.SIGINT, 0, "stopped\n"), (signal.SIGTERM, 143, "")]
)
def test_ctrl_c_is_how_serving_ends(number, status, says, small_run, monkeypatch, capsys):
    stop = lambda server, sockets: signal.raise_signal(number)  # noqa: E731
    monkeypatch.setattr(uvicorn.Server, "run", stop)
    assert run_langrl("play", str(small_run("maze")), "--port", "0") == status
    out, err = capsys.readouterr()
    assert out.endswith("Ctrl-C stops\n" + says)
    assert ("interrupted" in err) is (status != 0)


def test_without_a_run_the_demos_is_trained_once(visited, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    load = command.load_run_config

    def small(preset, task):
        config = load(preset, task)
        learner = config.learner.model_copy(update={"steps": 2})
        data = config.data.model_copy(update={"num_trajectories": 50, "num_pairs": 100})
        return config.model_copy(update={"learner": learner, "data": data})

    monkeypatch.setattr(command, "load_run_config", small)
    for trains in (True, False):
        assert run_langrl("play", "--port", "0") == 0
        assert ("is trained" in capsys.readouterr().out) is trains
    assert len(visited) == 2
    assert (tmp_path / "runs" / "demo" / "run" / "checkpoints").is_dir()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("nothing",), "no config.yaml in nothing"),
        (("--world", "moon"), "no world with a demo named 'moon'"),
        (("--port", "70000"), "port"),
        (("--host", "no.such.host.invalid"), "use 127.0.0.1"),
    ],
)
def test_what_cannot_be_played_is_refused_in_a_line(fails, tmp_path, monkeypatch, arguments, why):
    monkeypatch.chdir(tmp_path)
    assert why in fails("play", *arguments)


def test_a_run_of_another_world_is_refused_in_a_line(fails, small_run):
    assert "cannot be played with yet" in fails("play", str(small_run("partial")), "--port", "0")


def test_a_damaged_run_is_refused_in_a_line(fails, tmp_path, small_run):
    (tmp_path / "config.yaml").write_text((small_run("maze") / "config.yaml").read_text())
    assert "checkpoint" in fails("play", str(tmp_path), "--port", "0")


def test_an_episode_is_written_as_a_page(small_run, tmp_path, capsys):
    out = tmp_path / "new" / "episode.html"
    arguments = ("render", str(small_run("maze")), "--instruction", "go to row 3")
    assert run_langrl(*arguments, "--out", str(out)) == 0
    assert "written" in capsys.readouterr().out
    assert "go to row 3" in out.read_text()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (("--out", "episode.png"), "end the name in .html, .gif or .mp4"),
        (("--instruction", "go to row 99"), "denotes no cell"),
        (("--instruction", " "), "the instruction is empty"),
        (("--strategies", "best"), "no strategy here named 'best'"),
    ],
)
def test_an_episode_that_cannot_be_is_refused_in_a_line(
    fails, small_run, tmp_path, monkeypatch, changes, why
):
    monkeypatch.chdir(tmp_path)
    given = {"--instruction": "go to row 3", "--out": "episode.html"} | dict([changes])
    flags = [word for pair in given.items() for word in pair]
    assert why in fails("render", str(small_run("maze")), *flags)
    assert not (tmp_path / given["--out"]).exists()
