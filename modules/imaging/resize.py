"""Bring a picture to a size: stretched, cut, or with its edges drawn out."""

from PIL import Image

from modules.core.requests import RESIZE_MODES

STRETCH, CROP, FILL, LATENT = RESIZE_MODES
LANCZOS = Image.Resampling.LANCZOS


def resized(image: Image.Image, width: int, height: int, mode: str = STRETCH) -> Image.Image:
    """The picture at `width` x `height`.

    "Crop and resize" keeps the shape and cuts what sticks out, the same on both sides. "Resize and fill" keeps shape and
    all of the picture and stretches the outermost rows or columns over what is left. The latent mode is the engine's
    business; here it is a plain resize.
    """
    if image.size == (width, height):
        return image
    if mode == CROP:
        return _cropped(image, width, height)
    if mode == FILL:
        return _filled(image, width, height)
    return image.resize((width, height), LANCZOS)


def multiples(size: tuple[int, int], step: int = 8) -> tuple[int, int]:
    """A size brought down to whole multiples, at least one.

    >>> multiples((515, 3))
    (512, 8)
    """
    return max(step, size[0] // step * step), max(step, size[1] // step * step)


def _cropped(image: Image.Image, width: int, height: int) -> Image.Image:
    wider = width * image.height > image.width * height  # than the picture
    inner_width = width if wider else max(width, image.width * height // image.height)
    inner_height = max(height, image.height * width // image.width) if wider else height
    left, top = inner_width // 2 - width // 2, inner_height // 2 - height // 2
    large = image.resize((inner_width, inner_height), LANCZOS)
    return large.crop((left, top, left + width, top + height))


def _filled(image: Image.Image, width: int, height: int) -> Image.Image:
    wider = width * image.height > image.width * height
    inner_width = max(1, min(width, image.width * height // image.height)) if wider else width
    inner_height = height if wider else max(1, min(height, image.height * width // image.width))
    left, top = width // 2 - inner_width // 2, height // 2 - inner_height // 2
    small = image.resize((inner_width, inner_height), LANCZOS)
    sheet = Image.new(image.mode, (width, height))
    sheet.paste(small, (left, top))
    _stretch_columns(sheet, small, left)
    _stretch_rows(sheet, small, top)
    return sheet


def _stretch_columns(sheet: Image.Image, small: Image.Image, left: int) -> None:
    right = sheet.width - left - small.width
    if left > 0:
        sheet.paste(small.crop((0, 0, 1, small.height)).resize((left, small.height)), (0, 0))
    if right > 0:
        edge = small.crop((small.width - 1, 0, small.width, small.height))
        sheet.paste(edge.resize((right, small.height)), (left + small.width, 0))


def _stretch_rows(sheet: Image.Image, small: Image.Image, top: int) -> None:
    bottom = sheet.height - top - small.height
    if top > 0:
        sheet.paste(small.crop((0, 0, small.width, 1)).resize((small.width, top)), (0, 0))
    if bottom > 0:
        edge = small.crop((0, small.height - 1, small.width, small.height))
        sheet.paste(edge.resize((small.width, bottom)), (0, top + small.height))
