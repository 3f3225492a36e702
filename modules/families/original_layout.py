"""The key layout of the original Stable Diffusion 1.x files, and how the modules of diffusers and transformers name the same.

One file holds three networks: `model.diffusion_model.…` (U-Net), `first_stage_model.…` (autoencoder) and
`cond_stage_model.transformer.text_model.…` (CLIP's text tower). The layout is that of CompVis' latent diffusion
(Rombach et al. 2022, arXiv:2112.10752), in which blocks are numbered in the order they run. Any configuration of this
kind works: number of levels, layers per level, and which levels have attention are read from it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

UNET, VAE, TEXT_ENCODER = "unet", "vae", "text_encoder"
PREFIXES = {
    UNET: "model.diffusion_model.",
    VAE: "first_stage_model.",
    TEXT_ENCODER: "cond_stage_model.transformer.text_model.",
}
# Some tools save the text tower without the level that older releases of transformers had above it.
SHORT_TEXT_PREFIX = "cond_stage_model.transformer."

Pair = tuple[str, str]  # (module in diffusers, module in the file)

RESNET_IN_UNET: tuple[Pair, ...] = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)
RESNET_IN_VAE: tuple[Pair, ...] = (
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
    ("conv_shortcut", "nin_shortcut"),
)
ATTENTION_IN_VAE: tuple[Pair, ...] = (
    ("group_norm", "norm"),
    ("to_q", "q"),
    ("to_k", "k"),
    ("to_v", "v"),
    ("to_out.0", "proj_out"),
)


@dataclass(frozen=True, kw_only=True)
class Names:
    """Tensor names of one network in both directions. `modules` are the pairs from which they follow."""

    prefix: str
    modules: Mapping[str, str]

    def original(self, name: str) -> str:
        """The name in the file of a tensor that diffusers calls `name`. Raises KeyError for one that has no place there."""
        module, _, rest = name.rpartition(".")
        while module and module not in self.modules:
            module, _, more = module.rpartition(".")
            rest = f"{more}.{rest}"
        return f"{self.prefix}{self.modules[module]}.{rest}"


def to_original(
    parts: Mapping[str, Mapping[str, Tensor]], config: Mapping[str, Mapping[str, Any]]
) -> dict[str, Tensor]:
    """State dicts of the networks ("unet", "vae", "text_encoder"; any of them) as the tensors of one file.

    `config` holds diffusers' configuration of each part. The inverse of `from_original`, exactly.
    """
    found: dict[str, Tensor] = {}
    for part, tensors in parts.items():
        names = names_of(part, config[part])
        for name, tensor in tensors.items():
            original = names.original(name.removeprefix("text_model.") if part == TEXT_ENCODER else name)
            found[original] = _as_convolution(tensor) if _is_vae_projection(part, name) else tensor
    return found


def from_original(
    tensors: Mapping[str, Tensor], config: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Tensor]]:
    """The tensors of one file as state dicts of the parts that `config` names.

    What belongs to none of them (EMA copies, tables of noise levels) is left out.
    """
    found: dict[str, dict[str, Tensor]] = {part: {} for part in config}
    for part, parameters in found.items():
        back = {original: ours for ours, original in names_of(part, config[part]).modules.items()}
        names = Names(prefix="", modules=back)
        for name, tensor in tensors.items():
            ours = _diffusers_name(names, part, name)
            if ours:
                parameters[ours] = tensor.flatten(1) if _is_vae_projection(part, ours) else tensor
    return found


def _diffusers_name(names: Names, part: str, name: str) -> str:
    if part == TEXT_ENCODER:
        name = with_long_prefix(name)
    if not name.startswith(PREFIXES[part]) or name.endswith("position_ids"):
        return ""
    try:
        return names.original(name.removeprefix(PREFIXES[part])).removeprefix(".")
    except KeyError:
        return ""


def with_long_prefix(name: str) -> str:
    """The text tower's tensor names as the original layout has them."""
    if name.startswith(SHORT_TEXT_PREFIX) and not name.startswith(PREFIXES[TEXT_ENCODER]):
        return PREFIXES[TEXT_ENCODER] + name.removeprefix(SHORT_TEXT_PREFIX)
    return name


def _is_vae_projection(part: str, name: str) -> bool:
    """The autoencoder's attention: linear layers in diffusers, 1x1 convolutions in the file."""
    return part == VAE and ".attentions." in name and name.endswith("weight") and "group_norm" not in name


def _as_convolution(tensor: Tensor) -> Tensor:
    return tensor[:, :, None, None] if tensor.ndim == 2 else tensor


# Which module is which -------------------------------------------------------------------------------------------------


def names_of(part: str, config: Mapping[str, Any]) -> Names:
    """The name table of one part with this configuration."""
    if part == UNET:
        return Names(prefix=PREFIXES[UNET], modules=dict(_unet_modules(config)))
    if part == VAE:
        return Names(prefix=PREFIXES[VAE], modules=dict(_vae_modules(config)))
    same = ("embeddings", "encoder", "final_layer_norm")
    return Names(prefix=PREFIXES[TEXT_ENCODER], modules={name: name for name in same})


def _unet_modules(config: Mapping[str, Any]) -> Iterator[Pair]:
    yield from [("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2")]
    yield from [("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2")]
    layers = _layers_of_levels(config)
    yield from _unet_down(config["down_block_types"], layers)
    yield from _unet_middle(config.get("mid_block_type", "UNetMidBlock2DCrossAttn"))
    yield from _unet_up(config["up_block_types"], layers[::-1])


def _unet_down(kinds: list[str], layers: list[int]) -> Iterator[Pair]:
    number = 1  # input block 0 is the first convolution
    for level, (kind, count) in enumerate(zip(kinds, layers, strict=True)):
        for layer in range(count):
            yield from _resnet(f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{number}.0", RESNET_IN_UNET)
            if "CrossAttn" in kind:
                yield f"down_blocks.{level}.attentions.{layer}", f"input_blocks.{number}.1"
            number += 1
        if level < len(kinds) - 1:
            yield f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{number}.0.op"
            number += 1


def _unet_middle(kind: str | None) -> Iterator[Pair]:
    if kind is None:
        return
    with_attention = "CrossAttn" in kind
    yield from _resnet("mid_block.resnets.0", "middle_block.0", RESNET_IN_UNET)
    if with_attention:
        yield "mid_block.attentions.0", "middle_block.1"
    yield from _resnet("mid_block.resnets.1", f"middle_block.{2 if with_attention else 1}", RESNET_IN_UNET)


def _unet_up(kinds: list[str], layers: list[int]) -> Iterator[Pair]:
    number = 0
    for level, (kind, count) in enumerate(zip(kinds, layers, strict=True)):
        for layer in range(count + 1):
            yield from _resnet(f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{number}.0", RESNET_IN_UNET)
            if "CrossAttn" in kind:
                yield f"up_blocks.{level}.attentions.{layer}", f"output_blocks.{number}.1"
            number += 1
        if level < len(kinds) - 1:
            place = 2 if "CrossAttn" in kind else 1
            yield f"up_blocks.{level}.upsamplers.0.conv", f"output_blocks.{number - 1}.{place}.conv"


def _vae_modules(config: Mapping[str, Any]) -> Iterator[Pair]:
    yield from [("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv")]
    levels = len(config["block_out_channels"])
    for half in ("encoder", "decoder"):
        for name, original in (("conv_in", "conv_in"), ("conv_norm_out", "norm_out"), ("conv_out", "conv_out")):
            yield f"{half}.{name}", f"{half}.{original}"
        for layer in (0, 1):
            yield from _resnet(f"{half}.mid_block.resnets.{layer}", f"{half}.mid.block_{layer + 1}", RESNET_IN_VAE)
        yield from _resnet(f"{half}.mid_block.attentions.0", f"{half}.mid.attn_1", ATTENTION_IN_VAE)
    for level in range(levels):
        yield from _vae_level("encoder.down_blocks", f"encoder.down.{level}", level, config)
        # the file numbers the decoder's levels by resolution, diffusers in the order they run
        yield from _vae_level("decoder.up_blocks", f"decoder.up.{levels - 1 - level}", level, config)


def _vae_level(blocks: str, original: str, level: int, config: Mapping[str, Any]) -> Iterator[Pair]:
    encoding = blocks.startswith("encoder")
    for layer in range(config["layers_per_block"] + (0 if encoding else 1)):
        yield from _resnet(f"{blocks}.{level}.resnets.{layer}", f"{original}.block.{layer}", RESNET_IN_VAE)
    sampler, name = ("downsamplers", "downsample") if encoding else ("upsamplers", "upsample")
    yield f"{blocks}.{level}.{sampler}.0.conv", f"{original}.{name}.conv"


def _resnet(ours: str, original: str, inner: tuple[Pair, ...]) -> Iterator[Pair]:
    return ((f"{ours}.{one}", f"{original}.{other}") for one, other in inner)


def _layers_of_levels(config: Mapping[str, Any]) -> list[int]:
    layers = config["layers_per_block"]
    return [layers] * len(config["down_block_types"]) if isinstance(layers, int) else list(layers)
