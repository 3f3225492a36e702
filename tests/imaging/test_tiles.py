import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.imaging.tiles import by_tiles, count, starts


def noise(width, height):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def doubled(tile):
    return tile.repeat(2, axis=0).repeat(2, axis=1).astype(np.float32)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 400), st.integers(1, 100), st.data())
def test_tiles_cover_everything_and_overlap(length, tile, data):
    overlap = data.draw(st.integers(0, tile - 1))
    found = starts(length, tile, overlap)
    assert found[0] == 0
    if length <= tile:
        assert found == [0]
        return
    assert found[-1] + tile == length
    assert all(after - before <= tile - overlap for before, after in itertools.pairwise(found))
    assert all(after > before for before, after in itertools.pairwise(found))


@pytest.mark.parametrize(("size", "tile", "overlap"), [((50, 30), 16, 4), ((16, 16), 16, 4), ((100, 7), 16, 8)])
def test_a_pointwise_enlargement_does_not_show_the_tiles(size, tile, overlap):
    image = noise(*size)
    assert np.array_equal(by_tiles(image, doubled, 2, tile, overlap), doubled(image))


def test_what_a_tile_sees_wrongly_at_its_edge_is_not_used():
    """A network that spoils the two outermost pixels of what it is given: with an overlap of 8 nobody notices inside."""

    def spoiling(tile):
        values = tile.astype(np.float32)
        values[:2] = values[-2:] = 0
        values[:, :2] = values[:, -2:] = 255
        return values

    image = noise(60, 50)
    result = by_tiles(image, spoiling, 1, 24, 8)
    assert np.array_equal(result[2:-2, 2:-2], image[2:-2, 2:-2])


def test_where_tiles_disagree_they_are_blended():
    shades = iter(range(0, 200, 20))
    result = by_tiles(noise(40, 10), lambda tile: np.full(tile.shape, next(shades), np.float32), 1, 20, 10)
    steps = np.diff(result[5, :, 0].astype(int))
    assert steps.max() <= 5
    assert result[5, 0, 0] == 0
    assert result[5, -1, 0] == 40


def test_tiles_are_told_and_may_stop_it():
    told = []
    by_tiles(noise(50, 30), doubled, 2, 16, 4, lambda *news: told.append(news))
    assert told == [(n, count((50, 30), 16, 4)) for n in range(1, len(told) + 1)]
    assert len(told) == count((50, 30), 16, 4) == 12

    def stop(done, tiles):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by_tiles(noise(50, 30), doubled, 2, 16, 4, stop)


def test_no_tile_size_is_all_at_once():
    seen = []
    by_tiles(noise(50, 30), lambda tile: seen.append(tile.shape) or doubled(tile), 2, 0, 8)
    assert seen == [(30, 50, 3)]


def test_values_beyond_white_are_clipped():
    assert by_tiles(noise(9, 9), lambda tile: np.full(tile.shape, 300.7, np.float32), 1, 4, 2).min() == 255
    assert by_tiles(noise(9, 9), lambda tile: np.full(tile.shape, -9.0, np.float32), 1, 0, 2).max() == 0
