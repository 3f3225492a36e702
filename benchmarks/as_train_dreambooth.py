"""The computation of diffusers' `train_dreambooth.py`, step by step in its order: the peer of our training.

Pictures and texts are encoded at every step, the noise comes from the device's generator, one pass of the U-Net takes
both halves. What is left out there and here is reading the picture files, which would only slow the peer down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor
from torch.nn.functional import mse_loss
from transformers import CLIPTokenizer

from modules.core.training import TrainingPlan
from modules.families.built import TOKENIZER, Built
from modules.training.devices import computing_in, number_for


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Everything that chance decides in a step: for the latents (b, c, h, w), the noise (b, c, h, w), timesteps (b,)."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor


class TrainDreambooth:
    """A model of its own, its optimizer, and pictures with their captions: instance rows first, then class rows."""

    def __init__(self, model: Built, plan: TrainingPlan) -> None:
        self.model, self.plan = model, plan
        self.unet: Any = model.unet.to(memory_format=torch.contiguous_format).requires_grad_(True).train()
        self.tokenizer: Any = CLIPTokenizer.from_pretrained(TOKENIZER)
        predicts: Any = model.prediction
        self.scheduler: Any = DDPMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=predicts
        )
        self.optimizer = torch.optim.AdamW(
            self.unet.parameters(),
            lr=plan.learning_rate,
            betas=(plan.adam_beta1, plan.adam_beta2),
            weight_decay=plan.adam_weight_decay,
            eps=plan.adam_epsilon,
        )
        self.curve = get_scheduler("constant", optimizer=self.optimizer)
        self.number = number_for(plan, model.device)
        # the frozen networks are kept in the number type of the arithmetic
        self.vae: Any = model.vae.to(self.number or torch.float32)
        self.text_encoder: Any = model.text_encoder.to(self.number or torch.float32)

    def ids(self, captions: list[str]) -> Tensor:
        """Token ids (b, 77)."""
        padded = self.tokenizer(captions, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
        return padded.input_ids

    def step(self, pixels: Tensor, ids: Tensor, draw: Callable[[Tensor], Draws] | None = None) -> float:
        """One step on pictures (2b, 3, h, w), -1 to 1, with their ids (2b, 77); gives the loss.

        draw: what chance decides, for the posterior's mean; the device's generator unless given.
        """
        device = self.model.device
        posterior = self.vae.encode(pixels.to(device, self.vae.dtype)).latent_dist
        draws = draw(posterior.mean) if draw else None
        clean = posterior.sample() if draws is None else posterior.mean + posterior.std * draws.latents
        latents = clean * self.vae.config.scaling_factor
        noise = torch.randn_like(latents) if draws is None else draws.noise
        steps = len(self.model.sigmas)
        timesteps = torch.randint(0, steps, (len(latents),), device=device) if draws is None else draws.timesteps
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        with computing_in(self.number, device):
            states = self.text_encoder(ids.to(device))[0]
            answer = self.unet(noisy, timesteps, states, return_dict=False)[0]
        velocity = self.model.prediction == "v_prediction"
        target = self.scheduler.get_velocity(latents, noise, timesteps) if velocity else noise
        (answer, of_class), (target, class_target) = (torch.chunk(one, 2, dim=0) for one in (answer, target))
        loss = mse_loss(answer.float(), target.float())
        loss = loss + self.plan.prior_loss_weight * mse_loss(of_class.float(), class_target.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), self.plan.max_grad_norm)
        self.optimizer.step()
        self.curve.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())
