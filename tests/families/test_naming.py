"""Names of layers in network files: one for every layer, the same layer under every name, no two layers under one."""

from types import SimpleNamespace

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from modules.core.plugins import Plugins
from modules.diffusion.networks.keys import by_layer
from modules.families import random_weights, single_file
from modules.families.built import BuildOptions
from modules.families.kinds import sd15
from modules.families.naming import layers_of
from modules.families.networks import empty_networks
from modules.families.original_layout import PREFIXES


@pytest.fixture(scope="module")
def built(small_file):
    return sd15.build(small_file, BuildOptions(half=False))


@pytest.fixture(scope="module")
def layers(built):
    return layers_of(built)


def test_every_layer_with_weights_has_its_diffusers_name(built, layers):
    for name, parameter in built.unet.named_parameters():
        layer, _, last = f"unet.{name}".rpartition(".")
        assert getattr(layers[layer], last) is parameter
    for name, parameter in built.text_encoder.named_parameters():
        layer, _, last = name.removeprefix("text_model.").rpartition(".")
        assert getattr(layers[f"text_encoder.text_model.{layer}"], last) is parameter
        assert getattr(layers[f"text_encoder.{layer}"], last) is parameter


@pytest.mark.parametrize(
    ("dotted", "others"),
    [
        (
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
            (
                "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
                "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_out_0",
                "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_out.0",
                "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
                "lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0",
            ),
        ),
        ("unet.conv_in", ("lora_unet_conv_in", "lora_unet_input_blocks_0_0")),
        ("unet.time_embedding.linear_1", ("lora_unet_time_embedding_linear_1", "lora_unet_time_embed_0")),
        ("unet.down_blocks.0.resnets.0.conv1", ("lora_unet_input_blocks_1_0_in_layers_2",)),
        ("unet.down_blocks.0.downsamplers.0.conv", ("lora_unet_input_blocks_2_0_op",)),
        ("unet.mid_block.attentions.0.proj_in", ("lora_unet_middle_block_1_proj_in",)),
        ("unet.up_blocks.1.resnets.0.time_emb_proj", ("lora_unet_output_blocks_2_0_emb_layers_1",)),
        (
            "text_encoder.text_model.encoder.layers.1.self_attn.q_proj",
            (
                "lora_te_text_model_encoder_layers_1_self_attn_q_proj",
                "lora_te1_text_model_encoder_layers_1_self_attn_q_proj",
                "text_model.encoder.layers.1.self_attn.q_proj",
                "encoder.layers.1.self_attn.q_proj",
            ),
        ),
        ("text_encoder.text_model.encoder.layers.0.mlp.fc2", ("lora_te_text_model_encoder_layers_0_mlp_fc2",)),
    ],
)
def test_a_layer_has_all_its_names(layers, dotted, others):
    for other in others:
        assert layers[other] is layers[dotted], other


def test_no_name_is_claimed_twice(layers):
    by_layer = {}
    for name, layer in layers.items():
        by_layer.setdefault(id(layer), set()).add(name)
    assert sum(map(len, by_layer.values())) == len(layers)
    text = {name for name in layers if name.startswith(("text_encoder", "lora_te"))}
    unet = {name for name in layers if name.startswith(("unet", "lora_unet"))}
    assert not {id(layers[name]) for name in text} & {id(layers[name]) for name in unet}


def test_a_second_encoder_has_names_of_its_own(built):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    second = CLIPTextModelWithProjection(CLIPTextConfig(vocab_size=50, projection_dim=16, **sizes))
    pair = SimpleNamespace(unet=built.unet, text_encoder=built.text_encoder, text_encoder_2=second)
    layers = layers_of(pair)
    assert layers["lora_te2_text_model_encoder_layers_0_self_attn_k_proj"].weight.shape == (32, 32)
    assert (
        layers["lora_te2_text_model_encoder_layers_0_self_attn_k_proj"]
        is layers["text_encoder_2.text_model.encoder.layers.0.self_attn.k_proj"]
        is not layers["lora_te1_text_model_encoder_layers_0_self_attn_k_proj"]
    )
    assert layers["text_encoder_2.text_projection"] is layers["lora_te2_text_projection"] is second.text_projection
    assert "encoder.layers.0.self_attn.k_proj" in layers, "names without a network mean the first encoder"
    assert layers["encoder.layers.0.self_attn.k_proj"] is not layers["text_encoder_2.encoder.layers.0.self_attn.k_proj"]


def test_a_refiner_has_the_second_encoder_only(built):
    second = built.text_encoder
    layers = layers_of(SimpleNamespace(unet=built.unet, text_encoder=None, text_encoder_2=second))
    assert "lora_te2_text_model_encoder_layers_0_mlp_fc1" in layers
    assert not [name for name in layers if name.startswith(("lora_te1_", "text_encoder."))]


# Every family


@pytest.fixture(scope="module")
def families():
    plugins = Plugins("engine")
    plugins.add_package("modules.families.kinds")
    return list(plugins.collect("register_families").values())


@pytest.mark.parametrize("kind", ["sd1-inpaint", "sd1-edit", "sd2", "sd2-v", "sdxl", "sdxl-inpaint", "sdxl-refiner"])
def test_the_names_are_those_of_the_file_itself(families, tmp_path, kind):
    """The oracle: an original file's own names lead to layers that hold the same numbers."""
    path = tmp_path / "small.safetensors"
    random_weights.write(path, random_weights.small(kind), family=kind)
    header, tensors = single_file.load(path)
    (family,) = [one for one in families if one.matches(header.shapes)]
    layers = layers_of(family.build(path, BuildOptions(half=False)))
    found = 0
    for name, tensor in tensors.items():
        if name.startswith(PREFIXES["unet"]) and name.endswith(".weight"):
            layer = layers[name.removeprefix("model.").removesuffix(".weight")]
            kohya = name.removeprefix(PREFIXES["unet"]).removesuffix(".weight").replace(".", "_")
            assert layer is layers[f"lora_unet_{kohya}"]
            assert torch.equal(layer.weight.flatten(), tensor.float().flatten()), name
            found += 1
    assert found > 50
    second = kind.startswith("sdxl")
    assert ("lora_te2_text_model_encoder_layers_0_mlp_fc1" in layers) == second
    assert ("lora_te1_text_model_encoder_layers_0_mlp_fc1" in layers) == (kind != "sdxl-refiner")
    assert ("text_encoder.text_model.encoder.layers.0.mlp.fc1" in layers) == (kind != "sdxl-refiner")


def test_sdxl_names_lead_where_diffusers_leads_them():
    """The full-size SDXL, without memory; diffusers translates every kohya name of an attention layer."""
    networks = empty_networks(random_weights.full("sdxl"))
    unet = networks["unet"]
    layers = layers_of(SimpleNamespace(**{part: networks[part] for part in ("unet", "text_encoder", "text_encoder_2")}))
    blocks = ("lora_unet_input_blocks", "lora_unet_middle_block", "lora_unet_output_blocks")
    kohya = [name for name in layers if name.startswith(blocks) and "_attn" in name] + [
        name
        for name in layers
        if name.startswith(("lora_te1_text_model_enc", "lora_te2_text_model_enc")) and "proj" in name
    ]
    down = {name: torch.tensor([[float(number)]]) for number, name in enumerate(kohya)}
    file = {f"{name}.lora_{way}.weight": tensor for name, tensor in down.items() for way in ("down", "up")}
    renamed = _maybe_map_sgm_blocks_to_diffusers(file, unet.config)
    translated, _ = _convert_non_diffusers_lora_to_diffusers(renamed)
    theirs, unknown = by_layer(translated)
    assert not unknown
    assert len(theirs) == len(kohya) == 70 * 8 + (12 + 32) * 4
    for name, parts in theirs.items():
        assert layers[name] is layers[kohya[int(parts["down"])]], name
