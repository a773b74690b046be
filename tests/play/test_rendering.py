import importlib.util
import json
import re

import numpy as np
import pytest
from chromium import Chromium, find_chromium
from PIL import Image

from langrl.errors import ConfigError, InstructionError, MissingExtraError
from langrl.play.rendering import (
    check_target,
    episode_frames,
    episode_page,
    play_episode,
    write_episode,
)


@pytest.fixture(params=["maze", "grid"])
def episode(request):
    playground = request.getfixturevalue(request.param)
    text = {"maze": "go to row 4", "grid": "walk to any object"}[request.param]
    return play_episode(playground, text, ("nearest_goal", "log_sum_exp"))


def data_of(page):
    return json.loads(re.search(r'id="episode">(.*?)</script>', page, re.DOTALL)[1])


def test_a_page_holds_the_episode(episode):
    page = episode_page(episode.look(), "langrl, fork")
    assert data_of(page) == episode.look()
    assert data_of(page)["walks"][0]["success"]


def test_a_page_names_nothing_to_load(episode):
    page = episode_page(episode.look(), "langrl, fork")
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|url\(|@import""", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<b>&\"'"])
def test_a_text_does_not_leave_its_place(maze, text):
    page = episode_page(play_episode(maze, text).look(), text)
    assert data_of(page)["text"] == text
    assert page.count("</script>") == 2
    assert "<b>" not in page


def test_a_page_opens_from_a_file_and_plays(episode, tmp_path):
    path = tmp_path / "episode.html"
    write_episode(path, episode, "langrl, fork")
    with Chromium(find_chromium(), tmp_path / "profile") as browser:
        browser.open(path)
        browser.evaluate("document.getElementById('go').click()")
        browser.wait("Number(document.body.dataset.step) > 2")
        browser.evaluate("$('at').value = 1000, $('at').oninput()")
        captions = browser.evaluate("document.getElementById('panels').textContent")
        assert "nearest_goal: success in" in captions
        assert [address for address in browser.requests if address != path.as_uri()] == []
        assert browser.complaints == []


def test_a_film_shows_strategies_side_by_side_to_the_end(episode, tmp_path):
    path = tmp_path / "new" / "episode.gif"
    write_episode(path, episode, "langrl, fork")
    with Image.open(path) as image:
        assert image.width > 1.8 * image.height
        assert image.n_frames >= len(episode.walks[0].path)
        first, last = (np.asarray(frame(image, n)) for n in (0, image.n_frames - 1))
    assert (first != last).any()


def frame(image, number):
    image.seek(number)
    return image.convert("RGB")


def test_an_mp4_needs_its_extra(episode, tmp_path):
    path = tmp_path / "episode.mp4"
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        with pytest.raises(MissingExtraError, match=r"langrl\[video\]"):
            check_target(path)
        return
    write_episode(check_target(path), episode, "langrl, fork")
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("name", ["episode.webm", "episode", "episode.HTM", ".html/"])
def test_another_format_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="end the name in"):
        check_target(tmp_path / name)


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "a.html").mkdir()
    with pytest.raises(ConfigError, match="folder"):
        check_target(tmp_path / "a.html")


def test_a_text_that_denotes_nothing_makes_no_episode(maze):
    with pytest.raises(InstructionError, match="denotes no cell"):
        play_episode(maze, "go to row 99")


def test_a_film_of_a_long_episode_has_fewer_frames_and_its_end(maze, monkeypatch):
    monkeypatch.setattr("langrl.play.rendering._MOST_FRAMES", 30)
    session = play_episode(maze, "go to row 4", ("log_sum_exp",))  # which does not get there
    assert len(session.walks[0].path) == 101
    frames = episode_frames(session)
    assert len(frames) == 26  # every fourth of the 101 states
    assert (frames[-1] != frames[-2]).any()
