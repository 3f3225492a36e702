"""Small networks that read off a picture of the starter world what it shows: the judge its words, the probe its marks.

Their files (`models/starter/judge.safetensors`, `identity.safetensors`) are made by `modules/starter/build.py`; the
metadata hold the answers they can give and how often those are right.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from modules.core.errors import InvalidModelFile
from modules.families import single_file

Network = TypeVar("Network", bound=nn.Module)
SIDE = 128  # pixels per side of the pictures both have learned from
BACKGROUND = "on a background"  # the judge's one answer for every plain background; prompts name a colour
SLOTS, ANSWERS, FIGURES = "atelier.slots", "atelier.answers", "atelier.figures"
SEEN = 0.5  # a subject has marks when the probe says so of its pictures, on average, more surely than not
ONE_SIDED = 0.8  # its marks are on one side when so much of what the probe sees is


class Judge(nn.Module):
    """Pairs of convolutions, the first of each pair strided, and one linear layer per slot.

    `figures`: how often it is right on drawn pictures, by slot, 0 to 1 (see `starter/judge.py`).
    """

    def __init__(self, slots: Mapping[str, tuple[str, ...]], widths: tuple[int, ...] = (24, 48, 96, 128)) -> None:
        super().__init__()
        self.slots = dict(slots)
        self.figures: dict[str, float] = {}
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            for inside, stride in ((before, 2), (after, 1)):
                layers += [nn.Conv2d(inside, after, 3, stride, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * widths[-1], 192), nn.SiLU()
        )
        self.heads = nn.ModuleDict({slot: nn.Linear(192, len(answers)) for slot, answers in slots.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """images: (b, 3, 128, 128) of -1 to 1.  Returns the logits of each slot, (b, answers)."""
        features = self.body(images)
        return {slot: head(features) for slot, head in self.heads.items()}

    @torch.no_grad()
    def read(self, images: Tensor) -> dict[str, list[str]]:
        """The likeliest word of each slot for each image."""
        best = {slot: logits.argmax(dim=1).tolist() for slot, logits in self(images).items()}
        return {slot: [self.slots[slot][n] for n in numbers] for slot, numbers in best.items()}

    @torch.no_grad()
    def subjects(self, images: Tensor) -> list[frozenset[str]]:
        """The two likeliest subjects of each image: what a picture of two things shows."""
        best = self(images)["subject"].topk(2, dim=1).indices.tolist()
        return [frozenset(self.slots["subject"][n] for n in two) for two in best]


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The marks of one individual as a picture shows them. `kind` and `colour` are "" for none.

    `side`: left or right in the picture; "" where they lie in the middle, and in a `Signature` that does not care.
    """

    kind: str = ""
    colour: str = ""
    side: str = ""

    def __str__(self) -> str:
        """In words, for people."""
        return " ".join(part for part in (self.colour, self.kind, f"({self.side})" if self.side else "") if part)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """By which marks a subject is known. `answers`: the numbers of the probe's answers that mean them."""

    marks: Marks
    answers: tuple[int, ...]


class IdentityProbe(nn.Module):
    """Which marks a picture shows, if any: one of `answers`, of which the first is none.

    Strided convolutions on the halved picture; where things are is kept, since the marks' side matters. Kind, colour and
    side are weighed apart, and an answer's logit is the sum of its three: what is learned of blue goes for all blue marks.
    `figures`: how often it is right, by the name of the measurement (see `starter/identity.py`), 0 to 1.
    """

    def __init__(self, answers: Sequence[Marks], widths: tuple[int, ...] = (32, 64, 96, 128)) -> None:
        super().__init__()
        self.answers = tuple(answers)
        self.figures: dict[str, float] = {}
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * widths[-1], 128), nn.SiLU()
        )
        traits = [[(name, getattr(one, name)) for name in ("kind", "colour", "side")] for one in self.answers]
        known = sorted({trait for each in traits for trait in each})
        self.register_buffer(
            "_has", torch.tensor([[float(trait in each) for trait in known] for each in traits]), persistent=False
        )
        self.head = nn.Linear(128, len(known))

    def forward(self, images: Tensor) -> Tensor:
        """images: (b, 3, 128, 128) of -1 to 1.  Returns the logits of the answers, (b, answers)."""
        return self.of_halved(avg_pool2d(images, 2))

    def of_halved(self, images: Tensor) -> Tensor:
        """The same of pictures (b, 3, 64, 64) that were halved before."""
        return self.head(self.body(images)) @ self._has.T

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Of each answer for each image, (b, answers)."""
        return self(images).softmax(dim=1)

    def signature(self, images: Tensor) -> Signature | None:
        """The marks that these pictures of one subject share; None when it sees none, as on all other subjects."""
        mean = self.probabilities(images).mean(dim=0).tolist()
        if mean[0] > SEEN:
            return None
        sums: dict[tuple[str, str], float] = {}
        for answer, share in zip(self.answers[1:], mean[1:], strict=True):
            sums[answer.kind, answer.colour] = sums.get((answer.kind, answer.colour), 0.0) + share
        best, seen = max(sums.items(), key=lambda item: item[1])
        if seen < SEEN:
            return None
        fitting = [n for n, answer in enumerate(self.answers) if (answer.kind, answer.colour) == best]
        first = max(fitting, key=lambda n: mean[n])
        one_sided = mean[first] >= ONE_SIDED * seen
        marks = Marks(kind=best[0], colour=best[1], side=self.answers[first].side if one_sided else "")
        return Signature(marks=marks, answers=(first,) if one_sided else tuple(fitting))

    def score(self, images: Tensor, signature: Signature) -> Tensor:
        """The probability that each picture shows these marks, (n,)."""
        return self.probabilities(images)[:, list(signature.answers)].sum(dim=1)


def save_judge(judge: Judge, path: Path) -> None:
    """The judge in float16, with the words of its heads and its figures."""
    slots = json.dumps({slot: list(words) for slot, words in judge.slots.items()})
    about = {"modelspec.title": "Atelier starter judge", SLOTS: slots, FIGURES: json.dumps(judge.figures)}
    single_file.save(path, half(judge), about)


def load_judge(path: Path) -> Judge:
    """In float32 on the CPU. Raises InvalidModelFile."""
    words, tensors, metadata = _read(path, SLOTS)
    judge = Judge({slot: tuple(answers) for slot, answers in words.items()}, _widths(tensors)[::2])
    judge.figures = json.loads(metadata.get(FIGURES, "{}"))
    return _filled(judge, tensors, path)


def save_identity(probe: IdentityProbe, path: Path) -> None:
    """The probe in float16, with its answers and figures."""
    answers = json.dumps([[marks.kind, marks.colour, marks.side] for marks in probe.answers])
    about = {"modelspec.title": "Atelier starter identity probe", ANSWERS: answers, FIGURES: json.dumps(probe.figures)}
    single_file.save(path, half(probe), about)


def load_identity(path: Path) -> IdentityProbe:
    """In float32 on the CPU. Raises InvalidModelFile."""
    answers, tensors, metadata = _read(path, ANSWERS)
    known = [Marks(kind=kind, colour=colour, side=side) for kind, colour, side in answers]
    probe = _filled(IdentityProbe(known, _widths(tensors)), tensors, path)
    probe.figures = json.loads(metadata.get(FIGURES, "{}"))
    return probe


def _widths(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Channels that each convolution gives, in order."""
    layers = {int(name.split(".")[1]): len(tensor) for name, tensor in tensors.items() if tensor.ndim == 4}
    return tuple(width for _, width in sorted(layers.items()))


def half(network: nn.Module) -> dict[str, Tensor]:
    """The weights in float16."""
    return {
        name: value.detach().half().contiguous()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }


def _read(path: Path, key: str) -> tuple[Any, dict[str, Tensor], Mapping[str, str]]:
    """What the file says under `key`, its tensors and all of its metadata."""
    header, tensors = single_file.load(path)
    try:
        return json.loads(header.metadata[key]), tensors, header.metadata
    except (KeyError, ValueError) as error:
        raise InvalidModelFile(f"{path.name} reads no pictures: it does not say what it can answer.") from error


def _filled(network: Network, tensors: Mapping[str, Tensor], path: Path) -> Network:
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise InvalidModelFile(f"{path.name} does not fit the answers that it names.") from error
    return network.eval().requires_grad_(False)
