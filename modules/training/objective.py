"""What is minimised: how far the U-Net is from telling the noise of a noisy picture.

Latents are made noisy as x = α·clean + s·noise with α² + s² = 1 (Ho et al. 2020, arXiv:2006.11239, eq. 4); with the
model's noise levels sigma = s / α. The target is the noise (eq. 14) or v = α·noise - s·clean (Salimans and Ho 2022,
arXiv:2202.00512, App. D). With class pictures the loss is that of DreamBooth: Ruiz et al. 2022, arXiv:2208.12242, eq. 2.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.core.errors import UnknownName
from modules.core.training import TrainingPlan
from modules.training.batch import Batch
from modules.training.chance import Purpose, generator

HUBER_WIDTH = 0.1  # residuals above it count nearly linearly, those below nearly as squares


@dataclass(frozen=True, eq=False)
class Levels:
    """A model's training noise levels, each (n,), float32: `alpha`, `spread` (s above) and signal-to-noise, α² / s²."""

    alpha: Tensor
    spread: Tensor
    snr: Tensor

    @classmethod
    def of(cls, sigmas: Sequence[float], device: torch.device | None = None) -> "Levels":
        """Of ascending sigmas. The last may be infinite: pure noise (zero terminal SNR)."""
        snr = torch.tensor(sigmas, dtype=torch.float64).pow(-2)
        kept = (snr / (1 + snr)).where(snr.isfinite(), 1.0), 1 / (1 + snr)
        alpha, spread = (one.sqrt().float().to(device) for one in kept)
        return cls(alpha, spread, snr.float().to(device))

    def __len__(self) -> int:
        return len(self.snr)


@dataclass(frozen=True, eq=False)
class Losses:
    """Scalars, float32. `prior`: the class pictures' loss, not weighted; None without them. `total` is minimised."""

    total: Tensor
    instance: Tensor
    prior: Tensor | None = None


def drawn(plan: TrainingPlan, batch: Batch, step: int, places: Sequence[int], levels: Levels) -> tuple[Tensor, Tensor]:
    """Noise (b, c, h, w) and timesteps (b,) for a batch: for each picture its own, so t and t' of eq. 2 are independent.

    places: within the step (`chance.rows`) of the subject's pictures, of which there may be fewer.  A noise offset moves the mean of each channel
    (N. Guttenberg 2023, "Diffusion with offset noise").
    """
    count, shape = len(batch.latents) - batch.priors, batch.latents.shape[1:]
    each = [(place, 0) for place in places[:count]] + [(place, Purpose.PRIOR) for place in places[: batch.priors]]

    def chance(purpose: Purpose) -> list[torch.Generator]:
        return [generator(plan.seed, step, place, purpose + half) for place, half in each]

    noise = torch.stack([torch.randn(shape, generator=one) for one in chance(Purpose.NOISE)])
    if plan.noise_offset:
        means = [torch.randn((shape[0], 1, 1), generator=one) for one in chance(Purpose.OFFSET)]
        noise += plan.noise_offset * torch.stack(means)
    steps = [torch.randint(len(levels), (), generator=one) for one in chance(Purpose.TIMESTEP)]
    device = batch.latents.device
    return noise.to(device), torch.stack(steps).to(device)


def noised(levels: Levels, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the U-Net gets: latents (b, c, h, w) with as much noise as belongs to each one's timestep (b,)."""
    return _rows(levels.alpha[timesteps]) * latents + _rows(levels.spread[timesteps]) * noise


def target_of(prediction: str, levels: Levels, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the U-Net should answer, by what it predicts: "epsilon" or "v_prediction". Raises UnknownName."""
    if prediction == "epsilon":
        return noise
    if prediction == "v_prediction":
        return _rows(levels.alpha[timesteps]) * noise - _rows(levels.spread[timesteps]) * latents
    raise UnknownName("kind of prediction", prediction, "epsilon, v_prediction")


def weights(prediction: str, levels: Levels, timesteps: Tensor, gamma: float) -> Tensor:
    """Min-SNR weights (b,): Hang et al. 2023, arXiv:2303.09556, eq. 8 and §3.4. All 1 for gamma 0.

    min(SNR, γ) / SNR for noise, / (SNR + 1) for v; written so that an SNR of 0 or infinity is no division by it.
    """
    snr = levels.snr[timesteps]
    if not gamma:
        return torch.ones_like(snr)
    return (gamma / snr).clamp(max=1.0) if prediction == "epsilon" else 1 / (1 + snr) * snr.clamp(max=gamma)


def losses(answer: Tensor, target: Tensor, each: Tensor, plan: TrainingPlan, priors: int = 0) -> Losses:
    """Mean loss of the subject's rows plus λ times that of the last `priors` rows: eq. 2, both means of their own.

    answer, target: (b, c, h, w). each: weight of each row (b,), so on both halves.
    """
    errors = MEASURES[plan.loss](answer.float() - target.float())
    rows = errors.flatten(1).mean(1) * each
    if not priors:
        return Losses(rows.mean(), rows.mean())
    instance, prior = rows[:-priors].mean(), rows[-priors:].mean()
    return Losses(instance + plan.prior_loss_weight * prior, instance, prior)


def _pseudo_huber(difference: Tensor) -> Tensor:
    """Khrapov et al. 2024, arXiv:2403.16728, eq. 5, scaled to be the square for small differences."""
    return 2 * HUBER_WIDTH * ((difference.square() + HUBER_WIDTH**2).sqrt() - HUBER_WIDTH)


MEASURES: Mapping[str, Callable[[Tensor], Tensor]] = {"l2": torch.square, "l1": torch.abs, "huber": _pseudo_huber}


def _rows(numbers: Tensor) -> Tensor:
    return numbers.view(-1, 1, 1, 1)
