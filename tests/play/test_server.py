import json
import socket
import threading
import urllib.error
import urllib.request

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from playing import Knowing, maze_playground
from starlette.testclient import TestClient

from langrl.errors import ConfigError
from langrl.play.guard import HEADERS
from langrl.play.server import LARGEST, make_app
from langrl.play.serving import address_of, bind
from langrl.play.session import Session
from langrl.play.visitors import Visitors

JSON = {"content-type": "application/json"}
PAGES = (
    "/", "/static/play.js", "/static/page.js", "/static/draw.js", "/static/style.css",
    "/static/theme.css",
)  # fmt: skip


@pytest.fixture
def client(maze):
    return TestClient(make_app(maze), base_url="http://127.0.0.1:8000")


@pytest.fixture
def ask(client):
    """A function that does something in a session of its own, and returns the answer."""
    name = client.post("/api/session", json={}).json()["session"]

    def do(what, **fields):
        return client.post("/api/do", json={"session": name, "do": what} | fields)

    do.session = name
    return do


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    message = answer.json()["error"]
    assert 0 < len(message) < 400
    assert "\n" not in message
    return message


# -- the page -----------------------------------------------------------------------------------


def test_the_page_is_small_and_asks_nobody_else(client):
    texts = [client.get(path).text for path in PAGES]
    assert sum(len(text.encode()) for text in texts) < 100_000
    for text in texts:
        assert "//" not in text.replace("//\n", "").replace("// ", "").replace("http://www.w3", "")


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/static/../server.py"])
def test_every_answer_says_what_a_page_may_load(client, path):
    answer = client.get(path)
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/static/nothing.js", "/static/%2e%2e%2fserver.py", "/static/..%2f..%2ferrors.py"],
)
def test_files_that_are_no_part_of_the_page_are_not_there(client, path):
    assert "no such page" in error_of(client.get(path), 404)


def test_a_session_says_what_there_is_to_choose_from(client):
    opened = client.post("/api/session", json={}).json()
    assert opened["info"]["strategies"][0]["name"] == "nearest_goal"
    assert all(each["about"] for each in opened["info"]["strategies"])
    assert opened["view"]["scene"]["kind"] == "maze"


# -- who may ask --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "10.0.0.1", "", "[", "@"],
)
def test_another_host_is_refused(client, host):
    for answer in (
        client.get("/", headers={"host": host}),
        client.post("/api/session", json={}, headers={"host": host}),
    ):
        assert "address that it printed" in error_of(answer, 403)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9000", "LOCALHOST", "[::1]:8000"])
def test_this_machines_own_names_are_taken_at_any_port(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


def test_any_address_is_taken_where_the_server_listens_at_all(maze):
    client = TestClient(make_app(maze, any_address=True))
    assert client.get("/", headers={"host": "192.168.1.5:8000"}).status_code == 200
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "https://127.0.0.1:8000"},
     {"origin": "http://127.0.0.1:9000"}, {"sec-fetch-site": "cross-site"},
     {"sec-fetch-site": "same-site"}],
)  # fmt: skip
def test_a_page_of_another_site_is_refused(client, headers):
    for answer in (
        client.post("/api/session", json={}, headers=headers),
        client.get("/api/run?session=x", headers=headers),
    ):
        assert "another site" in error_of(answer, 403)


def test_the_page_itself_is_served(client):
    headers = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert client.post("/api/session", json={}, headers=headers).status_code == 200


# -- what may be asked --------------------------------------------------------------------------


def test_what_is_done_comes_back(ask):
    view = ask("tell", text="go to row 4").json()
    assert view["denoted"] == [[4, column] for column in range(6)]
    assert ask("step").json()["step"] == 1
    assert ask("again").json()["step"] == 0
    assert ask("place", place=[0.5, 1.5]).json()["walks"][0]["path"] == [[0.5, 1.5]]
    edited = ask("edit", edits=[{"row": 1, "column": 1, "thing": "free"}]).json()
    assert edited["scene"]["walls"][1] == "..###."
    assert len(ask("compare", strategies=["max_goal", "log_sum_exp"]).json()["walks"]) == 2
    assert ask("restart").status_code == ask("reset_world").status_code == 200
    assert ask("look").json() == ask("look").json()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"do": "tell", "text": "x" * 1001}, "at most 1000"),
        ({"do": "tell", "text": "go\x07"}, "control character"),
        ({"do": "tell", "text": "\ud800"}, "unicode"),
        ({"do": "tell", "text": 7}, "text"),
        ({"do": "place", "place": [0.5, 1e30]}, "place"),
        ({"do": "place", "place": [0, 1, 2, 3]}, "place"),
        ({"do": "place", "place": [1.5, 1.5]}, "a wall is there"),
        ({"do": "edit", "edits": [{"row": -1, "column": 0, "thing": "wall"}]}, "row"),
        ({"do": "edit", "edits": [{"row": 0}]}, "column"),
        ({"do": "edit", "edits": [{"row": 0, "column": 0, "thing": "wall"}] * 501}, "edits"),
        ({"do": "compare", "strategies": ["best"]}, "no strategy here"),
        ({"do": "step"}, "type an instruction"),
        ({"do": "_act"}, "do"),
        ({"do": "look", "seed": 1}, "seed"),
        ({}, "do"),
    ],
)
def test_what_is_wrong_is_said_and_the_session_goes_on(client, ask, fields, why):
    before = ask("look").json()
    answer = client.post(
        "/api/do", content=json.dumps({"session": ask.session} | fields), headers=JSON
    )
    assert why in error_of(answer, answer.status_code)
    assert answer.status_code in (200, 400)  # 200 where the request is sound
    assert ask("look").json() == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"nan", b"\xff", b"[" * 30_000])
def test_what_is_no_json_object_is_refused(client, body):
    assert "JSON" in error_of(client.post("/api/do", content=body, headers=JSON), 400)


def test_only_json_is_read(client):
    answer = client.post("/api/do", content="{}", headers={"content-type": "text/plain"})
    assert "Content-Type" in error_of(answer, 400)


def test_a_text_of_a_megabyte_is_refused(ask):
    assert f"at most {LARGEST:,} bytes" in error_of(ask("tell", text="x" * 1_000_000), 413)
    assert ask("look").json()["text"] == ""


@pytest.mark.parametrize("rate", ["0", "61", "-1", "fast", "9" * 400, ""])
def test_the_speed_has_limits(client, ask, rate):
    answer = client.get("/api/run", params={"session": ask.session, "rate": rate})
    assert "steps per second" in error_of(answer, 400)


# -- frames -------------------------------------------------------------------------------------


def frames_of(answer):
    """Return the events of a stream, each with its content."""
    blocks = [block.split("\n") for block in answer.text.split("\n\n") if block]
    return [(name.split(": ")[1], json.loads(data[6:])) for name, data in blocks]


def test_a_run_is_a_frame_for_each_step(client, ask):
    ask("tell", text="go to row 4")
    ask("place", place=[0.5, 0.5])
    answer = client.get("/api/run", params={"session": ask.session, "rate": "60"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *frames, end = frames_of(answer)
    assert end == ("end", {})
    assert [frame["step"] for _, frame in frames] == list(range(1, 8))
    assert [frame["over"] for _, frame in frames] == [False] * 6 + [True]
    places = [frame["walks"][0]["place"] for _, frame in frames]
    assert [[0.5, 0.5], *places] == ask("look").json()["walks"][0]["path"]


def test_a_run_of_nothing_ends_with_the_reason(client, ask):
    (first, problem), end = frames_of(client.get("/api/run", params={"session": ask.session}))
    assert first == "problem"
    assert "type an instruction" in problem["error"]
    assert end == ("end", {})


# -- sessions -----------------------------------------------------------------------------------


def test_an_idle_session_is_dropped_and_says_so(maze):
    now = [0.0]
    visitors = Visitors(lambda seed: Session(maze, seed), idle=60, clock=lambda: now[0])
    client = TestClient(make_app(maze, visitors=visitors), base_url="http://localhost")
    names = [client.post("/api/session", json={}).json()["session"] for _ in range(2)]
    assert len(visitors) == 2
    now[0] = 50
    assert client.post("/api/do", json={"session": names[0], "do": "look"}).status_code == 200
    now[0] = 100
    answer = client.post("/api/do", json={"session": names[1], "do": "look"})
    assert "reload" in error_of(answer, 410)
    assert client.post("/api/do", json={"session": names[0], "do": "look"}).status_code == 200
    assert len(visitors) == 1


def test_of_too_many_sessions_the_idlest_goes(maze):
    now = iter(range(100))
    visitors = Visitors(lambda seed: Session(maze, seed), most=3, clock=lambda: next(now))
    names = [visitors.admit(visitors.open(seed)) for seed in range(3)]
    visitors.find(names[0])
    visitors.admit(visitors.open(3))
    with pytest.raises(ConfigError, match="ended"):
        visitors.find(names[1])
    visitors.find(names[0])


def test_a_name_cannot_be_guessed(maze):
    visitors = Visitors(lambda seed: Session(maze, seed))
    names = {visitors.admit(visitors.open(seed)) for seed in range(20)}
    assert len(names) == 20
    assert min(map(len, names)) >= 24


def test_seeds_differ(maze):
    visitors = Visitors(lambda seed: Session(maze, seed))
    assert [visitors.next_seed() for _ in range(3)] == [0, 1, 2]


# -- a real server ------------------------------------------------------------------------------


def post(address, path, content):
    data = json.dumps(content).encode()
    request = urllib.request.Request(address + path, data, JSON)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_twenty_clients_are_served_at_once(served):
    meeting = threading.Barrier(20, timeout=60)

    class Waiting(Knowing):
        def act(self, observation, instruction, starts=None):
            meeting.wait()  # until all twenty are here
            return super().act(observation, instruction)

    address, failures = served(maze_playground(Waiting)), []

    def visit():
        try:
            name = post(address, "api/session", {})["session"]
            post(address, "api/do", {"session": name, "do": "tell", "text": "go to row 4"})
            view = post(address, "api/do", {"session": name, "do": "step"})
            assert view["step"] == 1
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=visit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_agent_that_fails_leaves_the_server_up(served):
    class Failing(Knowing):
        def act(self, observation, instruction, starts=None):
            raise RuntimeError("it failed")

    address = served(maze_playground(Failing))
    name = post(address, "api/session", {})["session"]
    post(address, "api/do", {"session": name, "do": "tell", "text": "go to row 4"})
    with pytest.raises(urllib.error.HTTPError, match="500"):
        post(address, "api/do", {"session": name, "do": "step"})
    assert post(address, "api/do", {"session": name, "do": "look"})["step"] == 0


def test_a_browser_that_goes_away_in_the_middle_of_a_run_harms_nobody(served, maze):
    address = served(maze)
    name = post(address, "api/session", {})["session"]
    post(address, "api/do", {"session": name, "do": "compare", "strategies": ["log_sum_exp"]})
    post(address, "api/do", {"session": name, "do": "tell", "text": "go to row 4"})
    with urllib.request.urlopen(f"{address}api/run?session={name}&rate=60", timeout=60) as stream:
        assert stream.readline().startswith(b"event: message")
    assert post(address, "api/do", {"session": name, "do": "again"})["step"] == 0


def test_the_next_port_is_taken_where_one_is_in_use():
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with bind("127.0.0.1", port) as second:
            assert port < second.getsockname()[1] < port + 50
            assert address_of(second) == f"http://127.0.0.1:{second.getsockname()[1]}/"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "a" * 300, "\u00df" * 80])
def test_an_address_that_is_not_this_machines_is_refused(host):
    with pytest.raises(ConfigError, match=r"--host|cannot listen"):
        bind(host, 0)


def test_an_address_of_version_6_is_written_for_a_browser():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        bound = bind("::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6")
    with bound:
        assert address_of(bound).startswith("http://[::1]:")
