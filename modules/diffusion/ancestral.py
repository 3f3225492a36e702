"""Part of a step down, the rest as fresh noise: Song et al. 2020, arXiv:2010.02502, eq. 16, in variance-exploding form."""

import math

ANCESTRAL = ("noise", "eta", "s_noise")  # options of samplers that draw fresh noise at each step
BROWNIAN = ("brownian", "eta", "s_noise")  # the same, from a Brownian path


def split_step(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """(level to step down to, strength of the fresh noise to add): their squares add up to sigma_next².

    With latents x / √(1 + sigma²) and ᾱ = 1 / (1 + sigma²) this is the sigma_t of DDIM; eta 1 is ancestral sampling.
    """
    up = min(sigma_next, eta * sigma_next * math.sqrt(max(0.0, 1 - (sigma_next / sigma) ** 2)))
    return math.sqrt(sigma_next**2 - up**2), up
