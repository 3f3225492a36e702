"""What our generation costs beside the computation itself.

    python benchmarks/overhead.py [--pairs 9] [--big]

Ours is a whole job as the engine runs it: texts, sampling, decoding, PNG, progress messages, previews off. Peers: a bare
loop of U-Net (prompt and negative prompt in one batch), DPM++ 2M formula, autoencoder and PNG; and diffusers'
StableDiffusionPipeline. Same weights, number type, seed, schedule; the pictures are compared before anything is timed.
--big adds Stable Diffusion 1.5's full size with random weights at 256x256.
"""

import argparse
import io
import math
import sys
import tempfile
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import numpy as np
import torch
from as_pipeline import STARTER, as_pipeline
from comparing import compare, heading, timed
from PIL import Image

from modules.core.events import RunJob
from modules.core.plugins import Plugins
from modules.core.requests import ImageRequest, ModelRecord
from modules.diffusion.denoiser import timestep_at
from modules.engine import generate
from modules.engine.connection import Connection
from modules.engine.job import JobContext, Wishes
from modules.engine.models import Models
from modules.engine.status import Status
from modules.families import random_weights
from modules.families.built import BuildOptions
from modules.families.configuration import bundled
from modules.prompts.chunks import chunks

PLUGINS = (
    "modules.diffusion.samplers",
    "modules.diffusion.schedules",
    "modules.diffusion.guidance",
    "modules.diffusion.adapters",
    "modules.imaging.upscalers",
    "modules.families.kinds",
)


class Ours:
    """The engine's own parts, in this process; what it would send to the web process is written into memory."""

    def __init__(self, path: Path, side: int, steps: int) -> None:
        self.plugins = Plugins("engine")
        for package in PLUGINS:
            self.plugins.add_package(package)
        self.models = Models(self.plugins.collect("register_families"), BuildOptions())
        stat = path.stat()
        self.record = ModelRecord(
            name="m", path=str(path), title=path.name, size=stat.st_size, modified=stat.st_mtime_ns
        )
        self.request = ImageRequest(
            prompt="a red cat in space",
            sampler="DPM++ 2M",
            schedule="Karras",
            steps=steps,
            width=side,
            height=side,
            seed=1,
        )
        self.loaded = self.models.get(self.record)

    def states(self, text: str) -> torch.Tensor:
        """The text encoder's states (77, d)."""
        return self.loaded.built.encode([chunks(text, self.loaded.tokenizer)])[0].states

    def __call__(self) -> bytes:
        """One job; answers the picture's PNG bytes."""
        sent = Sent()
        job = RunJob(job="j", kind="image", request=self.request, models=(self.record,), preview_every=0)
        status = Status(sent, torch.device("cpu"))
        generate.run(
            self.request,
            JobContext(
                job=job,
                models=self.models,
                plugins=self.plugins,
                connection=sent,
                status=status,
                wishes=Wishes(),
                ending=threading.Event(),
            ),
        )
        return sent.png


class Sent(Connection):
    """Messages are framed and written as always, to memory; the picture is kept."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.png = b""

    def send(self, message: object) -> None:
        super().send(message)
        self.png = getattr(message, "png", self.png)


def bare_loop(ours: Ours) -> Callable[[], bytes]:
    """The computation and nothing else: Lu et al. 2022, Algorithm 2, on the Karras schedule."""
    model, request = ours.loaded.built, ours.request
    unet, vae, number = model.unet, model.vae, model.dtype
    text = torch.stack([ours.states(request.prompt), ours.states("")]).to(number)
    low, high, n = model.sigmas[0], model.sigmas[-1], request.steps
    sigmas = [(high ** (1 / 7) + i / (n - 1) * (low ** (1 / 7) - high ** (1 / 7))) ** 7 for i in range(n)] + [0.0]
    times = [timestep_at(sigma, model.sigmas) for sigma in sigmas[:-1]]
    shape = (1, *model.latent_shape(request.width, request.height))

    @torch.inference_mode()
    def run() -> bytes:
        x = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(request.seed)) * sigmas[0]
        before = None
        for i, (sigma, following) in enumerate(pairwise(sigmas)):
            scaled = (
                (x / math.sqrt(sigma**2 + 1))
                .to(number)
                .repeat(2, 1, 1, 1)
                .contiguous(memory_format=torch.channels_last)
            )
            eps = unet(scaled, torch.full((2,), times[i]), text, return_dict=False)[0].float()
            cond, uncond = eps.chunk(2)
            denoised = x - sigma * (uncond + request.cfg_scale * (cond - uncond))
            target = denoised
            if before is not None and following:
                r = math.log(sigmas[i - 1] / sigma) / math.log(sigma / following)
                target = denoised + (denoised - before) / (2 * r)
            x = following / sigma * x + (1 - following / sigma) * target
            before = denoised
        latents = (x / model.scaling_factor).to(next(vae.parameters()).dtype)
        return as_png(vae.decode(latents.contiguous(memory_format=torch.channels_last), return_dict=False)[0])

    return run


def diffusers_pipeline(ours: Ours) -> Callable[[], bytes]:
    pipeline, request = as_pipeline(ours.loaded.built), ours.request

    def run() -> bytes:
        picture = pipeline(
            request.prompt,
            num_inference_steps=request.steps,
            guidance_scale=request.cfg_scale,
            width=request.width,
            height=request.height,
            generator=torch.Generator("cpu").manual_seed(request.seed),
        ).images[0]
        return png_of(picture)

    return run


def as_png(pixels: torch.Tensor) -> bytes:
    found = ((pixels.float()[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return png_of(Image.fromarray(found.permute(1, 2, 0).contiguous().numpy()))


def png_of(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def psnr(one: bytes, other: bytes) -> float:
    """Peak signal-to-noise ratio of two PNGs in dB; infinite when they are equal."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.float64) for png in (one, other))
    error = float(np.mean((a - b) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def measure(name: str, path: Path, side: int, steps: int, pairs: int) -> None:
    ours = Ours(path, side, steps)
    bare, pipeline = bare_loop(ours), diffusers_pipeline(ours)
    picture = ours()
    equal, near = psnr(picture, bare()), psnr(picture, pipeline())
    sys.stderr.write(f"{name}: PSNR to the bare loop {equal:.1f} dB, to diffusers {near:.1f} dB\n")
    if equal < 40:
        raise SystemExit("the bare loop draws another picture: nothing to compare")
    print(compare(f"{name}, bare loop", 1.01, timed(ours), timed(bare), pairs).row(), flush=True)
    print(compare(f"{name}, diffusers", 1.00, timed(ours), timed(pipeline), pairs).row(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--model", type=Path, default=STARTER)
    wanted = parser.parse_args()
    print(heading())
    measure("starter 128x128, 20 steps", wanted.model, 128, 20, wanted.pairs)
    if wanted.big:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "random-sd15.safetensors"
            random_weights.write(path, bundled())
            measure("SD 1.5 random 256x256, 4 steps", path, 256, 4, wanted.pairs)


if __name__ == "__main__":
    main()
