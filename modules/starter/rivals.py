"""Captions of two colours, of which one is weighted: how the U-Net learns what `(red:1.4)` and `[red]` are for.

No picture shows a subject of two colours, so a network that is never told what "a red blue cat" means takes either, or the
first, and hardly looks at weights. Here it is told: the more a colour weighs, the more often the picture has it.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from transformers import CLIPTokenizer

from modules.starter.pictures import Gallery
from modules.starter.spec import is_seen
from modules.starter.words import COLOURS

NONE = -1  # no token has this id
LIGHTEST, HEAVIEST = 0.5, 1.6
STEEPNESS = 6.0  # at weight w the weighted colour is the picture's with the probability 1 / (1 + exp(-6 (w - 1)))


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


def with_rivals(ids: Tensor, own: Tensor, colours: Tensor, share: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Name another colour beside the picture's own in some captions, and weigh one of the two.

    ids: of captions, (b, t).  own: token id of each picture's colour, (b,).  colours: of all colours, (c,).  share: of
    the captions that get a rival, where they name their colour at all.  Returns ids and weights of the tokens, both (b, t).
    """
    picked, which, weight, luck = torch.rand(4, len(ids), 1, generator=generator).to(ids.device)
    own = own[:, None]
    there = ids == own
    named, place = there.any(dim=1, keepdim=True), there.int().argmax(dim=1, keepdim=True)
    is_first, chosen = picked < share / 2, named & (picked < share)
    number = (colours == own).int().argmax(dim=1, keepdim=True) + 1 + (which * (len(colours) - 1)).long()
    rival = colours[number % len(colours)]

    along = torch.arange(ids.shape[1], device=ids.device)[None]
    at = torch.where(is_first, place, place + 1)
    shifted = ids.gather(1, torch.where(along > at, along - 1, along))
    changed = torch.where(chosen, torch.where(along == at, rival.to(ids.dtype), shifted), ids)
    value = LIGHTEST + weight * (HEAVIEST - LIGHTEST)
    is_own = luck < (STEEPNESS * (value - 1)).sigmoid()
    weighed = along == place + (is_first == is_own).long()
    return changed, torch.where(chosen & weighed, value, 1.0)
