"""What an evaluation is made of: instruments that look at pictures, and what they saw.

Pictures are (n, 3, h, w), float, -1 to 1; features are unit vectors (n, d). Who loads the networks and draws the
pictures is `engine/evaluate.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from modules.training.packs import CLASS, SUBJECT, Prompt, Words

Eye = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Deep:
    """An Inception network: `see` answers features (n, 2048) and logits (n, k)."""

    name: str
    see: Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """What looks at pictures. `image`, `text`: CLIP's towers, to unit vectors; `extractor` names them.

    `sharpness`: CLIP's logit scale. `read`: a judge, which says a word for each slot of each picture; `words`: those it
    knows. `identity`: how surely each picture, (n,), shows the subject's own marks. `deep`: Inception.
    """

    extractor: str
    image: Eye
    text: Callable[[Sequence[str]], Tensor]
    sharpness: float = 100.0
    read: Callable[[Tensor], Mapping[str, Sequence[str]]] | None = None
    words: Words = field(default_factory=Words)
    identity: Eye | None = None
    deep: Deep | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the instruments see of n pictures: CLIP's features, the judge's words, identity (n,), Inception's two."""

    features: Tensor
    read: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    identity: Tensor | None = None
    deep: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One prompt: what the result drew and what the base model drew with the same seeds. `text`: its caption, (d,)."""

    prompt: Prompt
    drawn: Look
    base: Look
    text: Tensor


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that measures are made of. `training`: the pictures that were learned from."""

    shots: tuple[Shot, ...]
    training: Look
    instruments: Instruments

    def of(self, *roles: str) -> tuple[Shot, ...]:
        """The prompts that ask this kind of question."""
        return tuple(shot for shot in self.shots if shot.prompt.role in roles)

    @property
    def with_subject(self) -> tuple[Shot, ...]:
        """The prompts that name the subject."""
        return tuple(shot for shot in self.shots if shot.prompt.role != CLASS)

    @property
    def away(self) -> tuple[Shot, ...]:
        """The prompts that put the subject somewhere, or change something about it."""
        return tuple(shot for shot in self.with_subject if shot.prompt.role != SUBJECT)


@torch.no_grad()
def look(images: Tensor, instruments: Instruments) -> Look:
    """See pictures with every instrument there is."""
    return Look(
        features=instruments.image(images).float(),
        read=dict(instruments.read(images)) if instruments.read else {},
        identity=instruments.identity(images).float() if instruments.identity else None,
        deep=instruments.deep.see(images) if instruments.deep else None,
    )


def joined(parts: Sequence[Tensor]) -> Tensor:
    """One after the other; an empty (0,) for none."""
    return torch.cat(list(parts)) if parts else torch.empty(0)


# Small parts of measures -------------------------------------------------------------------------------------------------

Judged = Callable[[Look, Shot], list[bool]]


def each(shots: Sequence[Shot], part: Callable[[Shot], Tensor]) -> Tensor:
    """One number for every picture of these prompts, (n,)."""
    return joined([part(shot) for shot in shots])


def identities(shot: Shot) -> Tensor:
    """Of the result's pictures."""
    assert shot.drawn.identity is not None
    return shot.drawn.identity


def base_identities(shot: Shot) -> Tensor:
    """Of the base model's pictures."""
    assert shot.base.identity is not None
    return shot.base.identity


def reads(slot: str) -> Judged:
    """Whether the judge's word is the prompt's."""
    return lambda found, shot: [word == getattr(shot.prompt, slot) for word in found.read[slot]]


def judged(shots: Sequence[Shot], right: Judged, base: bool = False) -> list[bool]:
    """For every picture of these prompts whether it is right."""
    return [one for shot in shots for one in right(shot.base if base else shot.drawn, shot)]
