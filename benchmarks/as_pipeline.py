"""The same weights as a diffusers pipeline: the peer of our generation."""

from copy import deepcopy
from pathlib import Path

from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from transformers import CLIPTokenizer

from modules.families.built import TOKENIZER, BuildOptions, Built
from modules.families.kinds.sd15 import build

STARTER = Path(__file__).resolve().parents[1] / "models" / "Stable-diffusion" / "starter.safetensors"


def as_pipeline(model: Built) -> StableDiffusionPipeline:
    """The same U-Net and copies of the rest, all in the U-Net's number type as a pipeline wants it, with DPM++ 2M Karras."""
    pipeline = StableDiffusionPipeline(
        vae=deepcopy(model.vae).to(model.dtype),
        text_encoder=deepcopy(model.text_encoder).to(model.dtype),
        tokenizer=CLIPTokenizer.from_pretrained(TOKENIZER),
        unet=model.unet,
        scheduler=DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_starter_as_folder(folder: Path) -> str:
    """Write the starter as a diffusers folder in the number type we load it in; returns that type's name in torch."""
    model = build(STARTER, BuildOptions())
    as_pipeline(model).save_pretrained(folder)
    return str(model.dtype).removeprefix("torch.")
