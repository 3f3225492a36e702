"""What a file is, from the names and shapes in its header alone. Imports no torch: the web process may ask too."""

from collections.abc import Iterable, Mapping

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Family

Shapes = Mapping[str, tuple[int, ...]]

SD1_UNET = "model.diffusion_model.input_blocks.0.0.weight"
SD1_VAE = "first_stage_model.decoder.conv_in.weight"
LABELS = "model.diffusion_model.label_emb.0.0.weight"  # SDXL's sizes; other models' classes
CLIP = "cond_stage_model.transformer.text_model."
SD1_TEXT = (CLIP, "cond_stage_model.transformer.embeddings.")
OPEN_CLIP = "cond_stage_model.model."
XL_CLIP = "conditioner.embedders.0.transformer.text_model."
XL_TEXT = (XL_CLIP, "conditioner.embedders.0.transformer.embeddings.")
XL_OPEN_CLIP = "conditioner.embedders.1.model."
XL_REFINER = "conditioner.embedders.0.model."
LARGE = "Stable Diffusion XL"

# (what it is, what to look for at the start of tensor names); the first that fits names the file
OTHERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Stable Diffusion XL checkpoint", ("conditioner.embedders.",)),
    ("Stable Diffusion 2 checkpoint", ("cond_stage_model.model.",)),
    ("Stable Diffusion 3 checkpoint", ("model.diffusion_model.joint_blocks.", "joint_blocks.")),
    ("Flux checkpoint", ("double_blocks.", "model.diffusion_model.double_blocks.")),
    ("LoRA", ("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_", "unet.down_blocks.0.attentions", "transformer.")),
    ("ControlNet", ("control_model.", "input_hint_block.", "controlnet_cond_embedding.")),
    ("diffusers U-Net without autoencoder and text encoder", ("down_blocks.", "time_embedding.")),
    ("autoencoder alone", ("first_stage_model.", "encoder.conv_in", "decoder.conv_in")),
    ("text encoder alone", ("text_model.", "cond_stage_model.")),
    ("textual inversion embedding", ("emb_params", "string_to_param", "clip_l", "clip_g")),
    ("upscaler", ("conv_first.", "model.0.weight", "body.")),
)


def is_stable_diffusion_1(shapes: Shapes, channels: int = 4) -> bool:
    """A whole checkpoint in the layout of Stable Diffusion 1.x, of any sizes, whose U-Net takes so many channels."""
    return _whole(shapes, channels) and generation(shapes) == 1


def is_stable_diffusion_2(shapes: Shapes, channels: int = 4) -> bool:
    """As `is_stable_diffusion_1`, of the second version; not those that are told classes or pictures (unCLIP)."""
    return _whole(shapes, channels) and generation(shapes) == 2 and LABELS not in shapes


def is_stable_diffusion_xl(shapes: Shapes, channels: int = 4) -> bool:
    """As `is_stable_diffusion_1`, of SDXL with both text encoders."""
    return _whole(shapes, channels) and generation(shapes) == 3 and LABELS in shapes and not _is_refiner(shapes)


def is_refiner(shapes: Shapes) -> bool:
    """The refiner of SDXL, which has the larger text encoder only."""
    return _whole(shapes, 4) and generation(shapes) == 3 and LABELS in shapes and _is_refiner(shapes)


def generation(shapes: Shapes) -> int:
    """By the text encoders: 1, 2 or 3 (SDXL) of Stable Diffusion; 0 is none of them."""
    if _begins(shapes, "conditioner."):
        both = _begins(shapes, *XL_TEXT) and _begins(shapes, XL_OPEN_CLIP)
        return 3 if both or _is_refiner(shapes) else 0
    if _begins(shapes, OPEN_CLIP):
        return 2
    return 1 if _begins(shapes, *SD1_TEXT) else 0


def _is_refiner(shapes: Shapes) -> bool:
    return _begins(shapes, XL_REFINER) and not _begins(shapes, "conditioner.embedders.1.")


def _whole(shapes: Shapes, channels: int) -> bool:
    return _channels(shapes) == channels and SD1_VAE in shapes


def _channels(shapes: Shapes) -> int:
    """What the U-Net takes: 4 latents, and for inpainting or editing more."""
    first = shapes.get(SD1_UNET, ())
    return first[1] if len(first) == 4 else 0


def family_of(shapes: Shapes, families: Iterable[Family], file_name: str) -> Family:
    """The one family that knows this file. Raises InvalidModelFile that says what the file is instead."""
    found = [family for family in families if family.matches(shapes)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(family.name for family in found)
        raise InvalidModelFile(f"{file_name} is claimed by {names}; disable the extension that brings one of them.")
    names = [family.name for family in families]
    known = ", ".join(name for name in names if not any(name.startswith(f"{other} ") for other in names))
    raise InvalidModelFile(f"{file_name} is {description(shapes)}, not a checkpoint that can draw ({known}).")


def description(shapes: Shapes) -> str:
    """What a file seems to be, with its article; for a message.

    >>> description({"lora_unet_x.lora_up.weight": (4, 4)})
    'a LoRA'
    """
    if not shapes:
        return "a file without tensors"
    if SD1_UNET in shapes and generation(shapes):
        return _nearly(shapes, ("Stable Diffusion 1.x", "Stable Diffusion 2.x", LARGE)[generation(shapes) - 1])
    for what, starts in OTHERS:
        if _begins(shapes, *starts):
            return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
    return f"of an unknown kind (its first tensor is {next(iter(shapes))[:100]!r})"


def _nearly(shapes: Shapes, version: str) -> str:
    if SD1_VAE not in shapes:
        return f"a {version} checkpoint without its autoencoder (no tensor {SD1_VAE!r})"
    if version != LARGE and LABELS in shapes:
        return f"a {version} checkpoint that wants a picture or a class beside the text (unCLIP)"
    channels = _channels(shapes)
    kind = {9: "inpainting", 8: "image-editing", 5: "depth", 7: "upscaling"}.get(channels, f"{channels}-channel")
    return f"a {version} {kind} checkpoint"


def _begins(shapes: Shapes, *starts: str) -> bool:
    return any(name.startswith(starts) for name in shapes)
