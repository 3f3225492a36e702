"""The subject to try training with: four pictures of one cat whose marks the starter has never seen."""

import json
from dataclasses import replace
from pathlib import Path

from PIL import Image

from modules.starter.world import Spec, draw

SUBJECT = Spec(subject="cat", colour="orange", place="", identity=3)
# Place, seed, and whether the caption names the place: half of them do, so that the subject is learned both with and
# without a place to be in. If all did, "a photo of sks cat" would mean nothing; if none did, no place would be obeyed.
SCENES = (
    ("on the grass", 100, False),
    ("on the beach", 101, True),
    ("in the city", 103, False),
    ("in the ocean", 104, True),
)
IDENTIFIER = "sks"
SIZE = 256


def example_pictures(size: int = SIZE) -> list[tuple[Image.Image, str]]:
    """The pictures, size x size, and what is said of each. The cat looks the same way in all of them."""
    found: list[tuple[Image.Image, str]] = []
    for place, seed, is_named in SCENES:
        caption = f"a photo of {IDENTIFIER} {SUBJECT.subject}"
        found.append(
            (draw(replace(SUBJECT, place=place), seed, size)[0], f"{caption} {place}" if is_named else caption)
        )
    return found


def write_example(folder: Path) -> None:
    """The pictures as PNG, and `example.json`, which says what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: list[dict[str, str]] = []
    for number, (image, caption) in enumerate(example_pictures(), start=1):
        name = f"{SUBJECT.subject}-{number}.png"
        image.save(folder / name, optimize=True)
        pictures.append({"file": name, "caption": caption})
    about = {"class_noun": SUBJECT.subject, "identifier": IDENTIFIER, "pictures": pictures}
    (folder / "example.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
