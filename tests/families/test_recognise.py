"""What a file is, by its header: the one kind that can draw, and sentences for the others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import read_header
from modules.families.kinds import sd2, sd15, sdxl, sdxl_refiner
from modules.families.recognise import (
    LABELS,
    SD1_UNET,
    SD1_VAE,
    description,
    family_of,
    generation,
    is_refiner,
    is_stable_diffusion_1,
    is_stable_diffusion_2,
    is_stable_diffusion_xl,
)

FAMILIES = [one for kind in (sd15, sd2, sdxl, sdxl_refiner) for one in kind.register_families()]
KNOWN = "(Stable Diffusion 1.x, Stable Diffusion 2.x, Stable Diffusion XL)"

Shapes = dict[str, tuple[int, ...]]

TEXT = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
SD1: Shapes = {SD1_UNET: (320, 4, 3, 3), SD1_VAE: (512, 4, 3, 3), TEXT: (49408, 768)}
OPEN_CLIP = "cond_stage_model.model.token_embedding.weight"
SD2: Shapes = {SD1_UNET: (320, 4, 3, 3), SD1_VAE: (512, 4, 3, 3), OPEN_CLIP: (49408, 1024)}
SDXL: Shapes = {
    SD1_UNET: (320, 4, 3, 3),
    SD1_VAE: (512, 4, 3, 3),
    LABELS: (1280, 2816),
    "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight": (49408, 768),
    "conditioner.embedders.1.model.token_embedding.weight": (49408, 1280),
}
REFINER: Shapes = {
    SD1_UNET: (384, 4, 3, 3),
    SD1_VAE: (512, 4, 3, 3),
    LABELS: (1536, 2560),
    "conditioner.embedders.0.model.token_embedding.weight": (49408, 1280),
}


def of(shapes: Shapes, channels: int) -> Shapes:
    return shapes | {SD1_UNET: (320, channels, 3, 3)}


def without(name: str, shapes: Shapes = SD1) -> Shapes:
    return {key: shape for key, shape in shapes.items() if key != name}


DRAWS = {
    "Stable Diffusion 1.x": SD1,
    "Stable Diffusion 1.x inpainting": of(SD1, 9),
    "Stable Diffusion 1.x InstructPix2Pix": of(SD1, 8),
    "Stable Diffusion 2.x": SD2,
    "Stable Diffusion 2.x inpainting": of(SD2, 9),
    "Stable Diffusion XL": SDXL,
    "Stable Diffusion XL inpainting": of(SDXL, 9),
    "Stable Diffusion XL InstructPix2Pix": of(SDXL, 8),
    "Stable Diffusion XL refiner": REFINER,
}


@pytest.mark.parametrize("name", DRAWS)
def test_exactly_one_family_knows_a_checkpoint(name: str) -> None:
    assert [family.name for family in FAMILIES if family.matches(DRAWS[name])] == [name]
    assert family_of(DRAWS[name], FAMILIES, "x.safetensors").name == name


def test_every_family_has_a_checkpoint_here() -> None:
    assert {family.name for family in FAMILIES} == set(DRAWS)
    words = [word for family in FAMILIES for word in (family.name.lower(), *family.aliases)]
    assert len(words) == len(set(words))


def test_small_and_short_forms_are_known_too(small_file: Path) -> None:
    assert is_stable_diffusion_1(read_header(small_file).shapes)
    short = TEXT.replace("text_model.", "")
    assert is_stable_diffusion_1(without(TEXT) | {short: (49408, 768)})
    long = "conditioner.embedders.0.transformer.text_model."
    shorter = {name.replace(long, long.removesuffix("text_model.")): shape for name, shape in SDXL.items()}
    assert is_stable_diffusion_xl(shorter)
    assert not is_refiner(shorter)


VAELESS = f"checkpoint without its autoencoder (no tensor {SD1_VAE!r})"
UNCLIP = "checkpoint that wants a picture or a class beside the text (unCLIP)"
OTHERS: dict[str, Shapes] = {
    "a file without tensors": {},
    "a Stable Diffusion XL checkpoint": {"conditioner.embedders.0.x": (1,)},
    "a Stable Diffusion 2 checkpoint": {"cond_stage_model.model.x": (1,), SD1_VAE: (1,)},
    "a Stable Diffusion 3 checkpoint": {"model.diffusion_model.joint_blocks.0.x": (1,)},
    "a Flux checkpoint": {"double_blocks.0.img_attn.qkv.weight": (1, 1)},
    "a LoRA": {"lora_unet_down_blocks_0.lora_down.weight": (4, 320)},
    "a ControlNet": {"control_model.input_blocks.0.0.weight": (1,)},
    "a diffusers U-Net without autoencoder and text encoder": {"down_blocks.0.resnets.0.conv1.weight": (1,)},
    "an autoencoder alone": {SD1_VAE: (512, 4, 3, 3)},
    "a text encoder alone": {"text_model.embeddings.token_embedding.weight": (49408, 768)},
    "a textual inversion embedding": {"emb_params": (4, 768)},
    "an upscaler": {"conv_first.weight": (64, 3, 3, 3)},
    "a Stable Diffusion 1.x upscaling checkpoint": of(SD1, 7),
    "a Stable Diffusion 1.x 6-channel checkpoint": of(SD1, 6),
    "a Stable Diffusion 2.x depth checkpoint": of(SD2, 5),
    f"a Stable Diffusion 2.x {UNCLIP}": SD2 | {LABELS: (1280, 2048)},
    f"a Stable Diffusion 1.x {VAELESS}": without(SD1_VAE),
    f"a Stable Diffusion 2.x {VAELESS}": without(SD1_VAE, SD2),
    f"a Stable Diffusion XL {VAELESS}": without(SD1_VAE, SDXL),
    "of an unknown kind (its first tensor is 'weight')": {"weight": (1,)},
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_files_are_named(what: str) -> None:
    assert description(OTHERS[what]) == what
    assert not any(family.matches(OTHERS[what]) for family in FAMILIES)
    with pytest.raises(InvalidModelFile) as refusal:
        family_of(OTHERS[what], FAMILIES, "x.safetensors")
    assert f"x.safetensors is {what}, not a checkpoint that can draw {KNOWN}." in str(refusal.value)


@pytest.mark.parametrize("shape", [(), (320,), (320, 4), (320, 4, 3, 3, 1), (0, 0, 0, 0)])
@pytest.mark.parametrize("whole", [SD1, SD2, SDXL, REFINER])
def test_an_odd_first_layer_is_no_reason_to_fall_over(shape: tuple[int, ...], whole: Shapes) -> None:
    odd = whole | {SD1_UNET: shape}
    assert not any(family.matches(odd) for family in FAMILIES)
    assert "Stable Diffusion" in description(odd)


def test_half_a_pair_of_text_encoders_is_nothing() -> None:
    first = {name: shape for name, shape in SDXL.items() if "embedders.1" not in name}
    assert generation(first) == 0
    assert not any(family.matches(first) for family in FAMILIES)
    assert not is_stable_diffusion_2(SDXL)


def test_exactly_one_family_must_say_yes() -> None:
    ours = FAMILIES[0]
    greedy: Any = SimpleNamespace(name="Everything", matches=lambda shapes: True)
    assert family_of(SD1, [ours], "x") is ours
    with pytest.raises(InvalidModelFile, match=r"claimed by Stable Diffusion 1\.x and Everything"):
        family_of(SD1, [ours, greedy], "x")
