"""Pictures of worlds without a map, as the server gives them."""

import io

import pytest

pytest.importorskip("starlette")

from goal_cubes import cube_playground
from PIL import Image
from playing import maze_playground
from starlette.testclient import TestClient

from langrl.play.pictures import inlined
from langrl.play.server import make_app


@pytest.fixture
def opened():
    """A function that opens a session of a playground; returns a client and its name."""

    def make(playground):
        client = TestClient(make_app(playground), base_url="http://127.0.0.1:8000")
        return client, client.post("/api/session", json={}).json()["session"]

    return make


def test_a_picture_shows_where_a_strategy_is_now(opened):
    client, name = opened(cube_playground(3))
    seen = []
    for _ in range(2):
        answer = client.get(f"/api/frame?session={name}&walk=0")
        assert answer.headers["content-type"] == "image/jpeg"
        image = Image.open(io.BytesIO(answer.content))
        assert image.size == (40, 30)
        seen.append(image.convert("L").getpixel((5, 5)))
        command = {"session": name, "do": "tell", "text": "to the far right"}
        client.post("/api/do", json=command)
        client.post("/api/do", json={"session": name, "do": "step"})
    assert seen[1] > seen[0]


@pytest.mark.parametrize(
    ("query", "status"),
    [("walk=9", 400), ("walk=-1", 400), ("walk=x", 400), ("walk=99999999999", 400), ("", 200)],
)
def test_other_pictures_are_refused(opened, query, status):
    client, name = opened(cube_playground(3))
    answer = client.get(f"/api/frame?session={name}&{query}")
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]


def test_a_map_has_no_pictures_and_nobody_has_others_sessions(opened):
    client, name = opened(maze_playground())
    answer = client.get(f"/api/frame?session={name}&walk=0")
    assert answer.status_code == 400
    assert "drawn as a map" in answer.json()["error"]
    assert client.get("/api/frame?session=x&walk=0").status_code == 410


def test_long_episodes_have_fewer_pictures_and_the_last():
    picture = pytest.importorskip("numpy").zeros((4, 4, 3), "uint8")
    kept = inlined([picture] * 400)
    assert len(kept) == 400
    assert sum(each is not None for each in kept) <= 151
    assert kept[0]
    assert kept[-1]
