"""What a file is, from the names and shapes in its header alone. Imports no torch: the web process may ask too."""

from collections.abc import Iterable, Mapping

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Family

Shapes = Mapping[str, tuple[int, ...]]

SD1_UNET = "model.diffusion_model.input_blocks.0.0.weight"
SD1_VAE = "first_stage_model.decoder.conv_in.weight"
SD1_TEXT = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.embeddings.")

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


def is_stable_diffusion_1(shapes: Shapes) -> bool:
    """A whole text-to-image checkpoint in the layout of Stable Diffusion 1.x: any sizes, epsilon on 4 channels."""
    start = shapes.get(SD1_UNET, ())
    text = any(name.startswith(SD1_TEXT) for name in shapes)
    return len(start) == 4 and start[1] == 4 and SD1_VAE in shapes and text and not _begins(shapes, "conditioner.")


def family_of(shapes: Shapes, families: Iterable[Family], file_name: str) -> Family:
    """The one family that knows this file. Raises InvalidModelFile that says what the file is instead."""
    found = [family for family in families if family.matches(shapes)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(family.name for family in found)
        raise InvalidModelFile(f"{file_name} is claimed by {names}; disable the extension that brings one of them.")
    known = ", ".join(family.name for family in families)
    raise InvalidModelFile(f"{file_name} is {description(shapes)}, not a checkpoint that can draw ({known}).")


def description(shapes: Shapes) -> str:
    """What a file seems to be, with its article; for a message.

    >>> description({"lora_unet_x.lora_up.weight": (4, 4)})
    'a LoRA'
    """
    if not shapes:
        return "a file without tensors"
    if SD1_UNET in shapes and _begins(shapes, *SD1_TEXT):
        return _nearly_stable_diffusion_1(shapes)
    for what, starts in OTHERS:
        if _begins(shapes, *starts):
            return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
    return f"of an unknown kind (its first tensor is {next(iter(shapes))[:100]!r})"


def _nearly_stable_diffusion_1(shapes: Shapes) -> str:
    if SD1_VAE not in shapes:
        return f"a Stable Diffusion 1.x checkpoint without its autoencoder (no tensor {SD1_VAE!r})"
    channels = shapes[SD1_UNET][1] if len(shapes[SD1_UNET]) == 4 else 0
    kind = {9: "inpainting", 8: "image-editing", 5: "depth"}.get(channels, f"{channels}-channel")
    return f"a Stable Diffusion 1.x {kind} checkpoint"


def _begins(shapes: Shapes, *starts: str) -> bool:
    return any(name.startswith(starts) for name in shapes)
