import csv
import json

import numpy as np
import pytest

from langrl.data.images.folder import read_folder
from langrl.data.images.grid_scenes import draw_images, satisfies, world_batch
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL, write
from langrl.envs.grid.rooms import GRID_WORLDS, ahead, draw_rooms, is_object
from langrl.errors import ConfigError

RED_BALL, RED_KEY, BLUE_BALL = (
    ("thing", "red", "ball"), ("thing", "red", "key"), ("thing", "blue", "ball"),
)  # fmt: skip


def room(**cells):
    """A 5x5 room with objects at cells named like r1c2."""
    made = np.zeros((5, 5, 2), np.uint8)
    made[..., 0] = WALL
    made[1:4, 1:4, 0] = EMPTY
    for place, (colour, kind) in cells.items():
        made[int(place[1]), int(place[3])] = TYPES[kind], COLOURS[colour]
    return made


def seen(meaning, generator):
    return write(meaning, generator, "seen")


def test_a_image_fits_what_its_agent_faces_in_its_own_room_whoever_the_text_is_from():
    rooms = np.stack([
        room(r1c2=("red", "ball"), r3c3=("red", "key")),
        room(r1c2=("blue", "ball"), r3c3=("red", "ball")),
    ])  # fmt: skip
    number = np.array([0, 0, 0, 1, 1, 1])
    poses = np.array([
        [1, 1, 0],  # room 0, faces (1, 2): the red ball
        [2, 3, 1],  # room 0, faces (3, 3): the red key
        [2, 2, 1],  # room 0, faces (3, 2): nothing
        [1, 1, 0],  # room 1, faces the blue ball
        [2, 3, 1],  # room 1, faces the red ball
        [1, 1, 3],  # room 1, faces the wall
    ])  # fmt: skip
    something_red, anything = ("thing", "red", None), ("thing", None, None)
    # Every ball is one step from a wall: they tie.
    nearest = ("nearest_wall", ("thing", None, "ball"))
    meanings = [RED_BALL, RED_KEY, BLUE_BALL, something_red, anything, nearest]
    assert satisfies(meanings, rooms, number, poses).astype(int).tolist() == [
        [1, 0, 0, 0, 1, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 0, 0, 1, 1, 0],
    ]


def test_half_of_a_rooms_images_face_objects_all_of_them_about_equally_often():
    rooms = draw_rooms(GRID_WORLDS["goto"], 4, np.random.default_rng(0))
    number, poses = draw_images(rooms, 17, np.random.default_rng(1))
    row, column = ahead(poses)
    faces = is_object(rooms)[number, row, column].reshape(4, 17)
    assert faces[:, :9].all()
    assert not faces[:, 9:].any()
    for r in range(4):
        cells = list(zip(row.reshape(4, 17)[r, :9], column.reshape(4, 17)[r, :9], strict=True))
        assert len(set(cells)) == is_object(rooms)[r].sum()  # at most 6 objects, 9 images


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_every_text_of_a_batch_has_a_positive_and_some_image_has_none(world):
    batch = world_batch(
        GRID_WORLDS[world], seen, np.random.default_rng(0), rooms=3, images=8, texts=5
    )
    side = GRID_WORLDS[world].size * 8
    assert batch.images.shape == (24, side, side, 3)
    assert batch.positives.shape == (15, 24)
    assert batch.positives.any(1).all()
    assert not batch.positives[:, 4:8].any()  # these face nothing


def test_a_batch_is_its_seeds_alone():
    spec, sizes = GRID_WORLDS["goto"], {"rooms": 2, "images": 4, "texts": 2}
    one, other = (world_batch(spec, seen, np.random.default_rng(5), **sizes) for _ in range(2))
    assert one.texts == other.texts
    assert (one.images == other.images).all()


# -- folders -------------------------------------------------------------------------------


def image(path, colour, size=(20, 30)):
    from PIL import Image

    Image.new("RGB", size, colour).save(path)


def captions(folder, *pairs):
    lines = [json.dumps({"image": name, "text": text}) for name, text in pairs]
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")


def test_images_of_a_folder_share_captions_and_captions_images(tmp_path):
    for name in ("a.png", "b.jpg", "c.png"):
        image(tmp_path / name, "red")
    captions(
        tmp_path, ("a.png", "red"), ("b.jpg", "red"), ("b.jpg", "also red"), ("c.png", "other")
    )
    found = read_folder(tmp_path, 16)
    assert found.images.shape == (3, 16, 16, 3)
    assert found.texts == ["red", "also red", "other"]
    assert found.positives.astype(int).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert found.images[0, 8, 8].tolist() == [255, 0, 0]


def test_a_drawn_batch_of_a_folder_marks_every_caption_of_a_drawn_image(tmp_path):
    for n in range(4):
        image(tmp_path / f"{n}.png", "red")
    captions(tmp_path, *[(f"{n}.png", "one" if n < 2 else f"text {n}") for n in range(4)])
    batch = read_folder(tmp_path, 8).draw(10, np.random.default_rng(0))
    assert sorted(batch.texts) == ["one", "text 2", "text 3"]
    assert batch.positives.sum(0).tolist() == [1, 1, 1, 1]
    assert batch.positives[batch.texts.index("one")].sum() == 2


def test_captions_may_be_csv(tmp_path):
    image(tmp_path / "a.png", "blue")
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "text"), ("a.png", "blue, and plain")])
    assert read_folder(tmp_path, 8).texts == ["blue, and plain"]


def test_all_images_that_cannot_be_used_are_named_in_one_line(tmp_path):
    image(tmp_path / "good.png", "red")
    (tmp_path / "torn.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path.parent / "secret.png").write_bytes((tmp_path / "good.png").read_bytes())
    (tmp_path / "link.png").symlink_to(tmp_path.parent / "secret.png")
    names = [
        "good.png", "torn.png", "text.jpg", "gone.png", "../secret.png", "link.png",
        "https://example.org/a.png",
    ]  # fmt: skip
    captions(tmp_path, *[(name, "a caption") for name in names])
    with pytest.raises(ConfigError) as caught:
        read_folder(tmp_path, 8)
    message = str(caught.value)
    assert "\n" not in message
    assert "6 images" in message
    assert "good.png" not in message
    for name in names[1:]:
        assert name in message
    assert message.count("outside the folder") == 2
    assert message.count("is missing") == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no captions"),
        ("nonsense\n", "line 1: not JSON"),
        ('{"image": "a.png"}\n', "line 1: needs 'image' and 'text'"),
        ('{"image": "a.png", "text": "fine"}\n\n[1]\n', "line 3: needs 'image' and 'text'"),
        ('{"image": "a.png", "text": "  "}\n', "line 1"),
    ],
)
def test_a_wrong_line_of_captions_is_named(tmp_path, content, problem):
    (tmp_path / "captions.jsonl").write_text(content)
    with pytest.raises(ConfigError, match=problem):
        read_folder(tmp_path, 8)


def test_a_folder_without_captions_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="neither"):
        read_folder(tmp_path, 8)
    with pytest.raises(ConfigError, match="no folder"):
        read_folder(tmp_path / "nowhere", 8)


def test_a_split_leaves_images_to_calibrate_and_to_measure_on(tmp_path):
    for n in range(10):
        image(tmp_path / f"{n}.png", (n, 0, 0))
    captions(tmp_path, *[(f"{n}.png", f"number {n}") for n in range(10)])
    parts = read_folder(tmp_path, 8).split(0.4, np.random.default_rng(0))
    assert [len(part.images) for part in parts] == [6, 2, 2]
    assert sorted(p[4, 4, 0] for part in parts for p in part.images) == list(range(10))
    with pytest.raises(ConfigError, match="too few"):
        parts[1].split(0.4, np.random.default_rng(0))
