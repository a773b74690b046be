"""Frames as goals: sizes, and how alike two frames may be."""

import warnings

import numpy as np
import pytest
from gymnasium import spaces
from wrapped_environments import cart, encode_images, refused, small_maze

from langrl.envs.frames import check_size, choose_similarity, resize
from langrl.envs.goals import FrameGoals
from langrl.envs.wrappers.goals import RenderedGoals
from langrl.errors import DomainError, ShapeError
from langrl.models.language_image.model import load_language_image_model


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


# -- sizes ---------------------------------------------------------------------------------------


def test_pixels_are_means_of_those_they_cover():
    images = noise(2, 6, 8, 3)
    expected = images.reshape(2, 3, 2, 4, 2, 3).mean((2, 4))
    assert np.abs(resize(images, 3, 4) - expected).max() <= 0.5
    assert np.array_equal(resize(images, 6, 8), images)
    assert np.array_equal(resize(images, 12, 8), images.repeat(2, 1))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 2), (13, 20)])
def test_any_size_is_made_of_any_other(size):
    images = np.full((2, 7, 11, 3), 200, np.uint8)
    resized = resize(images, *size)
    assert resized.shape == (2, *size, 3)
    assert resized.dtype == np.uint8
    assert (resized == 200).all()


def test_a_size_is_one_number_or_two():
    assert check_size(64) == (64, 64)
    assert check_size(np.int64(8)) == (8, 8)
    assert check_size((32, 48)) == (32, 48)
    for wrong in (0, -1, 2.5, "64", (8,), (8, 8, 3), (8, 0), [4.0, 4]):
        refused(lambda wrong=wrong: check_size(wrong), DomainError, "size is pixels.*size=64")


def test_an_encoder_sees_frames_and_images_of_the_size():
    seen = []

    def encode(images):
        seen.append(images.shape)
        return encode_images(images)

    env = RenderedGoals(cart(render_mode="rgb_array"), encode, size=(20, 30))
    env.reset(seed=0)
    env.step(0)
    RenderedGoals(cart(render_mode="rgb_array"), encode, noise(3, 400, 600, 3), size=(20, 30))
    assert {shape[1:] for shape in seen} == {(20, 30, 3)}
    assert env.spec.make().reset(seed=0)[0] in env.observation_space


# -- likeness ------------------------------------------------------------------------------------


def embedded(cosines):
    """Embeddings [M, 2] whose cosines with the first, at 0 degrees, are given."""
    angles = np.arccos(cosines)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def frames(count):
    return np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, 3)


def test_the_estimate_is_halfway_between_1_and_what_nine_of_ten_pairs_stay_below():
    unit = noise(30, 4).astype(np.float32) - 128
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(30, 1)]
    similarity = choose_similarity(frames(30), unit, None)
    assert similarity == pytest.approx((1 + np.quantile(cosines, 0.9)) / 2, abs=1e-6)
    assert (cosines >= similarity).mean() <= 0.1


def test_frames_that_are_the_same_do_not_count():
    twice = frames(6).repeat(2, 0)
    unit = embedded(np.linspace(0, 1, 6)).repeat(2, 0)
    assert choose_similarity(twice, unit, None) == pytest.approx(
        choose_similarity(frames(6), unit[::2], None), abs=0.02
    )


def test_embeddings_that_tell_every_frame_apart_leave_half_the_distance():
    assert choose_similarity(frames(8), np.eye(8, dtype=np.float32), None) == 0.5


def test_of_many_frames_some_that_are_evenly_spaced_are_compared():
    many = np.arange(6400, dtype=np.uint16).view(np.uint8).reshape(6400, 1, 2, 1).repeat(3, 3)
    unit = noise(64, 4).astype(np.float32) - 128
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    expected = choose_similarity(frames(64), unit, None)
    assert choose_similarity(many, unit.repeat(100, 0), None) == expected


def test_a_given_similarity_stays():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_similarity(frames(8), np.eye(8, dtype=np.float32), 0.7) == 0.7
        assert choose_similarity(frames(1), np.eye(1, dtype=np.float32), 0.7) == 0.7


@pytest.mark.parametrize(
    ("count", "unit", "similarity"),
    [
        (6, np.ones((6, 1), np.float32), None),
        (6, np.ones((6, 1), np.float32), 0.99),
        (6, embedded(np.linspace(0.992, 1, 6)), 0.99),
        (6, embedded(1 - 1e-9 * np.arange(6)), None),
    ],
)
def test_frames_that_cannot_be_told_apart_are_warned_of(count, unit, similarity):
    with pytest.warns(UserWarning, match="hardly be told apart: 100% of the pairs.*another"):
        choose_similarity(frames(count), unit, similarity)


def test_a_walk_without_a_change_is_warned_of():
    with pytest.warns(UserWarning, match="told apart: all frames are the same; give images, or"):
        choose_similarity(frames(1).repeat(5, 0), np.ones((5, 1), np.float32), None)


# -- the bundled encoder -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encode():
    return load_language_image_model("bundled").encode_image


def test_the_bundled_encoder_finds_frames_of_a_cart_alike_and_the_estimate_does_not(encode):
    base = cart(render_mode="rgb_array")
    with pytest.warns(UserWarning, match="hardly be told apart"):
        FrameGoals(base, encode, similarity=0.8, size=64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = RenderedGoals(base, encode, size=64)
    assert 0.95 < env.goals.similarity < 1
    at_once = []
    for seed in range(12):
        env.reset(seed=seed)
        at_once.append(env.step(seed % 2)[4]["is_success"])
    assert sum(at_once) <= 2  # 0 here


def test_frames_that_the_encoder_does_not_take_are_refused_saying_where_to_resize(encode):
    refused(
        lambda: RenderedGoals(cart(render_mode="rgb_array"), encode),
        ShapeError,
        r"images of 400 x 600 pixels do not fit.*frames are 400 x 600 pixels.*give size= to"
        " RenderedGoals or FrameGoals, such as size=64",
    )
    env = RenderedGoals(small_maze(render_mode="rgb_array"), encode, size=64)  # as it says
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space


def test_an_estimate_is_the_same_for_every_copy():
    make = [RenderedGoals(cart(render_mode="rgb_array"), encode_images) for _ in range(2)]
    assert make[0].goals.similarity == make[1].goals.similarity
    assert isinstance(make[0].goals.space, spaces.Box)
