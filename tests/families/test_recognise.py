"""What a file is, by its header: the one kind that can draw, and sentences for the others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import read_header
from modules.families.kinds.sd15 import register_families
from modules.families.recognise import SD1_UNET, SD1_VAE, description, family_of, is_stable_diffusion_1

TEXT = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
SD1: dict[str, tuple[int, ...]] = {SD1_UNET: (320, 4, 3, 3), SD1_VAE: (512, 4, 3, 3), TEXT: (49408, 768)}


def without(name: str) -> dict[str, tuple[int, ...]]:
    return {key: shape for key, shape in SD1.items() if key != name}


def test_stable_diffusion_1_is_known(small_file: Path) -> None:
    assert is_stable_diffusion_1(SD1)
    assert is_stable_diffusion_1(read_header(small_file).shapes)
    short = TEXT.replace("text_model.", "")
    assert is_stable_diffusion_1(without(TEXT) | {short: (49408, 768)})


OTHERS: dict[str, dict[str, tuple[int, ...]]] = {
    "a file without tensors": {},
    "a Stable Diffusion XL checkpoint": {SD1_UNET: (320, 4, 3, 3), "conditioner.embedders.0.x": (1,)},
    "a Stable Diffusion 2 checkpoint": {SD1_UNET: (320, 4, 3, 3), "cond_stage_model.model.x": (1,), SD1_VAE: (1,)},
    "a Stable Diffusion 3 checkpoint": {"model.diffusion_model.joint_blocks.0.x": (1,)},
    "a Flux checkpoint": {"double_blocks.0.img_attn.qkv.weight": (1, 1)},
    "a LoRA": {"lora_unet_down_blocks_0.lora_down.weight": (4, 320)},
    "a ControlNet": {"control_model.input_blocks.0.0.weight": (1,)},
    "a diffusers U-Net without autoencoder and text encoder": {"down_blocks.0.resnets.0.conv1.weight": (1,)},
    "an autoencoder alone": {SD1_VAE: (512, 4, 3, 3)},
    "a text encoder alone": {"text_model.embeddings.token_embedding.weight": (49408, 768)},
    "a textual inversion embedding": {"emb_params": (4, 768)},
    "an upscaler": {"conv_first.weight": (64, 3, 3, 3)},
    "a Stable Diffusion 1.x inpainting checkpoint": SD1 | {SD1_UNET: (320, 9, 3, 3)},
    "a Stable Diffusion 1.x image-editing checkpoint": SD1 | {SD1_UNET: (320, 8, 3, 3)},
    "a Stable Diffusion 1.x 7-channel checkpoint": SD1 | {SD1_UNET: (320, 7, 3, 3)},
    f"a Stable Diffusion 1.x checkpoint without its autoencoder (no tensor {SD1_VAE!r})": without(SD1_VAE),
    "of an unknown kind (its first tensor is 'weight')": {"weight": (1,)},
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_files_are_named(what: str) -> None:
    assert description(OTHERS[what]) == what
    assert not is_stable_diffusion_1(OTHERS[what])
    with pytest.raises(InvalidModelFile) as refusal:
        family_of(OTHERS[what], register_families(), "x.safetensors")
    assert f"x.safetensors is {what}, not a checkpoint that can draw (Stable Diffusion 1.x)." in str(refusal.value)


@pytest.mark.parametrize("shape", [(), (320,), (320, 4), (320, 4, 3, 3, 1), (0, 0, 0, 0)])
def test_an_odd_first_layer_is_no_reason_to_fall_over(shape: tuple[int, ...]) -> None:
    assert not is_stable_diffusion_1(SD1 | {SD1_UNET: shape})
    assert "Stable Diffusion 1.x" in description(SD1 | {SD1_UNET: shape})


def test_exactly_one_family_must_say_yes() -> None:
    (ours,) = register_families()
    greedy: Any = SimpleNamespace(name="Everything", matches=lambda shapes: True)
    assert family_of(SD1, [ours], "x") is ours
    with pytest.raises(InvalidModelFile, match=r"claimed by Stable Diffusion 1\.x and Everything"):
        family_of(SD1, [ours, greedy], "x")
