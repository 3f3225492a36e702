"""What is said of the training pictures, as token ids made beforehand: a training step has no time to write captions."""

import logging
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from modules.families.built import TOKENIZER
from modules.starter.captions import caption
from modules.starter.clip import tokens_of
from modules.starter.loop import save_atomically
from modules.starter.pictures import CHUNK, Gallery

log = logging.getLogger(__name__)


def open_texts(gallery: Gallery, variants: int, folder: Path, workers: int) -> Tensor:
    """Ids of `variants` captions of every picture, written now unless they are on disk, (count, variants, 77)."""
    path = folder / f"texts-{gallery.count}-{variants}-{gallery.seed}.pt"
    if not path.exists():
        log.info("texts: %d captions of each of %d pictures", variants, gallery.count)
        starts = range(0, gallery.count, CHUNK)
        with ProcessPoolExecutor(workers) as pool:
            found = list(pool.map(_write_chunk, [gallery] * len(starts), [variants] * len(starts), starts))
        save_atomically({"texts": torch.cat(found)}, path)
    return torch.load(path, weights_only=True)["texts"]


def captions_of(gallery: Gallery, number: int, variants: int) -> list[str]:
    """Different ways to say what a picture shows, always the same ones."""
    spec = gallery.spec(number)
    return [caption(spec, Random(f"caption {number} {n}")) for n in range(variants)]


def _write_chunk(gallery: Gallery, variants: int, first: int) -> Tensor:
    numbers = range(first, min(first + CHUNK, gallery.count))
    texts = [text for number in numbers for text in captions_of(gallery, number, variants)]
    return tokens_of(_tokenizer(), texts).to(torch.int32).view(len(numbers), variants, -1)


@cache
def _tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(TOKENIZER)
