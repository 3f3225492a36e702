"""Under which names network files (LoRA and the like) address the layers of a model.

kohya's tools write underscores (`lora_unet_down_blocks_0_…`, `lora_te_text_model_…`; for SDXL the U-Net in the order
of the original files, `lora_unet_input_blocks_4_1_…`, and `lora_te1_`, `lora_te2_`); diffusers and peft write dots
(`unet.down_blocks.0.…`, `text_encoder.text_model.…`), peft alone without the network's name. Files have the level
`text_model` in CLIP's names whether or not the installed transformers has it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from modules.families.built import Built
from modules.families.original_layout import PREFIXES, UNET, sources

LEVEL = "text_model."
# by attribute of Built: what stands in place of it in kohya's names; a model with one encoder calls it `te`
KOHYA = {"text_encoder": ("lora_te1_", "lora_te_"), "text_encoder_2": ("lora_te2_",)}


def layers_of(built: Built) -> dict[str, nn.Module]:
    """Every layer with weights of the U-Net and the text encoders, under each of its names."""
    layers: dict[str, nn.Module] = {}
    for part in KOHYA:
        network = getattr(built, part, None)
        if network is not None:
            layers |= {name: layer for layer, names in _text_layers(network, part) for name in names if name}
    for layer, names in _unet_layers(built.unet):
        layers |= dict.fromkeys(names, layer)
    return layers


def _with_weights(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in network.named_modules():
        if name and next(module.parameters(recurse=False), None) is not None:
            yield name, module


def _text_layers(network: nn.Module, part: str) -> Iterator[tuple[nn.Module, list[str]]]:
    for found, module in _with_weights(network):
        name = found.removeprefix(LEVEL)
        # the projection stands beside the tower, not in it
        long = name if name.startswith("text_projection") else LEVEL + name
        kohya = [prefix + one.replace(".", "_") for prefix in KOHYA[part] for one in (long, name)]
        bare = [name, long] if part == "text_encoder" else []
        yield module, [f"{part}.{name}", f"{part}.{long}", *bare, *kohya]


def _unet_layers(unet: Any) -> Iterator[tuple[nn.Module, list[str]]]:
    layers = dict(_with_weights(unet))
    in_file = _names_in_file(unet.config, layers)
    for name, module in layers.items():
        names = [name, f"unet.{name}", *_underscored(name)]
        if name in in_file:
            names += [f"diffusion_model.{in_file[name]}", *_underscored(in_file[name])]
        yield module, names


def _underscored(name: str) -> list[str]:
    joined = name.replace(".", "_")
    return [f"lora_unet_{joined}", f"lycoris_{joined}"]


def _names_in_file(config: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """What the original files call these layers of the U-Net; nothing for a form of U-Net that no such file has."""
    prefix = PREFIXES[UNET]
    try:
        found = sources(UNET, config, [f"{name}.weight" for name in names])
    except (KeyError, ValueError, TypeError):
        return {}
    return {
        name.removesuffix(".weight"): source.name.removeprefix(prefix).removesuffix(".weight")
        for name, source in found.items()
    }
