"""Captions of a plan: whose they are, and how a word is put into them."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from modules.core.training import TrainingPlan
from modules.services.training.defaults import INVERSION, holds

NUMBERED = re.compile(r"[\s_-]*\(?\d+\)?$")
CAMERA = re.compile(
    r"(img|dsc|dscn|dscf|pict?|image|photo|screenshot|untitled|scan|wp|pxl|mvimg|received)?[\W\d_]*", re.I
)


def own_captions(plan: TrainingPlan) -> list[str]:
    """Those that are not the instance prompt."""
    return [one for one in plan.captions if one.strip()]


def caption_of_name(name: str) -> str:
    """What a file's name says that it shows; "" for a camera's numbers.

    >>> caption_of_name("a_photo_of_sks_cat (3).png"), caption_of_name("IMG_2041.jpg"), caption_of_name("0001.png")
    ('a photo of sks cat', '', '')
    """
    stem = PurePosixPath(name.replace("\\", "/")).stem
    if CAMERA.fullmatch(stem):
        return ""
    text = NUMBERED.sub("", stem).replace("_", " ")
    return " ".join(text.split()) if re.search(r"[^\W\d_]{2,}", text) else ""


def source_of(plan: TrainingPlan, number: int) -> str:
    """Where a picture's caption comes from: own, filename, or none: then it is the instance prompt."""
    caption = plan.captions[number].strip() if number < len(plan.captions) else ""
    name = plan.names[number] if number < len(plan.names) else ""
    if not caption:
        return "none"
    return "filename" if caption == caption_of_name(name) else "caption"


def subject_words(plan: TrainingPlan) -> str:
    """The subject as captions call it: identifier and class noun, or an embedding's name."""
    return plan.name if plan.method == INVERSION else f"{plan.identifier} {plan.class_noun}".strip()


def captions_with(captions: Sequence[str], word: str, words: str) -> list[str]:
    """The captions, `words` put before those that do not hold `word`; empty ones stay empty.

    >>> captions_with(["on grass", "sks cat", ""], "sks", "sks cat")
    ['sks cat, on grass', 'sks cat', '']
    """
    return [f"{words}, {one.strip()}" if one.strip() and not holds(one, word) else one for one in captions]


def with_identifier(text: str, old: str, new: str) -> str:
    """A text with another identifier.

    >>> with_identifier("a photo of Blue cat, bluest", "blue", "sks")
    'a photo of sks cat, bluest'
    """
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, text, flags=re.IGNORECASE)
