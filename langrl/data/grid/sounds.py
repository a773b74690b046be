"""Sounds of goals in grid worlds, and pairs of an image and a sound: a modality without text.

The object that the agent faces makes a sound: its colour decides the pitch, its type the timbre,
that is how loud each harmonic is. Noise and an ambient tone of random pitch and timbre are added;
where no object is faced, there is nothing else.

Axes: ``N`` sounds, ``T`` samples of a waveform, ``F`` frequencies of a spectrum, ``O`` harmonics,
``R`` rooms, ``H`` x ``W`` cells.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.data.images.grid_scenes import draw_images
from langrl.envs.grid.grammar import COLOURS, TYPES
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import RoomSpec, draw_rooms
from langrl.envs.grid.views import faced_cells
from langrl.errors import ShapeError
from langrl.protocols import Floats

RATE, SAMPLES = 6000, 512  # samples a second; in a sound, which lasts a twelfth of one
FREQUENCIES = SAMPLES // 2  # in a spectrum, 12 Hz apart; the constant part is left out
PITCHES = 180.0 * 2 ** (0.22 * np.arange(len(COLOURS)))  # Hz of each colour, 180 to 386
TIMBRES = {
    "door": (0.3, 1.0, 0.3, 0.1, 0.9, 0.1, 0.7),
    "key": (1.0, 0.0, 0.7, 0.0, 0.5, 0.0, 0.4),  # odd harmonics, as of a clarinet
    "ball": (1.0, 0.3, 0.1, 0.0, 0.0, 0.0, 0.0),  # nearly pure, as of a flute
    "box": (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4),  # all of them, as of a trumpet
}
_HARMONICS = len(TIMBRES["key"])
_NOISE = 0.5  # standard deviation of each sample
_DETUNED = 0.01  # relative standard deviation of a pitch


@dataclass(frozen=True, eq=False)
class SoundImages:
    """Images of poses, each with the sound that is heard there.

    Args:
        sounds: float32 [N, F].
        images: uint8 [N, height, width, 3].
        faced: type and colour of the cell that is faced, uint8 [N, 2]; for evaluation.
    """

    sounds: Floats
    images: NDArray[np.uint8]
    faced: NDArray[np.uint8]


def draw_sounds(faced: NDArray[np.uint8], generator: Generator) -> Floats:
    """Draw what is heard where cells of a type and colour are faced.

    Args:
        faced: types and colours in minigrid's numbers [N, 2]; what is no object is silent.
        generator: source of phases, loudness, detuning, ambient tones and noise.

    Returns:
        Spectra, log(1 + magnitude), float32 [N, F].

    Raises:
        ShapeError: if ``faced`` is not [N, 2].
    """
    if faced.ndim != 2 or faced.shape[1] != 2:
        raise ShapeError(
            f"draw_sounds needs faced [N, 2], got {list(faced.shape)}; give the type and the"
            " colour of the cell that each agent faces"
        )
    count = len(faced)
    timbres = np.zeros((256, _HARMONICS))  # by type; silent unless it is an object's
    for name, harmonics in TIMBRES.items():
        timbres[TYPES[name]] = harmonics
    pitch = PITCHES[faced[:, 1] % len(PITCHES)] * generator.normal(1, _DETUNED, count)
    loudness = np.exp(generator.uniform(np.log(0.5), np.log(2.0), count))
    heard = _tones(pitch, loudness[:, None] * timbres[faced[:, 0]], generator)
    ambient = generator.uniform(PITCHES[0] / 2, 2 * PITCHES[-1], count)
    strength = generator.uniform(0, 0.6, (count, 1))
    heard += _tones(ambient, strength * generator.random((count, _HARMONICS)), generator)
    heard += _NOISE * generator.standard_normal((count, SAMPLES), np.float32)
    magnitude = np.abs(np.fft.rfft(heard * np.hanning(SAMPLES)))[:, 1:]  # [N, F]
    return np.log1p(magnitude).astype(np.float32)


def _tones(
    pitch: NDArray[np.float64], amplitudes: NDArray[np.float64], generator: Generator
) -> Floats:
    """Return waveforms [N, T] of pitches in Hz [N] whose harmonics have amplitudes [N, O]."""
    audible = pitch[:, None] * (1 + np.arange(_HARMONICS)) < RATE / 2  # higher ones would alias
    phases = generator.uniform(0, 2 * np.pi, amplitudes.shape)
    complex_amplitudes = (audible * amplitudes * np.exp(1j * phases)).astype(np.complex64)
    turns = pitch[:, None] * (np.arange(SAMPLES) / RATE)  # [N, T]
    turning = np.exp(2j * np.pi * (turns % 1)).astype(np.complex64)
    waves = np.zeros_like(turning)
    for amplitude in complex_amplitudes.T[::-1]:  # powers of one phasor, by Horner's rule
        waves = (waves + amplitude[:, None]) * turning
    return waves.real


def draw_sound_images(spec: RoomSpec, rooms: int, images: int, generator: Generator) -> SoundImages:
    """Draw rooms, poses in them of which half face an object, and what is seen and heard there.

    Args:
        spec: what rooms look like.
        rooms: how many, R.
        images: of each room; N = R * images.
        generator: the only source of randomness.
    """
    drawn = draw_rooms(spec, rooms, generator)
    number, poses = draw_images(drawn, images, generator)
    faced = faced_cells(drawn[number], poses)
    return SoundImages(draw_sounds(faced, generator), render_rooms(drawn[number], poses), faced)
