"""Teaching a finished U-Net what the weight of a word is for, from what it predicts itself.

No picture shows a subject of two colours, so from pictures alone a network hardly learns what "a (red:1.4) blue cat" asks
for. Here its teacher, a copy of itself, predicts the noise for either colour alone, and the pupil, who is given both
colours and a weight, learns the mean of the two predictions in which each colour has the share that the weight gives it.
With any other caption the pupil learns to say what the teacher says, so that nothing else changes. Distillation: Hinton et
al. 2015, arXiv:1503.02531. Only the cross-attention, some norms and the text encoder learn.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from modules.diffusion.conditioning import multiply
from modules.starter.clip import chosen
from modules.starter.loop import LossAt, Plan, train
from modules.starter.rivals import Rivals, rivals_of
from modules.starter.spec import is_seen
from modules.starter.unet import STEPS, Examples, Painter, alphas_cumprod, noised, stratified, without_some

# Parts of the names of what learns in the U-Net: cross-attention, and the second norm of each block, the one before it.
READS_TEXT = ("attn2", "norm2")
COLOURED = 600  # from this noise step on it is still open what colour the subject will have
LARGEST = 50.0  # of an error's weight


@dataclass(frozen=True, kw_only=True)
class EmphasisShape:
    """batch: samples of one shard of a training step; rivals: how many of them are of captions with two colours.

    caption_dropout: share of the others that are empty.  kept: what a change of the text states of the others counts,
    relative to their length: CLIP's picture half knows them.
    """

    batch: int = 24
    rivals: int = 16
    caption_dropout: float = 0.1
    kept: float = 0.1


def teach_weights(plan: Plan, shape: EmphasisShape, pupil: Painter, examples: Examples) -> None:
    """pupil: trained, but its U-Net not yet sharpened."""
    # Neither weights nor latents in channels_last: torch 2.13 crashes in the backward pass of frozen convolutions there.
    pupil.unet.to(memory_format=torch.contiguous_format)
    for name, weight in pupil.unet.named_parameters():
        weight.requires_grad_(any(part in name for part in READS_TEXT))
    pupil.train_on(plan.device)
    teacher = deepcopy(pupil).requires_grad_(False).eval().to(plan.device)
    train(plan, pupil, emphasis_loss(shape, pupil, teacher, examples.on(plan.device)))


def emphasis_loss(shape: EmphasisShape, pupil: Painter, teacher: Painter, examples: Examples) -> LossAt:
    device = examples.latents.device
    signal = alphas_cumprod().to(device)
    weights = (1 / signal).clamp(max=LARGEST)  # of an error of the noise: as if it were of the velocity
    has_colour = [is_seen(examples.gallery.spec(n), "colour") for n in range(len(examples.latents))]
    is_coloured = torch.tensor(has_colour) * examples.weights
    count, rest = shape.rivals, shape.batch - shape.rivals

    def loss_at(step: int, generator: Generator) -> Tensor:
        coloured = torch.multinomial(is_coloured, count, replacement=True, generator=generator).to(device)
        others = torch.multinomial(examples.weights, rest, replacement=True, generator=generator).to(device)
        own, plain = (chosen(examples.texts, some, generator) for some in (coloured, others))
        plain = without_some(plain, shape.caption_dropout, generator)
        rivals = rivals_of(own, examples.colours.of[coloured], examples.colours.all, generator)
        t = torch.cat((_steps(count, COLOURED, generator), _steps(rest, 0, generator))).to(device)
        clean = examples.latents[torch.cat((coloured, others))].float()
        noisy = noised(clean, signal[t], generator)[0].contiguous()
        with torch.no_grad():
            wanted, known = _taught(teacher, examples.sharpening, rivals, (own, plain), noisy, t)
        states = pupil.read(torch.cat((rivals.both, plain)), examples.sharpening)
        said = torch.cat((rivals.weights, torch.ones_like(plain, dtype=torch.float32)))
        error = (pupil.predict(noisy, t, multiply(states, said)) - wanted).square().mean(dim=(1, 2, 3)) * weights[t]
        moved = (states[count:] - known).square().mean() / known.square().mean()
        return error[:count].mean() + error[count:].mean() + shape.kept * moved

    return loss_at


def _taught(
    teacher: Painter, sharpening: Tensor, rivals: Rivals, ids: tuple[Tensor, Tensor], noisy: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """The noise that the pupil should predict, and the text states of the captions that are not about two colours.

    ids: of captions with the picture's own colour alone, and of the others.
    """
    count = len(rivals.share)
    states = teacher.read(torch.cat((rivals.other, *ids)), sharpening)
    noise = teacher.predict(torch.cat((noisy[:count], noisy)), torch.cat((t[:count], t)), states)
    other, own, rest = noise[:count], noise[count : 2 * count], noise[2 * count :]
    share = rivals.share.view(-1, 1, 1, 1)
    return torch.cat((share * own + (1 - share) * other, rest)), states[2 * count :]


def _steps(count: int, first: int, generator: Generator) -> Tensor:
    """Steps of the noise from `first` on, (count,)."""
    return (first + stratified(count, generator) * (STEPS - first)).long().clamp(max=STEPS - 1)
