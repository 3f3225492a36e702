"""Captions of two colours, of which one is weighted: what `starter/emphasis.py` teaches `(red:1.4)` and `[red]` with."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from transformers import CLIPTokenizer

from modules.starter.pictures import Gallery
from modules.starter.spec import is_seen
from modules.starter.words import COLOURS

NONE = -1  # no token has this id
LIGHTEST, HEAVIEST = 0.5, 1.6
STEEPNESS = 4.0  # at weight w the weighted colour has the share 1 / (1 + exp(-4 (w - 1))) of what is asked for
UNWEIGHTED = 0.15  # share of captions with two colours of the same weight


@dataclass(frozen=True, kw_only=True)
class Colours:
    """of: the token id of each picture's colour, (n,), `NONE` where it has none of its own.  all: of every colour, (c,)."""

    of: Tensor
    all: Tensor

    def to(self, device: torch.device) -> "Colours":
        return Colours(of=self.of.to(device), all=self.all.to(device))


def colours_of(gallery: Gallery, count: int, tokenizer: CLIPTokenizer) -> Colours:
    """Of the gallery's first pictures."""
    ids = {word: tokenizer(word).input_ids[1] for word in COLOURS}
    specs = [gallery.spec(n) for n in range(count)]
    own = [ids[spec.colour] if is_seen(spec, "colour") else NONE for spec in specs]
    return Colours(of=torch.tensor(own), all=torch.tensor(list(ids.values())))


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """both: ids of captions that name a second colour beside the picture's own.  weights: of their tokens, one colour's is
    not 1.  other: the captions with the second colour alone. All (b, t).  share: how much of the picture's own colour the
    weights ask for, 0 to 1, (b,).
    """

    both: Tensor
    weights: Tensor
    other: Tensor
    share: Tensor


def rivals_of(ids: Tensor, own: Tensor, colours: Tensor, generator: Generator) -> Rivals:
    """ids: of captions, (b, t); those that do not name their colour stay as they are.  own: token id of each picture's
    colour, (b,).  colours: of all colours, (c,).
    """
    which, heavy, luck, side, plain = torch.rand(5, len(ids), 1, generator=generator).to(ids.device)
    own = own[:, None]
    there = ids == own
    named, place = there.any(dim=1, keepdim=True), there.int().argmax(dim=1, keepdim=True)
    number = (colours == own).int().argmax(dim=1, keepdim=True) + 1 + (which * (len(colours) - 1)).long()
    rival = colours[number % len(colours)].to(ids.dtype)

    is_first, is_own = luck < 0.5, side < 0.5
    along = torch.arange(ids.shape[1], device=ids.device)[None]
    at = torch.where(is_first, place, place + 1)
    shifted = ids.gather(1, torch.where(along > at, along - 1, along))
    both = torch.where(along == at, rival, shifted)

    weight = torch.where(plain < UNWEIGHTED, 1.0, LIGHTEST + heavy * (HEAVIEST - LIGHTEST))
    asked = (STEEPNESS * (weight - 1)).sigmoid()
    weighed = named & (along == place + (is_first == is_own).long())
    return Rivals(
        both=torch.where(named, both, ids),
        weights=torch.where(weighed, weight, 1.0),
        other=torch.where(named & (along == place), rival, ids),
        share=torch.where(is_own, asked, 1 - asked)[:, 0],
    )
