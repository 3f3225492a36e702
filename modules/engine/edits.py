"""What is special about pictures from pictures: their latents to start from, masks, and what inpainting models see."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from modules.core.requests import EditRequest
from modules.diffusion.noise import Noise
from modules.engine.decode import encode, pixels_of
from modules.engine.job import JobContext
from modules.families.built import Built
from modules.imaging.edit import Prepared, prepared
from modules.imaging.metadata import open_picture


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the pictures of an edit are drawn on: one `Prepared` for all, or one for each of a batch."""

    pictures: tuple[Prepared, ...]

    def of(self, place: int) -> Prepared:
        """For the picture at this place of its batch."""
        return self.pictures[place % len(self.pictures)]

    @property
    def masked(self) -> bool:
        """Whether only a part is painted anew."""
        return any(one.mask is not None for one in self.pictures)


def ground_of(request: EditRequest, context: JobContext) -> Ground:
    """The pictures of a request, opened and made ready. Raises InvalidImage."""
    data = {one.id: one.data for one in context.job.inputs}
    mask = open_picture(data[request.mask]) if request.mask else None
    ready = tuple(prepared(request, open_picture(data[id]), mask) for id in request.init_images)
    context.notes.extend(one.note for one in ready if one.note)
    return Ground(pictures=ready)


def start_latents(
    ground: Ground, places: Sequence[int], built: Built, shape: tuple[int, int, int], notes: list[str]
) -> Tensor:
    """The latents (b, c, h, w) of the pictures to start from, float32, on the model's device."""
    return torch.cat([_latents(ground.of(place), built, shape, notes) for place in places]).to(built.device)


def _latents(one: Prepared, built: Built, shape: tuple[int, int, int], notes: list[str]) -> Tensor:
    if one.small is None:
        return encode(built, pixels_of(one.image), notes)
    small = encode(built, pixels_of(one.small), notes)
    return interpolate(small, size=shape[1:], mode="bilinear", antialias=False)


def latent_mask(ground: Ground, places: Sequence[int], built: Built, shape: tuple[int, int, int]) -> Tensor:
    """(b, 1, h, w), 1 where it is painted anew."""
    masks = [torch.from_numpy(ground.of(place).latent_mask(shape[1], shape[2])) for place in places]
    return torch.stack(masks).unsqueeze(1).to(built.device)


def with_content(request: EditRequest, start: Tensor, mask: Tensor | None, noise: Noise) -> Tensor:
    """The latents to start from with what the masked place is filled with; the rest was done on the picture."""
    if mask is None or request.masked_content in ("fill", "original"):
        return start
    kept = start * (1 - mask)
    return kept + noise() * mask if request.masked_content == "latent noise" else kept


# What goes into a network beside the latents -----------------------------------------------------------------------------


def seen_by_inpainting(
    built: Built,
    ground: Ground | None,
    places: Sequence[int],
    shape: tuple[int, int, int],
    weight: float,
    notes: list[str],
) -> Tensor:
    """Mask and hidden picture (b, 1 + c, h, w) for a checkpoint with 9 channels; without a picture all is hidden."""
    size = (shape[1] * built.downscale, shape[2] * built.downscale)
    parts: list[Tensor] = []
    for place in places:
        one = ground.of(place) if ground else None
        if one is None:
            mask, pixels = torch.ones(1, 1, *size), torch.zeros(1, 3, *size)
        else:
            mask = torch.from_numpy(one.pixel_mask())[None, None]
            pixels = pixels_of(one.image) * (1 - mask * weight)
        small = interpolate(mask, size=shape[1:], mode="nearest").to(built.device)
        parts.append(torch.cat([small, encode(built, pixels, notes).to(built.device)], dim=1))
    return torch.cat(parts)


def seen_by_editing(built: Built, ground: Ground | None, places: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """The picture's unscaled latents (b, c, h, w) for a checkpoint with 8 channels; without a picture zeros."""
    if ground is None:
        return torch.zeros(len(places), *shape, device=built.device)
    parts = [built.edit_latents(pixels_of(ground.of(place).image)) for place in places]
    return torch.cat(parts).to(built.device)
