"""How the identity probe (`families/judge.py`) learns to read the marks of individuals, which have no word.

It learns from drawn pictures: half of them show marks at random, half none, and of both one half is seen as the starter's
autoencoder gives it back. The U-Net and the autoencoder have never seen any marks, so what a model shows of them it has
been taught. Its own accuracy on restored pictures is the ceiling of every score, and what it reads into pictures
without marks is the floor.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from modules.families.judge import IdentityProbe, Marks
from modules.starter.autoencoder import batches, restore, to_bytes, to_tensor
from modules.starter.clip import numbers_of
from modules.starter.loop import LossAt, Plan, mixed, save_atomically, train
from modules.starter.marks import DIGITS, GLOWING, marks_of
from modules.starter.pictures import Bytes
from modules.starter.world import FIRST, FULL, Spec, draw, is_mirrored, random_spec

log = logging.getLogger(__name__)

SEED = 40_000_000  # of the pictures it learns from; those it is measured with have others
CHUNK = 500  # pictures drawn at a time
SIDES = ("left", "right")
ANSWERS = (
    Marks(),
    *(
        Marks(kind=kind, colour=colour, side=side)
        for kind in ("streak", "badge")
        for colour in GLOWING
        for side in SIDES
    ),
    *(Marks(kind=f"digit {n}", colour="blue") for n in range(len(DIGITS))),
    *(Marks(kind="zigzag", colour=colour) for colour in GLOWING),
)


@dataclass(frozen=True, kw_only=True)
class IdentityShape:
    """pictures: drawn for learning, the first `restored` of which are only seen as the autoencoder gives them back: half
    of each batch. measured: drawn for measuring."""

    pictures: int = 12_000
    restored: int = 6_000
    measured: int = 600
    batch: int = 64
    noise: float = 0.15  # added to the latents, in parts of their spread: generated latents are not perfect


@dataclass(frozen=True, kw_only=True)
class Marked:
    """Pictures (n, size, size, 3) and the number of the right answer for each."""

    pictures: Bytes
    answers: NDArray[np.int64]


def marked_spec(rng: Random) -> Spec:
    """Somebody alone, with marks or without, from the first model's words or from all of them.

    Marks have another colour than their owner; nobody could see them otherwise. (A clock's are on its white face.)
    """
    spec = random_spec(rng, FULL if rng.random() < 0.4 else FIRST)
    spec = replace(spec, count=1, other=None, relation="")
    if rng.random() < 0.5:
        return spec
    while True:
        identity = rng.randrange(1_000_000)
        if spec.subject == "clock" or marks_of(spec.subject, identity).colour != spec.colour:
            return replace(spec, identity=identity)


def answer_of(spec: Spec, seed: int) -> Marks:
    """What the probe should say of the picture that is drawn with this seed."""
    return Marks() if spec.identity is None else marks_of(spec.subject, spec.identity, is_mirrored(seed))


def drawn(first: int, count: int, size: int) -> Marked:
    """Pictures with and without marks; first: the seed of the first."""
    specs = [marked_spec(Random(f"marked {first + n}")) for n in range(count)]
    pictures = np.stack([np.asarray(draw(spec, first + n, size)[0]) for n, spec in enumerate(specs)])
    answers = [ANSWERS.index(answer_of(spec, first + n)) for n, spec in enumerate(specs)]
    return Marked(pictures=pictures, answers=np.array(answers))


@torch.no_grad()
def roughly_restored(autoencoder: AutoencoderKL, pictures: Bytes, noise: float) -> Bytes:
    """Through the autoencoder and back, with a little noise in between."""
    generator = Generator().manual_seed(SEED)
    parts: list[Bytes] = []
    for images in batches(pictures, 32):
        latents = autoencoder.encode(images).latent_dist.mean
        latents = latents + noise * latents.std() * torch.randn(latents.shape, generator=generator)
        parts.append(to_bytes(autoencoder.decode(latents).sample))
    return np.concatenate(parts)


def lessons(shape: IdentityShape, autoencoder: AutoencoderKL, size: int, folder: Path) -> Marked:
    """What the probe learns from, halved; kept in the folder, since drawing and restoring take longer than learning."""
    path = folder / f"marked-{shape.pictures}-{shape.restored}-{size}.pt"
    if not path.exists():
        log.info("identity: drawing %d pictures", shape.pictures)
        parts: list[Marked] = []
        for first in range(0, shape.pictures, CHUNK):
            part = drawn(SEED + first, min(CHUNK, shape.pictures - first), size)
            again = max(0, min(CHUNK, shape.restored - first))
            rough = roughly_restored(autoencoder, part.pictures[:again], shape.noise) if again else part.pictures[:0]
            pictures = np.concatenate([rough, part.pictures[again:]])
            parts.append(Marked(pictures=halved(pictures), answers=part.answers))
        together = {name: np.concatenate([getattr(one, name) for one in parts]) for name in ("pictures", "answers")}
        save_atomically({name: torch.from_numpy(array) for name, array in together.items()}, path)
    kept = torch.load(path, weights_only=True)
    return Marked(pictures=kept["pictures"].numpy(), answers=kept["answers"].numpy())


def halved(pictures: Bytes) -> Bytes:
    """Each four pixels one, (n, h / 2, w / 2, 3): the probe does so anyway, and what it learns from is smaller then."""
    count, side = pictures.shape[:2]
    return pictures.reshape(count, side // 2, 2, side // 2, 2, 3).mean(axis=(2, 4)).round().astype(np.uint8)


def train_identity(plan: Plan, shape: IdentityShape, probe: IdentityProbe, known: Marked) -> None:
    probe.to(memory_format=torch.channels_last)
    train(plan, probe, _loss(shape, probe, known, plan.device))


def _loss(shape: IdentityShape, probe: IdentityProbe, known: Marked, device: torch.device) -> LossAt:
    half, plain = shape.batch // 2, len(known.answers) - shape.restored

    def loss_at(step: int, generator: Generator) -> Tensor:
        numbers = numbers_of(generator, shape.restored, half)
        numbers += [shape.restored + n for n in numbers_of(generator, plain, half)]
        images = _disturb(to_tensor(known.pictures[numbers]), generator).to(device)
        with mixed(device):
            logits = probe.of_halved(images)
        return cross_entropy(logits.float(), torch.from_numpy(known.answers[numbers]).to(device))

    return loss_at


def _disturb(images: Tensor, generator: Generator) -> Tensor:
    """A little noise, another place and other colours: pictures that a model makes are not so clean."""
    down, right = torch.randint(0, 1000, (2,), generator=generator).tolist()
    images = images.roll((down % 7 - 3, right % 7 - 3), (2, 3))
    tint = 1 + 0.05 * torch.randn(len(images), 3, 1, 1, generator=generator)
    noisy = images * tint + 0.03 * torch.randn(images.shape, generator=generator)
    return noisy.contiguous(memory_format=torch.channels_last)


def figures(probe: IdentityProbe, autoencoder: AutoencoderKL, shape: IdentityShape, size: int) -> dict[str, float]:
    """How often the probe is right about pictures it has not learned from, 0 to 1.

    `accuracy_drawn` and `accuracy_restored` are of marked pictures, every mark right; `accuracy_restored` is the ceiling
    of what a model can reach.  `score_restored`: the mean score of the right marks. `false_drawn` and `false_restored`:
    how often it sees marks where none are; `score_unmarked` is the mean score that a picture without marks gets for any
    one individual, which is the floor.
    """
    fresh = drawn(SEED + 10_000_000, shape.measured, size)
    found: dict[str, float] = {}
    for name, pictures in (("drawn", fresh.pictures), ("restored", restore(autoencoder, fresh.pictures))):
        chances = torch.cat([probe.probabilities(images) for images in batches(pictures, 64)]).numpy()
        marked, right = fresh.answers > 0, chances.argmax(axis=1) == fresh.answers
        found[f"accuracy_{name}"] = float(right[marked].mean())
        found[f"false_{name}"] = float(1 - right[~marked].mean())
        if name == "restored":
            found["score_restored"] = float(chances[marked, fresh.answers[marked]].mean())
            found["score_unmarked"] = float(chances[~marked][:, 1:].mean())
    return {name: round(value, 4) for name, value in found.items()}
