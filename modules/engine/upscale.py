"""UpscaleRequest to larger pictures: one or two upscalers, by a factor or to a size; what the picture said stays in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from modules.core.errors import InvalidRequest, Problem, Skipped
from modules.core.events import ImageReady
from modules.core.extension_points import Upscaler
from modules.core.requests import MOST_PIXELS, UpscaleRequest
from modules.engine.job import JobContext
from modules.engine.upscalers import find_upscaler
from modules.imaging.flatten import flattened, transparent
from modules.imaging.metadata import KEYWORD, open_picture, png_bytes, read_text
from modules.imaging.resize import CROP, resized
from modules.prompts.infotext import parse_infotext, quoted

POSTPROCESSING = "postprocessing"  # the text chunk that says what was done
ENLARGING = "Enlarging"
KEPT_TEXTS = 20  # other texts of the source


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a picture becomes: `scale` of the enlargement, `size` (width, height), `cut` out of its middle if need be."""

    scale: float
    size: tuple[int, int]
    cut: bool = False


def run(request: UpscaleRequest, context: JobContext) -> None:
    """Enlarge and deliver the pictures of a request, except those that an earlier attempt delivered.

    Raises Cancelled within one tile, UnknownName, InvalidModelFile, InvalidImage, InvalidRequest, NotFinite.
    """
    context.check()
    contents = {one.id: one.data for one in context.job.inputs}
    for index, id in enumerate(request.pictures):
        if index in context.have:
            continue
        try:
            context.check()
            _deliver(request, context, index, contents[id])
        except Skipped:
            context.notes.append(f"Picture {index + 1} was skipped.")


def target(request: UpscaleRequest, size: tuple[int, int]) -> Target:
    """The size a picture of (width, height) is to have. Raises InvalidRequest when it is too large."""
    wanted = (request.upscale_w, request.upscale_h)
    factors = [asked / side for asked, side in zip(wanted, size, strict=True)]
    scale = max(factors) if request.by_size else request.upscale_by
    whole = tuple(max(1, round(side * scale)) for side in size)
    cut = request.by_size and request.crop
    if whole[0] * whole[1] > MOST_PIXELS:
        message = f"{size[0]}x{size[1]} would become {whole[0]}x{whole[1]}; at most {MOST_PIXELS:,} pixels are made."
        raise InvalidRequest(Problem(field="upscale_by", message=message))
    return Target(scale=scale, size=wanted if cut else (whole[0], whole[1]), cut=cut)


def postprocessing(request: UpscaleRequest, first: Upscaler, second: Upscaler | None) -> str:
    """What was done to a picture, as the field writes it; "" when nothing was."""
    pairs: dict[str, object] = {}
    if request.by_size:
        pairs["Postprocess upscale to"] = f"{request.upscale_w}x{request.upscale_h}"
    else:
        pairs["Postprocess upscale by"] = f"{request.upscale_by:g}"
    pairs["Postprocess upscaler"] = first.name
    if second is not None:
        pairs["Postprocess upscaler 2"] = second.name
        pairs["Postprocess upscaler 2 visibility"] = f"{request.upscaler_2_visibility:g}"
    if request.by_size and request.crop:
        pairs["Postprocess crop to"] = f"{request.upscale_w}x{request.upscale_h}"
    return ", ".join(f"{key}: {quoted(value)}" for key, value in pairs.items())


def _deliver(request: UpscaleRequest, context: JobContext, index: int, content: bytes) -> None:
    progress = _Progress(context, index, request.images)
    progress.parts(0, 1)
    picture = open_picture(content)
    first, second = (_upscaler(name, request, context, progress) for name in _names(request))
    done = ""
    if first is not None:
        done = postprocessing(request, first, second)
        picture = _enlarged(picture, target(request, picture.size), first, second, request.upscaler_2_visibility)
    context.check()
    context.send(_ready(context, index, picture, content, done))


def _names(request: UpscaleRequest) -> tuple[str, str]:
    """Of the first and the second upscaler; a second one that is not seen is none."""
    return request.upscaler_1, request.upscaler_2 if request.upscaler_2_visibility > 0 else ""


def _upscaler(name: str, request: UpscaleRequest, context: JobContext, progress: "_Progress") -> Upscaler | None:
    found = find_upscaler(name, context, progress.parts, tile=request.tile, overlap=request.tile_overlap)
    return None if found.name == "None" else found


def _enlarged(
    picture: Image.Image, goal: Target, first: Upscaler, second: Upscaler | None, visibility: float
) -> Image.Image:
    opaque = flattened(picture) if not transparent(picture) else picture.convert("RGBA").convert("RGB")
    result = _to_size(first.run(opaque, goal.scale), goal)
    if second is not None:
        result = Image.blend(result, _to_size(second.run(opaque, goal.scale), goal), visibility)
    if transparent(picture):
        result.putalpha(_to_size(picture.convert("RGBA").getchannel("A"), goal))
    return result


def _to_size(image: Image.Image, goal: Target) -> Image.Image:
    return resized(image, *goal.size, mode=CROP) if goal.cut else resized(image, *goal.size)


def _ready(context: JobContext, index: int, picture: Image.Image, content: bytes, done: str) -> ImageReady:
    """The picture with all that its source said of itself, and what has been done now."""
    text = read_text(content)
    others = {key: value for key, value in list(text.items.items())[:KEPT_TEXTS] if value != text.infotext}
    said = parse_infotext(text.infotext)
    texts: Mapping[str, str] = {**others, POSTPROCESSING: done} if done else others
    return ImageReady(
        job=context.job.job,
        index=index,
        png=png_bytes(picture, text.infotext, others={k: v for k, v in texts.items() if k != KEYWORD}),
        infotext=text.infotext,
        seed=_seed(str(said.get("Seed", ""))),
        width=picture.width,
        height=picture.height,
        prompt=str(said.get("Prompt", "")),
        negative_prompt=str(said.get("Negative prompt", "")),
    )


def _seed(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0


class _Progress:
    """Says how far one picture of a job is, and asks whether to go on."""

    def __init__(self, context: JobContext, index: int, count: int) -> None:
        self._context, self._place = context, {"batch": index, "batches": count}

    def parts(self, done: int, of: int) -> None:
        """`done` tiles `of` so many; a second upscaler or pass begins from 0 again."""
        self._context.report(step=done, steps=of, doing=ENLARGING, **self._place)
        self._context.check()
