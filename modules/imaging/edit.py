"""A picture and its mask made ready to be worked on, and the result put back where it belongs."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from modules.core.requests import AREAS, FILLS, MASK_MODES, EditRequest
from modules.imaging import mask as masks
from modules.imaging.colour import corrected
from modules.imaging.flatten import flattened
from modules.imaging.mask import Region
from modules.imaging.outpaint import Sides, extended, extended_mask
from modules.imaging.resize import CROP, FILL, LATENT, STRETCH, multiples, resized
from modules.imaging.soft import adaptive_overlay

BLANK = "The mask is blank; the whole picture was drawn anew."
TOO_SMALL = "The mask is too small for its blur; it was used without."
LARGEST_SMALL = 2048 * 2048  # pixels up to which a picture is encoded at its own size to be enlarged as latents


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the engine works on.

    image: RGB at the request's width and height, masked content filled in. mask: L of that size, blurred, white where
    it is painted anew; None without a mask. note: a remark for the page, or "". small: only for "Just resize (latent
    upscale)": the picture at its own size, in whole multiples of 8, to be encoded and enlarged as latents.
    """

    image: Image.Image
    mask: Image.Image | None = None
    note: str = ""
    small: Image.Image | None = None
    rounded: bool = True  # the latent mask is all or nothing
    _original: Image.Image | None = None  # what lies under the result; None without a mask
    _overlay: Image.Image | None = None  # L, of its size: how much of the result is seen
    _region: Region | None = None  # where in it the result belongs; None is everywhere
    _soft: bool = False
    _colours: Image.Image | None = None  # whose colours the result is to have

    def latent_mask(self, height: int, width: int) -> NDArray[np.float32]:
        """(h, w) from 0 to 1, 1 where it is painted anew; everywhere 1 without a mask."""
        if self.mask is None:
            return np.ones((height, width), dtype=np.float32)
        return masks.latent_values(self.mask, height, width, rounded=self.rounded)

    def pixel_mask(self) -> NDArray[np.float32]:
        """(H, W) like `latent_mask`, at the size of `image`: what an inpainting checkpoint must not see."""
        if self.mask is None:
            return np.ones((self.image.height, self.image.width), dtype=np.float32)
        values = np.asarray(self.mask, dtype=np.float32) / 255
        return np.around(values) if self.rounded else values

    def paste(self, result: Image.Image) -> Image.Image:
        """The final picture: colours corrected if asked for, back at its place, every pixel outside the mask as it was."""
        if self._colours is not None:
            result = corrected(result, self._colours)
        if self._original is None or self._overlay is None:
            return result
        return self._overlaid(result.convert("RGB"), self._original, self._overlay)

    def _overlaid(self, result: Image.Image, original: Image.Image, overlay: Image.Image) -> Image.Image:
        if self._region is None:
            placed = resized(result, *original.size)
        else:
            placed = original.copy()
            placed.paste(resized(result, *self._region.size, mode=CROP), (self._region.left, self._region.top))
        if self._soft:
            overlay = adaptive_overlay(original, placed, overlay)
        return Image.composite(placed, original, overlay)


def prepared(request: EditRequest, picture: Image.Image, mask: Image.Image | None = None) -> Prepared:
    """The picture at the size to work at. A blank mask is none, with a note. Same request, same pixels."""
    source = flattened(picture, request.background)
    sharp = request.mask_round and not request.soft_inpainting
    mask = None if mask is None else _read(request, mask, source.size, sharp)
    sides = Sides(**dict(zip(("left", "up", "right", "down"), request.outpaint, strict=True)))
    if sides:
        overlap = masks.blur_reach(max(request.mask_blur_x, request.mask_blur_y))  # the new ground stays wholly white
        mask = extended_mask(mask, source.size, sides, overlap)
        source = extended(source, sides, request.seed)
    ready = _masked(request, source, mask)
    ready = replace(ready, rounded=sharp, _soft=request.soft_inpainting)
    return replace(ready, _colours=ready.image) if request.color_correction else ready


def _read(request: EditRequest, mask: Image.Image, size: tuple[int, int], sharp: bool) -> Image.Image:
    """The mask at the picture's size, white where it is to be painted anew."""
    values = masks.read(ImageOps.exif_transpose(mask), sharp=sharp)
    if values.size != size:
        values = values.resize(size, Image.Resampling.BILINEAR)
    return ImageOps.invert(values) if request.mask_mode == MASK_MODES[1] else values


def _masked(request: EditRequest, source: Image.Image, mask: Image.Image | None) -> Prepared:
    """A mask that its own blur washes away is used sharp: it must not become a blank one."""
    if mask is None:
        return _without_mask(request, source)
    if mask.getbbox() is None:
        return replace(_without_mask(request, source), note=BLANK)
    soft = masks.blurred(mask, request.mask_blur_x, request.mask_blur_y)
    if soft.getbbox() is None:
        return replace(_placed(request, source, mask), note=TOO_SMALL)
    return _placed(request, source, soft)


def _placed(request: EditRequest, source: Image.Image, mask: Image.Image) -> Prepared:
    region = masks.region_of(mask, request.inpaint_padding)
    assert region is not None
    if request.inpaint_area == AREAS[1]:
        return _only_masked(request, source, mask, region)
    return _whole(request, source, mask)


def _without_mask(request: EditRequest, source: Image.Image) -> Prepared:
    image = resized(source, request.width, request.height, request.resize_mode)
    return Prepared(image=image, small=_small(request, source))


def _whole(request: EditRequest, source: Image.Image, mask: Image.Image) -> Prepared:
    """Both brought to the size to work at; what comes back covers a little more than the mask, up to its blur's middle."""
    original = resized(source, request.width, request.height, request.resize_mode)
    mask_there = resized(mask, request.width, request.height, request.resize_mode)
    return Prepared(
        image=_content(request, original, mask_there),
        mask=mask_there,
        small=_small(request, source, mask),
        _original=original,
        _overlay=masks.doubled(mask_there),
    )


def _only_masked(request: EditRequest, source: Image.Image, mask: Image.Image, region: Region) -> Prepared:
    """The masked place and its surroundings, enlarged to the size to work at; everything else stays as large as it is."""
    region = masks.widened(region, (request.width, request.height), source.size)
    part = resized(source.crop(region.box), request.width, request.height, FILL)
    mask_there = resized(mask.crop(region.box), request.width, request.height, FILL)
    return Prepared(
        image=_content(request, part, mask_there), mask=mask_there, _original=source, _overlay=mask, _region=region
    )


def _content(request: EditRequest, image: Image.Image, mask: Image.Image) -> Image.Image:
    """What the masked place holds before it is painted; for latent noise and latent nothing the engine does the rest."""
    return image if request.masked_content == FILLS[1] else masks.filled(image, mask)


def _small(request: EditRequest, source: Image.Image, mask: Image.Image | None = None) -> Image.Image | None:
    if request.resize_mode != LATENT or source.width * source.height > LARGEST_SMALL:
        return None
    if mask is not None:
        source = _content(request, source, mask)
    return resized(source, *multiples(source.size), mode=STRETCH)
