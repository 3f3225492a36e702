"""What the tests of samplers share: run one, with everything it may ask for."""

from modules.diffusion.denoiser import sigma_table
from modules.diffusion.noise import Noise

SHAPE = (4, 8, 8)
TABLE = sigma_table()
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}

SAMPLERS = [
    *("DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler"),
    *("LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart"),
    *("DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM"),
]


def ignore(step, x, denoised):
    """Nobody watches."""


def sample(sampler, denoise, x, sigmas, on_step=ignore, **options):
    noise = options.pop("noise", None) or Noise([1] * x.shape[0], tuple(x.shape[1:]))
    known = {"noise": noise, "table": TABLE} | options
    if "brownian" in sampler.options and "brownian" not in known:
        known["brownian"] = noise.brownian(sigmas)
    return sampler.sample(denoise, x, sigmas, on_step, **{k: v for k, v in known.items() if k in sampler.options})


def falling(first, last, steps):
    """Levels that fall geometrically."""
    return [first * (last / first) ** (i / steps) for i in range(steps + 1)]
