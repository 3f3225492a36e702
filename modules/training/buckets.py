"""Sizes for pictures that are not square: about as many pixels as a square one, so that none is cut to its middle."""

import math

MOST_STEP = 64  # pixels between sizes: what large models were trained with
LARGEST = 2  # the longer side against the square's


def step_of(resolution: int, downscale: int) -> int:
    """Pixels between two sizes: 64 for models of 512 and more, an eighth of the side for small ones, whole latents.

    >>> step_of(1024, 8), step_of(512, 8), step_of(128, 8), step_of(48, 8)
    (64, 64, 16, 8)
    """
    return max(downscale, min(MOST_STEP, resolution // 8) // downscale * downscale)


def sizes(resolution: int, downscale: int) -> list[tuple[int, int]]:
    """All (width, height): multiples of the step, at most resolution² pixels, sides between half and twice the square's.

    >>> sizes(16, 8)[:3]
    [(8, 24), (8, 32), (16, 16)]
    """
    step, longest = step_of(resolution, downscale), LARGEST * resolution
    found = {(resolution, resolution)}
    for width in range(max(step, resolution // 2 // step * step), longest + 1, step):
        height = min(longest, resolution * resolution // width) // step * step
        if height * 2 >= resolution:
            found |= {(width, height), (height, width)}
    return sorted(found)


def nearest(width: int, height: int, among: list[tuple[int, int]]) -> tuple[int, int]:
    """The size whose shape is nearest to a picture's; of equal ones the larger.

    >>> nearest(300, 200, sizes(512, 8))
    (640, 384)
    """
    shape = math.log(width / height)
    return min(among, key=lambda size: (round(abs(math.log(size[0] / size[1]) - shape), 9), -size[0] * size[1]))
