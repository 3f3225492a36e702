import numpy as np
import pytest
from PIL import Image

from modules.imaging import colour
from modules.imaging.colour import corrected


def smooth(tint, seed=0):
    """A soft picture in the colours of `tint` (three factors)."""
    rough = np.random.default_rng(seed).uniform(0, 1, (6, 6))
    grey = np.asarray(Image.fromarray((rough * 255).astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(grey[..., None] * np.array(tint), 0, 255).astype(np.uint8))


def lab_mean(image):
    return colour._lab_bytes(colour._rgb(image)).reshape(-1, 3).mean(axis=0)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # CIE L*a*b* of sRGB primaries under D65, from Bruce Lindbloom's calculator
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.59, 0, 0)),
    ],
)
def test_lab_values_are_the_known_ones(rgb, lab):
    found = colour._lab_bytes(np.array([[rgb]]) / 255)[0, 0]
    assert np.abs(found - np.array([lab[0] * 2.55, lab[1] + 128, lab[2] + 128])).max() <= 0.6


def test_lab_and_back(noise):
    rgb = colour._rgb(noise(50, 50))
    back = np.clip(colour._rgb_of(colour._lab_bytes(rgb).astype(float)), 0, 1)
    assert np.abs(back - rgb).mean() < 0.01  # what bytes lose


def test_matching_gives_the_others_histogram(noise):
    source = np.asarray(noise(64, 64))
    target = np.asarray(smooth((0.9, 0.5, 0.2), 3))
    matched = colour._matched(source, target)
    for channel in range(3):
        places = np.linspace(0.02, 0.98, 20)
        found, expected = (np.quantile(values[..., channel], places) for values in (matched, target))
        assert np.abs(found - expected).max() <= 4


def test_a_picture_matched_with_itself_is_the_same():
    picture = smooth((1.0, 0.8, 0.6))
    difference = np.abs(np.asarray(corrected(picture, picture)).astype(int) - np.asarray(picture))
    assert difference.mean() < 1.5
    assert difference.max() <= 8


def test_a_colour_cast_goes_away_and_light_and_shade_stay():
    original, drawn = smooth((1.0, 0.7, 0.5)), smooth((0.5, 0.7, 1.0), seed=1)
    result = corrected(drawn, original)
    before, after, wanted = lab_mean(drawn), lab_mean(result), lab_mean(original)
    assert np.abs(after[1:] - wanted[1:]).max() < 0.35 * np.abs(before[1:] - wanted[1:]).max()
    brightness = [colour._rgb(image) @ colour.BRIGHTNESS for image in (drawn, result)]
    assert np.abs(brightness[0] - brightness[1]).max() < 0.02


@pytest.mark.parametrize("tint", [(0, 0, 0), (255, 255, 255), (255, 0, 0)])
def test_plain_pictures_do_no_harm(tint, noise):
    plain = Image.new("RGB", (16, 16), tint)
    for image, like in ((plain, noise(16, 16)), (noise(16, 16), plain), (plain, plain)):
        assert corrected(image, like).size == (16, 16)


def test_the_sizes_may_differ(noise):
    assert corrected(noise(20, 10), noise(33, 44)).size == (20, 10)
