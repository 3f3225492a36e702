"""Extra networks: <lora:name:0.8> and the like, cut out of a prompt."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

OPENING = re.compile(r"<(\w++):")
KINDS = {"lora": "lora", "lyco": "lora", "hypernet": "hypernetwork"}


@dataclass(frozen=True, kw_only=True)
class Network:
    """One tag: <kind:positional:…:name=value>. What its numbers mean holds for LoRAs; a hypernetwork has one, `unet`."""

    kind: str
    positional: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """Which file."""
        return self.positional[0] if self.positional else ""

    @property
    def text_encoder(self) -> float:
        """How strongly the text encoder is changed; 1 where nothing, or nothing readable, is said."""
        return _number(self._said("te", 1), 1.0)

    @property
    def unet(self) -> float:
        """How strongly the U-Net is changed; as strongly as the text encoder unless said."""
        return _number(self._said("unet", 2), self.text_encoder)

    @property
    def dyn(self) -> int | None:
        """The rank to which the network is cut, or None."""
        said = self._said("dyn", 3)
        return int(said) if said and said.isascii() and said.isdigit() and len(said) < 10 else None

    @property
    def problem(self) -> str:
        """Why its numbers cannot be used, for whoever asked; "" when they can. Such a network is better left out."""
        for name, place in (("te", 1), ("unet", 2)):
            said = self._said(name, place)
            if said is not None and math.isnan(_number(said, math.nan)):
                return f"<{self.kind}:{self.name}> was left out: its strength {said[:40]!r} is no number; write <{self.kind}:{self.name}:0.8>."
        return ""

    def _said(self, name: str, place: int) -> str | None:
        beside = self.positional[place] if len(self.positional) > place else None
        return self.named.get(name, beside)


def cut_networks(text: str) -> tuple[str, tuple[Network, ...]]:
    """A prompt without its tags, and the tags. What stood around a tag stays as it is.

    >>> text, (network,) = cut_networks("a cat <lora:fur:0.8:0.5>, red")
    >>> text, network.name, network.text_encoder, network.unet
    ('a cat , red', 'fur', 0.8, 0.5)
    """
    rest: list[str] = []
    found: list[Network] = []
    place = 0
    for start, end, kind, body in _tags(text):
        rest.append(text[place:start])
        found.append(_read(kind, body))
        place = end
    rest.append(text[place:])
    return "".join(rest), tuple(found)


def renamed_networks(text: str, names: Mapping[str, str]) -> str:
    """A prompt whose tags name other files: what was written with another program, under the names that files have here.

    >>> renamed_networks("a cat <lora:old:0.8>", {"old": "new"})
    'a cat <lora:new:0.8>'
    """
    pieces: list[str] = []
    place = 0
    for start, end, kind, body in _tags(text):
        name, colon, others = body.partition(":")
        if names.get(name, name) != name:
            pieces += [text[place:start], f"<{kind}:{names[name]}{colon}{others}>"]
            place = end
    return "".join([*pieces, text[place:]])


def _tags(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, kind and body of each tag. A regular expression alone would take quadratic time on <a:<a:<a:…"""
    opening = OPENING.search(text)
    while opening:
        end = text.find(">", opening.end())
        if end < 0:
            return
        body = text[opening.end() : end]
        if body:
            yield opening.start(), end + 1, opening[1], body
        opening = OPENING.search(text, end if body else opening.end())


def _read(kind: str, body: str) -> Network:
    pieces = body.split(":")
    named = dict(piece.split("=") for piece in pieces if piece.count("=") == 1)
    return Network(kind=kind, positional=tuple(piece for piece in pieces if piece.count("=") != 1), named=named)


def _number(said: str | None, otherwise: float) -> float:
    try:
        number = otherwise if said is None else float(said)
    except ValueError:
        return otherwise
    return number if math.isfinite(number) else otherwise
