"""Captions and images of a folder: texts unchanged, images scaled and framed as from memory."""

import json

import numpy as np
import pytest
from PIL import Image

from langrl.data.images.folder import read_folder
from langrl.errors import ConfigError, NonFiniteError, ShapeError
from langrl.models.language_image.image_inputs import frame_image, read_images
from langrl.models.language_image.sentence_pair import _images

RAMP = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)


def save(folder, image, name="0.png"):
    image.save(folder / name)
    (folder / "captions.jsonl").write_text(json.dumps({"image": name, "text": "a ramp"}) + "\n")
    return read_folder(folder, 64).images[0]


def csv_texts(folder, content):
    for n in range(3):
        Image.new("RGB", (8, 8)).save(folder / f"{n}.png")
    (folder / "captions.csv").write_bytes(content.encode())
    return read_folder(folder, 8).texts


# -- captions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_texts_of_a_csv_are_unchanged(tmp_path, end):
    texts = ["a red ball\nnext to a key", "a\u2028key", "one, two"]
    rows = ["image,text", *(f'{n}.png,"{text}"' for n, text in enumerate(texts))]
    content = "\ufeff" + end.join(rows) + end
    assert csv_texts(tmp_path, content) == texts


def test_texts_of_json_lines_are_unchanged(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    lines = [
        json.dumps({"image": "0.png", "text": "a\u2028key\nand a ball"}, ensure_ascii=False),
        json.dumps({"image": "0.png", "text": "a\u2029box"}, ensure_ascii=False),
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert read_folder(tmp_path, 8).texts == ["a\u2028key\nand a ball", "a\u2029box"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "image;text\n0.png;a key\n",
            r"needs a column 'image' and a column 'text', and has 'image;t",
        ),
        ("Image,caption\n0.png,a key\n", "and has 'Image', 'caption'"),
        ("image,text,text\n0.png,a key,b\n", "and has 'image', 'text', 'text'"),
        ("", "and has none"),
        ("image,text\n0.png,a key, and a ball\n", "line 2: more than 2 columns; put a text with"),
        ('image,text\n0.png,"a key\n1.png,a ball', "line 3: not CSV"),
        ("image,text\n0.png\n", "line 2: needs 'image' and 'text', both strings"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named(tmp_path, content, says):
    with pytest.raises(ConfigError, match=says):
        csv_texts(tmp_path, content)


def test_the_names_that_a_line_of_json_has_are_named(tmp_path):
    (tmp_path / "captions.jsonl").write_text('{"file": "0.png", "caption": "a key"}\n')
    with pytest.raises(ConfigError, match=r"line 1: needs 'image' .*; has 'file', 'caption'"):
        read_folder(tmp_path, 8)


# -- pixels -----------------------------------------------------------------------------------


def test_a_ramp_of_16_bits_is_scaled_and_not_clipped(tmp_path):
    image = Image.fromarray(RAMP)
    assert image.mode.startswith("I;16")
    read = save(tmp_path, image)
    assert read.mean() == pytest.approx(127.5, abs=0.5)
    assert (read[0, 0, 0], read[-1, -1, 0]) == (0, 255)
    assert np.abs(read[..., 0] - RAMP / 257).max() <= 1
    assert np.array_equal(read_images(Image.open(tmp_path / "0.png"))[0].numpy(), read)
    assert np.array_equal(read_images(image)[0].numpy(), read)


def grey_of(mode):
    """Return an image of one mode whose left half is black and whose right half is white."""
    grey = Image.fromarray(np.repeat([[0, 255]], 32, 1).repeat(64, 0).astype(np.uint8))
    return grey.convert("RGB").convert(mode) if mode in ("CMYK", "HSV") else grey.convert(mode)


MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_8_bits_is_black_and_white(mode):
    image = grey_of(mode)
    assert image.mode == mode
    read = read_images(image)[0].numpy()
    assert read[:, :32].max() <= 1
    assert read[:, 32:].min() >= 254
    assert np.array_equal(frame_image(image, 64), read)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_that_a_png_has_is_the_same_from_a_folder(mode, tmp_path):
    read = save(tmp_path, grey_of(mode))
    assert np.array_equal(read, read_images(grey_of(mode))[0].numpy())


def test_a_cmyk_jpeg_is_scaled(tmp_path):
    read = save(tmp_path, grey_of("CMYK"), "0.jpg")
    assert read[:, :24].max() < 20 < 235 < read[:, 40:].min()


@pytest.mark.parametrize("mode", ["I", "F", "La", "RGBa", "LAB"])
def test_a_mode_whose_range_is_not_known_is_refused_by_name(mode):
    for read in (read_images, lambda image: frame_image(image, 8)):
        with pytest.raises(ShapeError, match=f"mode {mode}, whose range is not known.*8-bit RGB"):
            read(Image.new(mode, (8, 8)))


def png_of_16_bits(path, channels):
    """Write a PNG with 16 bits in each channel, which Pillow does not write."""
    import struct
    import zlib

    def chunk(kind, data):
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = RAMP[..., None].repeat(channels, 2).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 64, 64, 16, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pngs_of_16_bits_are_ramps_of_8(tmp_path, channels):
    png_of_16_bits(tmp_path / "0.png", channels)
    (tmp_path / "captions.jsonl").write_text('{"image": "0.png", "text": "a ramp"}\n')
    read = read_folder(tmp_path, 64).images[0]
    assert read.mean() == pytest.approx(127.5, abs=1)
    assert np.abs(read - RAMP[..., None] / 257).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64, bool])
def test_arrays_of_other_numbers_are_refused_by_name(dtype):
    with pytest.raises(ShapeError, match=f"got {np.dtype(dtype).name}; divide them by"):
        read_images(np.ones((8, 8, 3), dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays_of_floats_are_scaled_from_1_or_refused(dtype):
    ramp = np.linspace(0, 1, 192).reshape(8, 8, 3).astype(dtype)
    assert np.abs(read_images(ramp)[0].numpy() - 255.0 * ramp).max() <= 0.51
    with pytest.raises(ShapeError, match=r"must lie in \[0, 1\]"):
        read_images(255 * ramp)
    with pytest.raises(NonFiniteError):
        read_images(ramp * np.nan)


# -- proportions ------------------------------------------------------------------------------


def photo():
    """240 x 60 pixels, of which the middle third is white and the rest red."""
    array = np.zeros((60, 240, 3), np.uint8)
    array[..., 0] = 255
    array[:, 80:160] = 255
    return Image.fromarray(array)


def test_an_oblong_photo_is_framed_in_a_folder_as_it_is_from_memory(tmp_path):
    read = save(tmp_path, photo())  # 64 x 16 between bars of 24
    assert not read[:24].any()
    assert not read[40:].any()
    assert (read[25:39, :18] == [255, 0, 0]).all()
    assert (read[25:39, 24:40] == 255).all()
    assert np.array_equal(frame_image(photo(), 64), read)
    assert np.array_equal(frame_image(np.array(photo()), 64), read)
    (seen,) = _images(read_images(photo()))  # what a CLIP is given
    seen = np.array(seen.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(seen - read)[[*range(22), *range(26, 38), *range(42, 64)]].max() <= 1


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (1, 1), (64, 64)])
def test_images_of_any_proportions_fit_their_frame(size):
    framed = frame_image(Image.new("RGB", size, (9, 9, 9)), 64)
    assert framed.shape == (64, 64, 3)
    sides = [max(1, round(64 * side / max(size))) for side in size]
    assert (framed == 9).all(-1).sum() == sides[0] * sides[1]
