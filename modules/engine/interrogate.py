"""InterrogateRequest to words: the starter's judge reads pictures of its world, a captioner writes sentences of any."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import InvalidImage, NotFound, UnknownName
from modules.core.flags import ROOT
from modules.core.named import closest
from modules.core.requests import InterrogateRequest
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.families.captioner import Captioner, is_captioner, load_captioner
from modules.families.clip_vision import fits, image_features, load_clip, text_features
from modules.families.judge import BACKGROUND, SIDE, load_judge
from modules.imaging.flatten import flattened
from modules.imaging.metadata import open_picture
from modules.imaging.resize import CROP, resized
from modules.prompts.tokens import Tokenizer
from modules.prompts.wording import COLOURED_WEAR, USUAL_STYLE, in_style, wearing, with_article

KINDS = ("clip", "caption")
COLOURLESS = "sketch"  # a style
PLAIN = "plain"  # the pattern that a caption does not name
READING = "Reading the picture"
KEPT = "interrogate"  # key of what is kept with a model
NOTHING = (
    "There is nothing here that can describe a picture with this model: choose the starter model, whose own words are "
    "read, or put a BLIP captioner in the form of transformers (config.json, model.safetensors, tokenizer) into "
    "models/BLIP."
)


@torch.inference_mode()
def run(request: InterrogateRequest, context: JobContext) -> None:
    """Put one text into `context.result`.

    Raises NotFound when nothing here can describe it, InvalidImage, UnknownName, InvalidModelFile, Cancelled.
    """
    if request.interrogator not in KINDS:
        raise UnknownName("interrogator", request.interrogator, closest(request.interrogator, KINDS))
    context.report(step=0, steps=1, doing=READING)
    picture = flattened(open_picture(_content(request, context)))
    text = _read(picture, context) if request.interrogator == "clip" else None
    context.check()
    context.result.append(_captioned(picture, context) if text is None else text)


def caption_of(read: Mapping[str, str]) -> str:
    """What was read of each slot, in words; a sketch has no colours.

    >>> cat = {"subject": "cat", "colour": "red", "place": "in space", "wear": "hat", "wear_colour": "blue"}
    >>> caption_of(cat), caption_of(cat | {"wear": ""})
    ('a red cat wearing a blue hat in space', 'a red cat in space')
    >>> caption_of(cat | {"pattern": "striped", "style": "sketch"}), caption_of(cat | {"wear": "glasses", "style": "pixel art"})
    ('a sketch of a striped cat wearing a hat in space', 'a red cat wearing glasses in space, pixel art')
    """
    style, pattern = read.get("style", USUAL_STYLE), read.get("pattern", PLAIN)
    coloured = style != COLOURLESS
    noun = (pattern if pattern != PLAIN else "", read["colour"] if coloured else "", read["subject"])
    worn = wearing(read["wear"], read["wear_colour"] if coloured and read["wear"] in COLOURED_WEAR else "")
    words = (with_article(" ".join(filter(None, noun))), worn, read["place"])
    return in_style(" ".join(filter(None, words)), style)


def _content(request: InterrogateRequest, context: JobContext) -> bytes:
    found = next((one.data for one in context.job.inputs if one.id == request.picture), None)
    if found is None:
        raise InvalidImage("The picture to describe did not come along; send it again.")
    return found


# The starter ------------------------------------------------------------------------------------------------------------


def _read(picture: Image.Image, context: JobContext) -> str | None:
    """What the starter's judge reads; None for a model that is not the starter: CLIP's picture half is not its own."""
    half = beside(context, "clip_vision.safetensors")
    judge = beside(context, "judge.safetensors")
    if half is None or judge is None or not context.job.models:
        return None
    loaded = context.models.get(context.job.models[0])
    return described(picture, loaded, half, judge) if fits(half, loaded.built.text_encoder) else None


def described(picture: Image.Image, loaded: Loaded, half: Path, judge: Path) -> str:
    """The judge's words. It has one answer for all plain backgrounds; CLIP ranks their colours. Raises InvalidModelFile."""
    network = loaded.remembered((KEPT, str(judge)), lambda: load_judge(judge))
    read = {slot: words[0] for slot, words in network.read(_pixels(picture, SIDE)).items()}
    if read["place"] == BACKGROUND:
        places = [f"on {with_article(f'{colour} background')}" for colour in network.slots["colour"]]
        read["place"] = _likeliest([{**read, "place": place} for place in places], picture, loaded, half)["place"]
    return caption_of(read)


def _likeliest(
    readings: Sequence[Mapping[str, str]], picture: Image.Image, loaded: Loaded, half: Path
) -> Mapping[str, str]:
    """That whose caption CLIP finds nearest to the picture."""
    model = loaded.remembered((KEPT, str(half)), lambda: load_clip(half, loaded.built.text_encoder))
    seen = image_features(model, _pixels(picture, model.config.vision_config.image_size))[0]
    texts = text_features(model, ids_of([caption_of(one) for one in readings], loaded.tokenizer))
    return readings[int((texts @ seen).argmax())]


def _pixels(picture: Image.Image, side: int) -> Tensor:
    """(1, 3, side, side) of -1 to 1."""
    shown = torch.from_numpy(np.array(resized(picture, side, side, CROP))).permute(2, 0, 1)[None].float()
    return shown / 127.5 - 1


def ids_of(captions: Sequence[str], tokenizer: Tokenizer) -> Tensor:
    """(b, t): start, tokens, end; as long as the longest, filled with ends."""
    rows = [[tokenizer.start, *tokenizer.encode(one), tokenizer.end] for one in captions]
    longest = max(map(len, rows))
    return torch.tensor([row + [tokenizer.end] * (longest - len(row)) for row in rows])


def beside(context: JobContext, name: str) -> Path | None:
    """A file of the starter: in the models folder, else in the clone."""
    places = (context.checkpoints.parent / "starter" / name, ROOT / "models" / "starter" / name)
    return next((path for path in places if path.is_file()), None)


# A captioner ------------------------------------------------------------------------------------------------------------


def _captioned(picture: Image.Image, context: JobContext) -> str:
    folder = context.checkpoints.parent / "BLIP"
    if not is_captioner(folder):
        raise NotFound(NOTHING)
    return _captioner(folder, folder.stat().st_mtime_ns, context.models.device)(picture)


@lru_cache(maxsize=1)
def _captioner(folder: Path, modified: int, device: torch.device) -> Captioner:
    return load_captioner(folder, device)
