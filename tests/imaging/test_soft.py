import numpy as np
from PIL import Image

from modules.imaging.soft import adaptive_overlay


def ramp():
    """A mask that rises from black on the left to white on the right."""
    row = np.clip((np.arange(100) - 20) * 255 / 60, 0, 255).astype(np.uint8)
    return Image.fromarray(np.tile(row, (40, 1)))


def changed(picture, box):
    result = picture.copy()
    result.paste((255, 255, 255), box)
    return result


def test_what_changed_is_shown_and_what_did_not_follows_the_mask():
    grey = Image.new("RGB", (100, 40), (60, 60, 60))
    result = changed(grey, (0, 0, 100, 20))  # the upper half is new
    overlay = np.asarray(adaptive_overlay(grey, result, ramp())).astype(int)
    mask = np.asarray(ramp()).astype(int)
    assert (overlay[5, 40:] == 255).all()
    assert np.abs(overlay[35] - mask[35]).max() <= 1
    assert (overlay >= mask - 1).all()


def test_nothing_is_shown_where_the_mask_is_black(noise):
    overlay = np.asarray(adaptive_overlay(noise(100, 40), noise(100, 40, seed=1), ramp()))
    assert not overlay[np.asarray(ramp()) == 0].any()


def test_there_is_no_seam_where_the_mask_begins(noise):
    overlay = np.asarray(adaptive_overlay(noise(100, 40), noise(100, 40, seed=1), ramp())).astype(int)
    assert np.abs(np.diff(overlay.mean(axis=0))).max() < 80


def test_a_result_that_is_the_same_gives_the_mask():
    grey = Image.new("RGB", (100, 40), (60, 60, 60))
    assert adaptive_overlay(grey, grey, ramp()).tobytes() == ramp().tobytes()
