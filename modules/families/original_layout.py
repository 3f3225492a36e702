"""The key layout of the original Stable Diffusion files, and how the modules of diffusers and transformers name the same.

One file holds all networks: `model.diffusion_model.…` (U-Net), `first_stage_model.…` (autoencoder) and below
`cond_stage_model` or `conditioner` the text encoders, CLIP's in the names of transformers, OpenCLIP's in its own
(`open_clip.py`). The layout is that of CompVis' latent diffusion (Rombach et al. 2022, arXiv:2112.10752), in which blocks
are numbered in the order they run. Any configuration of this kind works: number of levels, layers per level, and which
levels have attention are read from it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from modules.families.open_clip import Source, place_in_open_clip

UNET, VAE, TEXT_ENCODER, TEXT_ENCODER_2 = "unet", "vae", "text_encoder", "text_encoder_2"
TEXT_ENCODERS = (TEXT_ENCODER, TEXT_ENCODER_2)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the text encoders of a kind of file lie: `text`, the start of their tensors' names by part.

    `open_clip`: the parts that are stored as OpenCLIP names them.
    """

    text: Mapping[str, str] = field(default_factory=lambda: {TEXT_ENCODER: "cond_stage_model.transformer.text_model."})
    open_clip: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The networks of such a file."""
        return (UNET, VAE, *self.text)

    def prefix(self, part: str) -> str:
        """What the names of this part's tensors begin with."""
        return PREFIXES.get(part) or self.text[part]


PREFIXES = {UNET: "model.diffusion_model.", VAE: "first_stage_model."}
STABLE_DIFFUSION_1 = Layout()

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


def sources(
    part: str, config: Mapping[str, Any], names: Iterable[str], layout: Layout = STABLE_DIFFUSION_1
) -> dict[str, Source]:
    """Where each parameter of a network lies in the file. Raises KeyError for one that has no place there.

    names: as diffusers or transformers call them. config: diffusers' configuration of the part.
    """
    prefix = layout.prefix(part)
    if part in layout.open_clip:
        return {name: place_in_open_clip(prefix, _bare(name)) for name in names}
    if part in TEXT_ENCODERS:
        return {name: Source(prefix + _bare(name)) for name in names}
    modules = dict(_unet_modules(config) if part == UNET else _vae_modules(config))
    return {name: Source(prefix + _translated(name, modules)) for name in names}


def to_original(
    parts: Mapping[str, Mapping[str, Tensor]],
    config: Mapping[str, Mapping[str, Any]],
    layout: Layout = STABLE_DIFFUSION_1,
) -> dict[str, Tensor]:
    """State dicts of the networks (any of "unet", "vae", "text_encoder", "text_encoder_2") as the tensors of one file.

    `config` holds diffusers' configuration of each part.
    """
    found: dict[str, Tensor] = {}
    thirds: dict[str, dict[int, Tensor]] = {}
    for part, tensors in parts.items():
        for name, source in sources(part, config.get(part, {}), tensors, layout).items():
            tensor = _as_convolution(tensors[name]) if is_vae_projection(part, name) else tensors[name]
            if source.third is None:
                found[source.name] = tensor.t() if source.turned else tensor
            else:
                thirds.setdefault(source.name, {})[source.third] = tensor
    return found | {name: torch.cat([three[0], three[1], three[2]]) for name, three in thirds.items()}


def _bare(name: str) -> str:
    """Without the level that transformers has above the layers where a projection stands beside them."""
    return name.removeprefix("text_model.")


def _translated(name: str, modules: Mapping[str, str]) -> str:
    module, _, rest = name.rpartition(".")
    while module and module not in modules:
        module, _, more = module.rpartition(".")
        rest = f"{more}.{rest}"
    return f"{modules[module]}.{rest}"


def usual_name(name: str) -> str:
    """Some tools save CLIP without the level that older releases of transformers had above it; with it, it is usual."""
    for short in ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer."):
        if name.startswith(short) and not name.startswith(short + "text_"):
            return f"{short}text_model.{name.removeprefix(short)}"
    return name


def is_vae_projection(part: str, name: str) -> bool:
    """The autoencoder's attention: linear layers in diffusers, 1x1 convolutions in the file."""
    return part == VAE and ".attentions." in name and name.endswith("weight") and "group_norm" not in name


def _as_convolution(tensor: Tensor) -> Tensor:
    return tensor[:, :, None, None] if tensor.ndim == 2 else tensor


# Which module is which -------------------------------------------------------------------------------------------------


def _unet_modules(config: Mapping[str, Any]) -> Iterator[Pair]:
    yield from [("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2")]
    yield from [("add_embedding.linear_1", "label_emb.0.0"), ("add_embedding.linear_2", "label_emb.0.2")]
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
