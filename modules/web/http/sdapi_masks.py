"""The masks that clients of the field's API may want back: `return_mask` and `return_mask_composite`."""

from PIL import Image, ImageOps

from modules.core.requests import AREAS, MASK_MODES, EditRequest
from modules.imaging import mask as masks
from modules.imaging.metadata import open_picture
from modules.imaging.outpaint import Sides, extended_mask
from modules.imaging.resize import STRETCH, resized
from modules.services.studio import Studio


def masks_of(studio: Studio, request: EditRequest, result: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The mask as it was used, and the result cut out along it, both at the result's size."""
    source = open_picture(studio.inputs.get(request.init_images[0]))
    brought = open_picture(studio.inputs.get(request.mask))
    mask = masks.read(brought, sharp=request.mask_round and not request.soft_inpainting)
    mask = mask if mask.size == source.size else mask.resize(source.size, Image.Resampling.BILINEAR)
    mask = ImageOps.invert(mask) if request.mask_mode == MASK_MODES[1] else mask
    sides = Sides(**dict(zip(("left", "up", "right", "down"), request.outpaint, strict=True)))
    if sides:
        mask = extended_mask(mask, source.size, sides, masks.blur_reach(max(request.mask_blur_x, request.mask_blur_y)))
    mask = masks.blurred(mask, request.mask_blur_x, request.mask_blur_y)
    mode = STRETCH if request.inpaint_area == AREAS[1] else request.resize_mode
    mask = resized(mask, *result.size, mode=mode)
    cut_out = result.convert("RGBA")
    cut_out.putalpha(mask)
    return mask.convert("RGB"), cut_out
