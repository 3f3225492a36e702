"""InterrogateRequest to words: by CLIP, which ranks the words its world knows, or by a network that writes a sentence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import InvalidImage, InvalidModelFile, NotFound, UnknownName
from modules.core.flags import ROOT
from modules.core.named import closest
from modules.core.requests import InterrogateRequest
from modules.core.tensorfile import read_header
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.families.captioner import Captioner, is_captioner, load_captioner
from modules.families.clip_vision import CLIPModel, fits, image_features, load_clip, text_features
from modules.families.judge import BACKGROUND
from modules.imaging.flatten import flattened
from modules.imaging.metadata import open_picture
from modules.imaging.resize import CROP, resized
from modules.prompts.tokens import Tokenizer

KINDS = ("clip", "caption")
COLOURED = ("hat", "scarf", "bow")  # what is worn in a colour of its own
AT_ONCE = 128  # captions
READING = "Reading the picture"
KEPT = "interrogate"  # key of what is kept with a model
NOTHING = (
    "There is nothing here that can describe a picture with this model: choose the starter model, whose own words are "
    "ranked, or put a BLIP captioner in the form of transformers (config.json, model.safetensors, tokenizer) into "
    "models/BLIP."
)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a picture of a world can show, by slot; of what is worn "" is nothing."""

    subjects: tuple[str, ...]
    colours: tuple[str, ...]
    places: tuple[str, ...]
    wear: tuple[str, ...]

    def scenes(self) -> list[str]:
        """Captions of everything but what is worn, as `scene` writes them."""
        return [scene(s, c, p) for s in self.subjects for c in self.colours for p in self.places]

    def dressed(self) -> dict[str, list[str]]:
        """By what is worn, every way to say so; "" for nothing."""
        coloured = {one: [f"{c} {one}" for c in self.colours] if one in COLOURED else [one] for one in self.wear if one}
        return {"": [""]} | {one: [f"wearing {article(words)}" for words in ways] for one, ways in coloured.items()}


@torch.inference_mode()
def run(request: InterrogateRequest, context: JobContext) -> None:
    """Put one text into `context.result`.

    Raises NotFound when nothing here can describe it, InvalidImage, UnknownName, InvalidModelFile, Cancelled.
    """
    if request.interrogator not in KINDS:
        raise UnknownName("interrogator", request.interrogator, closest(request.interrogator, KINDS))
    context.report(step=0, steps=1, doing=READING)
    picture = flattened(open_picture(_content(request, context)))
    text = _ranked(picture, context) if request.interrogator == "clip" else None
    context.check()
    context.result.append(_captioned(picture, context) if text is None else text)


def article(words: str) -> str:
    """
    >>> article("orange cat"), article("red hat")
    ('an orange cat', 'a red hat')
    """
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def scene(subject: str, colour: str, place: str) -> str:
    """
    >>> scene("cat", "red", "in space")
    'a red cat {} in space'
    """
    return f"{article(f'{colour} {subject}')} {{}} {place}"


def _content(request: InterrogateRequest, context: JobContext) -> bytes:
    found = next((one.data for one in context.job.inputs if one.id == request.picture), None)
    if found is None:
        raise InvalidImage("The picture to describe did not come along; send it again.")
    return found


# CLIP -------------------------------------------------------------------------------------------------------------------


def _ranked(picture: Image.Image, context: JobContext) -> str | None:
    """The best caption; None when the model's CLIP has no picture half here."""
    half = beside(context, "clip_vision.safetensors")
    judge = beside(context, "judge.safetensors")
    if half is None or judge is None or not context.job.models:
        return None
    loaded = context.models.get(context.job.models[0])
    return best_caption(picture, loaded, half, words_of(judge)) if fits(half, loaded.built.text_encoder) else None


def best_caption(picture: Image.Image, loaded: Loaded, half: Path, words: Words) -> str:
    """First subject, colour and place by the best caption of the three, then what is worn with them.

    A hat comes in many colours: its captions count together as one, else the best of many would win by their number.
    """
    model, read_scenes = _remembered(loaded, half, words)
    side = model.config.vision_config.image_size
    pixels = torch.from_numpy(np.array(resized(picture, side, side, CROP))).permute(2, 0, 1)[None].float()
    seen = image_features(model, pixels / 127.5 - 1)[0]
    found = words.scenes()[int((read_scenes @ seen).argmax())]
    ways = words.dressed()
    sharpness = model.logit_scale.exp()
    scores = {
        one: sharpness * (_read(model, [_said(found, way) for way in said], loaded.tokenizer) @ seen)
        for one, said in ways.items()
    }
    best = max(ways, key=lambda one: float(scores[one].exp().mean()))
    return _said(found, ways[best][int(scores[best].argmax())])


def _remembered(loaded: Loaded, half: Path, words: Words) -> tuple[CLIPModel, Tensor]:
    """CLIP, and what it makes of every scene's caption, (n, d): worked out once for a model in memory."""

    def work() -> tuple[CLIPModel, Tensor]:
        model = load_clip(half, loaded.built.text_encoder)
        return model, _read(model, [_said(one, "") for one in words.scenes()], loaded.tokenizer)

    return loaded.remembered((KEPT, str(half)), work)


def _read(model: CLIPModel, captions: Sequence[str], tokenizer: Tokenizer) -> Tensor:
    """Unit vectors, (b, d), of captions."""
    parts = [captions[n : n + AT_ONCE] for n in range(0, len(captions), AT_ONCE)]
    return torch.cat([text_features(model, ids_of(part, tokenizer)) for part in parts])


def words_of(judge: Path) -> Words:
    """The vocabulary that the starter's judge names in its file. Raises InvalidModelFile."""
    try:
        slots: Mapping[str, list[str]] = json.loads(read_header(judge).metadata["atelier.slots"])
        plain = [f"on {article(f'{colour} background')}" for colour in slots["colour"]]
        places = [plain if place == BACKGROUND else [place] for place in slots["place"]]
        return Words(
            subjects=tuple(slots["subject"]),
            colours=tuple(slots["colour"]),
            places=tuple(chain.from_iterable(places)),
            wear=tuple(slots["wear"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidModelFile(f"{judge.name} does not say which words there are.") from error


def _said(found: str, way: str) -> str:
    return " ".join(found.format(way).split())


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
