"""A network that says in a sentence what a picture shows: BLIP, Li et al. 2022, arXiv:2201.12086, from a folder in the
form of transformers (`config.json`, `model.safetensors`, the tokenizer's files)."""

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil

from modules.core.errors import InvalidModelFile

LONGEST, BEAMS = 40, 3  # tokens; texts that are followed side by side
FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError)

Captioner = Callable[[Image.Image], str]


def is_captioner(folder: Path) -> bool:
    """Whether there is one; it may still turn out broken."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def load_captioner(folder: Path, device: torch.device) -> Captioner:
    """A function from an RGB picture to a sentence. Nothing is fetched and no code of the folder is run.

    Raises InvalidModelFile.
    """
    try:
        model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        size = model.config.vision_config.image_size
        processor = BlipImageProcessorPil(size={"height": size, "width": size})
    except FAULTS as error:
        raise InvalidModelFile(f"The captioner in {folder.name} cannot be loaded: {str(error)[:300]}") from error
    model = model.to(device).eval()

    @torch.inference_mode()
    def caption(image: Image.Image) -> str:
        pixels = processor(images=image, return_tensors="pt")["pixel_values"].to(device)
        ids = model.generate(pixel_values=pixels, max_new_tokens=LONGEST, num_beams=BEAMS)
        return tokenizer.decode(ids[0], skip_special_tokens=True).strip()

    return caption
