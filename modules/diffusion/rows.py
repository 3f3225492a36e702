"""Texts of several pictures as rows of as few passes of the network as possible."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modules.diffusion.denoiser import Inputs


@dataclass(frozen=True, eq=False)
class Text:
    """A prompt as the network reads it. `states`: (t, d). `vector`: (v,), SDXL's, or None."""

    states: Tensor
    vector: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Now:
    """The texts that hold in one call: those of each of b pictures, and one negative each or none at all.

    `concat` and `image`: see `guided.Conditions`.
    """

    positive: Sequence[Sequence[Text]]
    negative: Sequence[Text]
    concat: Tensor | None = None
    image: Tensor | None = None

    @property
    def key(self) -> tuple[int, ...]:
        """Equal for equal texts."""
        return tuple(id(text) for parts in (*self.positive, self.negative) for text in parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One text for one picture. `kind`: 0 the prompt, 1 the negative, 2 the negative without the image to edit."""

    text: Text
    picture: int
    kind: int = 0

    @property
    def length(self) -> int:
        """In tokens."""
        return self.text.states.shape[0]


@dataclass(frozen=True, eq=False)
class Run:
    """One pass of the network. `index`: the picture of each row; None is all pictures, `times` over."""

    inputs: Inputs
    index: Tensor | None
    times: int = 1

    def latents(self, x: Tensor) -> Tensor:
        """The latents (b, c, h, w) of the pictures as the rows of this pass."""
        if self.index is not None:
            return x.index_select(0, self.index)
        return x if self.times == 1 else torch.cat([x] * self.times)


@dataclass(frozen=True, eq=False)
class Passes:
    """What to run. Their outputs, one after the other and then in `order` (None: as they are), are all rows:

    each text of each picture, then each picture's negative, then, with an image to edit, the negatives without it.
    """

    runs: list[Run]
    order: Tensor | None

    def gathered(self, found: Sequence[Tensor]) -> Tensor:
        """The outputs of the runs as rows in that order."""
        rows = found[0] if len(found) == 1 else torch.cat(list(found))
        return rows if self.order is None else rows.index_select(0, self.order)


def passes_for(now: Now, pad: Text | None, split: bool, device: torch.device) -> Passes:
    """The passes for what holds now. `pad`, `split`: see `guided.Rules`.

    Texts of equal length go together. None is made longer for a neighbour's sake: pictures do not depend on their batch.
    """
    packs: dict[tuple[int, int], list[tuple[int, Row]]] = {}
    rows = _rows(now, pad)
    for place, row in enumerate(rows):
        packs.setdefault((row.length, row.kind if split else 0), []).append((place, row))
    runs = [_run([row for _, row in pack], now, device) for pack in packs.values()]
    places = [place for pack in packs.values() for place, _ in pack]
    if places == sorted(places):
        return Passes(runs, None)
    return Passes(runs, torch.tensor(sorted(range(len(places)), key=places.__getitem__), device=device))


def _rows(now: Now, pad: Text | None) -> list[Row]:
    positive, negative = [_same_length(parts) for parts in now.positive], list(now.negative)
    if pad is not None and negative:
        pairs = list(zip(positive, negative, strict=True))
        negative = [_lengthened(text, pad.states, parts[0].states.shape[0]) for parts, text in pairs]
        positive = [[_lengthened(part, pad.states, text.states.shape[0]) for part in parts] for parts, text in pairs]
    rows = [Row(text=text, picture=picture) for picture, parts in enumerate(positive) for text in parts]
    without = [Row(text=text, picture=picture, kind=1) for picture, text in enumerate(negative)]
    bare = [replace(row, kind=2) for row in without] if now.image is not None else []
    return [*rows, *without, *bare]


def _same_length(parts: Sequence[Text]) -> list[Text]:
    """The texts of one picture; shorter ones are continued with their last vector, which is the rule of the field."""
    longest = max(text.states.shape[0] for text in parts)
    return [_lengthened(text, text.states[-1:], longest) for text in parts]


def _lengthened(text: Text, more: Tensor, length: int) -> Text:
    missing = length - text.states.shape[0]
    if missing <= 0:
        return text
    times = -(-missing // more.shape[0])
    states = torch.cat([text.states, *[more.to(text.states)] * times])[:length]
    return Text(states, text.vector)


def _run(rows: Sequence[Row], now: Now, device: torch.device) -> Run:
    pictures = [row.picture for row in rows]
    everyone = list(range(len(now.positive)))
    times = len(pictures) // len(everyone)
    index = None if pictures == everyone * times else torch.tensor(pictures, device=device)
    vectors = [row.text.vector for row in rows if row.text.vector is not None]
    inputs = Inputs(
        text=torch.stack([row.text.states for row in rows]),
        vector=torch.stack(vectors) if vectors else None,
        concat=_concat(rows, now),
    )
    return Run(inputs, index, times)


def _concat(rows: Sequence[Row], now: Now) -> Tensor | None:
    """What goes beside the latents of each row; without the image to edit there are zeros in its place."""
    beside = now.concat if now.image is None else now.image
    if beside is None:
        return None
    return torch.stack([torch.zeros_like(beside[0]) if row.kind == 2 else beside[row.picture] for row in rows])
