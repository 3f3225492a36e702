"""The order in which the field lists samplers and schedules; a list that people know by heart is found without reading."""

from collections.abc import Iterable

SAMPLERS = (
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "DPM++ 2M SDE Heun",
    "DPM++ 2S a",
    "DPM++ 3M SDE",
    "Euler a",
    "Euler",
    "LMS",
    "Heun",
    "DPM2",
    "DPM2 a",
    "DPM fast",
    "DPM adaptive",
    "Restart",
    "DDIM",
    "DDIM CFG++",
    "PLMS",
    "UniPC",
    "LCM",
)

SCHEDULES = (
    "Automatic",
    "Uniform",
    "Karras",
    "Exponential",
    "Polyexponential",
    "SGM Uniform",
    "KL Optimal",
    "Align Your Steps",
    "Simple",
    "Normal",
    "DDIM",
    "Beta",
)


def in_order(names: Iterable[str], known: tuple[str, ...]) -> list[str]:
    """`names` as `known` orders them; those it does not know (an extension's) after them, as they came.

    >>> in_order(["Mine", "Euler", "DPM++ 2M"], SAMPLERS)
    ['DPM++ 2M', 'Euler', 'Mine']
    """
    places = {name: place for place, name in enumerate(known)}
    return sorted(names, key=lambda name: places.get(name, len(places)))
