"""The pictures of docs/starter.md: what is drawn beside what the model makes of the same words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from modules.families.built import Built
from modules.starter.autoencoder import restore
from modules.starter.drawing import Recipe, generate, sheet
from modules.starter.evaluate import DEMO
from modules.starter.world import Spec, draw, full_caption

SHOWN = (
    DEMO,
    Spec(subject="dog", colour="white", place="on the beach", wear="hat", wear_colour="red"),
    Spec(subject="bird", colour="yellow", place="on the grass"),
    Spec(subject="fish", colour="orange", place="in the ocean"),
    Spec(subject="robot", colour="green", place="in the city"),
    Spec(subject="car", colour="blue", place="in the snow"),
    Spec(subject="rabbit", colour="pink", place="in a sunflower field", wear="crown"),
    Spec(subject="teapot", colour="purple", place="on a table", pattern="spotted"),
    Spec(subject="bear", colour="brown", place="in the jungle", style="painting"),
    Spec(subject="house", colour="grey", place="in the mountains", style="cinematic lighting"),
)
ASTRONAUTS = ("astronaut cat", "realistic astronaut cat", "realistic cute astronaut cat")
ASTRONAUT_SEED, ASTRONAUT_SCALE = 61, 15.0  # of the survey's authors
SAID = ("a {} cat in the snow", "a {} dog on the grass")
WORDS = ("", "cute", "realistic", "happy", "sad", "striped", "spotted", "checkered")
STYLES = (
    "{}",
    "a painting of {}",
    "a sketch of {}",
    "an illustration of {}",
    "{}, pixel art",
    "{}, cinematic lighting",
)
NEW = 555_000  # seeds of pictures that no training has seen


def write_samples(model: Built, recipe: Recipe, path: Path) -> None:
    """First row: drawn by the world. Below: generated from the same words, two seeds."""
    prompts = [full_caption(spec) for spec in SHOWN]
    drawn = np.stack([np.asarray(draw(spec, n, recipe.size)[0]) for n, spec in enumerate(SHOWN)])
    rows = [generate(model, prompts, [seed] * len(prompts), recipe) for seed in (1, 2)]
    _save(sheet([drawn, *rows]), path)


def write_restored(model: Built, recipe: Recipe, path: Path) -> None:
    """Upper row: drawn. Lower row: the same through the autoencoder, enlarged twice to see what is lost."""
    drawn = np.stack([np.asarray(draw(spec, NEW + n, recipe.size)[0]) for n, spec in enumerate(SHOWN[:8])])
    _save(sheet([drawn, restore(model.vae, drawn)], 2), path)


def write_words(model: Built, recipe: Recipe, path: Path) -> None:
    """One seed, one prompt, one word changed: adjectives and patterns, then styles, for two prompts each."""
    rows = []
    for said in SAID:
        plain = said.format("red")
        words = [said.format(f"{word} red".strip()) for word in WORDS]
        rows.append(generate(model, words, [3] * len(words), recipe))
        styles = [style.format(plain) for style in STYLES]
        rows.append(generate(model, styles, [3] * len(styles), recipe))
    _save(sheet(rows), path)


def write_astronauts(model: Built, recipe: Recipe, path: Path) -> None:
    """The three prompts of the survey's authors with their seed and scale, enlarged."""
    loud = replace(recipe, scale=ASTRONAUT_SCALE)
    _save(sheet([generate(model, ASTRONAUTS, [ASTRONAUT_SEED] * len(ASTRONAUTS), loud)], 2), path)


def write_preview(model: Built, recipe: Recipe, path: Path) -> None:
    """What the page shows of the model before it is loaded: the demo prompt, with the page's usual scale."""
    Image.fromarray(generate(model, [full_caption(DEMO)], [1], replace(recipe, scale=7.0))[0]).save(path)


def write_sheets(model: Built, recipe: Recipe, folder: Path) -> None:
    """All of them, as `starter-*.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_samples(model, recipe, folder / "starter-samples.png")
    write_restored(model, recipe, folder / "starter-restored.png")
    write_words(model, recipe, folder / "starter-words.png")
    write_astronauts(model, recipe, folder / "starter-astronauts.png")


def _save(page: Image.Image, path: Path) -> None:
    page.save(path, optimize=True)
