"""Backgrounds by name."""

from collections.abc import Callable
from random import Random

from PIL import Image

from modules.starter import landscapes, rooms
from modules.starter.scene import Scene

PLACES: dict[str, Callable[[Scene], None]] = {
    "on the grass": landscapes.grass,
    "in the jungle": landscapes.jungle,
    "on the beach": landscapes.beach,
    "in the snow": landscapes.snow,
    "in the desert": landscapes.desert,
    "in the mountains": landscapes.mountains,
    "in the city": landscapes.city,
    "by the river": landscapes.river,
    "in the ocean": landscapes.ocean,
    "in space": landscapes.space,
    "under the night sky": landscapes.night,
    "on a wooden floor": rooms.wooden_floor,
    "on a bed": rooms.bed,
    "on a table": rooms.table,
    "by the window": rooms.window,
    "on a red carpet": rooms.red_carpet,
    "in a sunflower field": landscapes.sunflowers,
}


def paint_place(place: str, side: int, rng: Random) -> Image.Image:
    """The background alone, `side` pixels square.  place: a key of `PLACES`, or "on a blue background", "on an orange background"."""
    scene = Scene(side, rng)
    words = place.split()
    if words[-1] == "background":
        rooms.plain(scene, words[2])
    else:
        PLACES[place](scene)
    return scene.image
