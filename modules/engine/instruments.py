"""What can look at a model's pictures here: CLIP, the judge and the probe of the starter's world, Inception."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from modules.core.errors import InvalidModelFile, NotFound
from modules.engine.interrogate import beside, ids_of
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.families.clip_folder import is_clip, load_clip_folder
from modules.families.clip_vision import fits, image_features, load_clip, text_features
from modules.families.judge import BACKGROUND, SIDE, IdentityProbe, Judge, load_identity, load_judge
from modules.training.evidence import Deep, Eye, Instruments
from modules.training.inception import inception_file, load_inception
from modules.training.packs import Words

Network = TypeVar("Network")
VISION, JUDGE, PROBE = "clip_vision.safetensors", "judge.safetensors", "identity.safetensors"
CLIP, INCEPTION = "CLIP", "inception"  # folders below models/
AT_ONCE = 64  # pictures
NO_CLIP = (
    "Nothing here can look at this model's pictures, so nothing was measured: put a CLIP in the form of transformers "
    "(config.json, model.safetensors, the tokenizer's files) into models/CLIP."
)


def instruments_for(base: Loaded, training: Tensor, context: JobContext) -> Instruments:
    """All there are for a base model. training: the pictures that were learned from, (n, 3, h, w) of -1 to 1.

    Raises NotFound when there is no CLIP, InvalidModelFile for one that is broken.
    """
    half = beside(context, VISION)
    deep = _deep(context)
    if half is not None and fits(half, base.built.text_encoder):
        return _of_the_starter(base, half, training, context, deep)
    folder = context.checkpoints.parent / CLIP
    if not is_clip(folder):
        raise NotFound(NO_CLIP)
    towers = load_clip_folder(folder)
    return Instruments(
        extractor=towers.name, image=towers.image, text=towers.text, sharpness=towers.sharpness, deep=deep
    )


def sized(images: Tensor, side: int) -> Tensor:
    """(n, 3, h, w) to (n, 3, side, side)."""
    if images.shape[-2:] == (side, side):
        return images
    return interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)


def _of_the_starter(base: Loaded, half: Path, training: Tensor, context: JobContext, deep: Deep | None) -> Instruments:
    """CLIP of the starter's two halves, and whatever of judge and probe is beside it."""
    model = load_clip(half, base.built.text_encoder)
    vision: Any = model.config.vision_config
    side, tokenizer = int(vision.image_size), base.tokenizer  # not `base` itself, which must be free to go

    def image(images: Tensor) -> Tensor:
        return torch.cat([image_features(model, sized(part, side)) for part in images.split(AT_ONCE)])

    def text(captions: Sequence[str]) -> Tensor:
        return text_features(model, ids_of(captions, tokenizer))

    judge = _unless_broken(load_judge, beside(context, JUDGE), context)
    probe = _unless_broken(load_identity, beside(context, PROBE), context)
    return Instruments(
        extractor="the starter's CLIP image tower",
        image=image,
        text=text,
        sharpness=float(model.logit_scale.exp()),
        read=partial(_read, judge) if judge else None,
        words=_words(judge) if judge else Words(),
        identity=_identity(probe, training) if probe else None,
        deep=deep,
    )


def _read(judge: Judge, images: Tensor) -> Mapping[str, Sequence[str]]:
    return judge.read(sized(images, SIDE))


def _words(judge: Judge) -> Words:
    slots = judge.slots
    return Words(
        subjects=tuple(slots["subject"]),
        colours=tuple(slots["colour"]),
        places=tuple(place for place in slots["place"] if place != BACKGROUND),
        wear=tuple(one for one in slots["wear"] if one),
    )


@torch.no_grad()
def _identity(probe: IdentityProbe, training: Tensor) -> Eye | None:
    """How surely pictures show the marks that the training pictures share; None when those have none it knows."""
    signature = probe.signature(sized(training, SIDE))
    if signature is None:
        return None
    return lambda images: probe.score(sized(images, SIDE), signature)


def _deep(context: JobContext) -> Deep | None:
    path = inception_file(context.checkpoints.parent / INCEPTION)
    return _unless_broken(load_inception, path, context)


def _unless_broken(load: Callable[[Path], Network], path: Path | None, context: JobContext) -> Network | None:
    """What a file holds. One that is broken costs itself, with a remark: the other figures are worth having."""
    if path is None:
        return None
    try:
        return load(path)
    except InvalidModelFile as error:
        context.notes.append(f"{error} What it would have measured is left out or measured by CLIP.")
        return None
