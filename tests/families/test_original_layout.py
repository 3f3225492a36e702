"""The original layout: against diffusers' own conversion, and there and back again."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.families.configuration import bundled
from modules.families.open_clip import Source, place_in_open_clip
from modules.families.original_layout import PREFIXES, Layout, is_vae_projection, sources, to_original, usual_name

UNETS: dict[str, dict[str, Any]] = {
    "two levels": {
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    },
    "three levels, no attention in the first": {
        "block_out_channels": (32, 32, 64),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 2,
        "cross_attention_dim": 16,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    },
}
VAES: dict[str, dict[str, Any]] = {
    "with attention": {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "layers_per_block": 2,
        "norm_num_groups": 8,
    },
    "as the starter's": {
        "block_out_channels": (32, 48, 64, 96),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 1,
        "norm_num_groups": 16,
        "mid_block_add_attention": False,
    },
}
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 99}


SD1 = Layout()


def back(
    original: dict[str, torch.Tensor],
    part: str,
    config: Mapping[str, Any],
    names: Mapping[str, torch.Tensor],
    layout: Layout = SD1,
) -> dict[str, torch.Tensor]:
    """The parameters of a network as the file's tensors give them."""
    found = {
        name: source.of(original[source.name]) for name, source in sources(part, config, list(names), layout).items()
    }
    return {name: one.flatten(1) if is_vae_projection(part, name) else one for name, one in found.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", UNETS)
def test_a_unet_goes_there_and_back_and_diffusers_reads_it_alike(kind: str) -> None:
    config = {"unet": UNETS[kind]}
    unet = UNet2DConditionModel(**UNETS[kind])
    original = to_original({"unet": unet.state_dict()}, config)
    assert all(name.startswith("model.diffusion_model.") for name in original)
    assert same(back(original, "unet", config["unet"], unet.state_dict()), unet.state_dict())
    assert same(convert_ldm_unet_checkpoint(dict(original), dict(unet.config)), unet.state_dict())


@pytest.mark.parametrize("kind", VAES)
def test_an_autoencoder_goes_there_and_back_and_diffusers_reads_it_alike(kind: str) -> None:
    config = {"vae": VAES[kind]}
    vae = AutoencoderKL(**VAES[kind])
    original = to_original({"vae": vae.state_dict()}, config)
    assert all(name.startswith("first_stage_model.") for name in original)
    assert same(back(original, "vae", config["vae"], vae.state_dict()), vae.state_dict())
    assert same(convert_ldm_vae_checkpoint(dict(original), dict(vae.config)), vae.state_dict())


def test_the_vae_s_attention_is_stored_as_convolutions() -> None:
    vae = AutoencoderKL(**VAES["with attention"])
    original = to_original({"vae": vae.state_dict()}, {"vae": VAES["with attention"]})
    assert original["first_stage_model.encoder.mid.attn_1.q.weight"].shape == (16, 16, 1, 1)


def test_a_text_tower_goes_there_and_back_and_diffusers_reads_it_alike() -> None:
    tower = CLIPTextModel(CLIPTextConfig(**TEXT))
    original = to_original({"text_encoder": tower.state_dict()}, {"text_encoder": TEXT})
    assert same(back(original, "text_encoder", TEXT, tower.state_dict()), tower.state_dict())
    theirs = {
        name.removeprefix("text_model."): one for name, one in convert_ldm_clip_checkpoint(dict(original)).items()
    }
    assert same(theirs, tower.state_dict())


@pytest.mark.parametrize("start", ["cond_stage_model.transformer.", "conditioner.embedders.0.transformer."])
def test_a_text_tower_saved_without_the_level_above_gets_the_usual_names(start: str) -> None:
    assert usual_name(f"{start}encoder.layers.0.mlp.fc1.bias") == f"{start}text_model.encoder.layers.0.mlp.fc1.bias"
    for usual in (f"{start}text_model.final_layer_norm.bias", f"{start}text_projection.weight", "unet.x"):
        assert usual_name(usual) == usual


# OpenCLIP -------------------------------------------------------------------------------------------------------------

OPEN = Layout(text={"text_encoder_2": "conditioner.embedders.1.model."}, open_clip=("text_encoder_2",))


def open_tower() -> CLIPTextModelWithProjection:
    torch.manual_seed(0)
    return CLIPTextModelWithProjection(CLIPTextConfig(**TEXT, projection_dim=24, hidden_act="gelu"))


def test_open_clip_goes_there_and_back_and_diffusers_reads_it_alike() -> None:
    tower = open_tower()
    original = to_original({"text_encoder_2": tower.state_dict()}, {}, OPEN)
    assert all(name.startswith("conditioner.embedders.1.model.") for name in original)
    assert same(back(original, "text_encoder_2", {}, tower.state_dict(), OPEN), tower.state_dict())
    # diffusers splits the stacked tensors by the width that it takes from here
    start = "conditioner.embedders.1.model."
    assert original[start + "transformer.resblocks.0.attn.in_proj_weight"].shape == (96, 32)
    assert original[start + "text_projection"].shape == (32, 24)
    theirs = convert_open_clip_checkpoint(open_tower(), dict(original), prefix=start)
    assert theirs.keys() == tower.state_dict().keys()
    assert all(one.equal(tower.state_dict()[name]) for name, one in theirs.items())


def layer_of_open_clip(x: torch.Tensor, block: dict[str, torch.Tensor], heads: int) -> torch.Tensor:
    """One residual block as OpenCLIP is written: torch's own attention module, causal, exact GELU."""
    width = x.shape[-1]
    attention = torch.nn.MultiheadAttention(width, heads, batch_first=True)
    attention.load_state_dict(
        {name.removeprefix("attn."): one for name, one in block.items() if name.startswith("attn.")}
    )
    mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
    normed = functional.layer_norm(x, (width,), block["ln_1.weight"], block["ln_1.bias"])
    x = x + attention(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
    normed = functional.layer_norm(x, (width,), block["ln_2.weight"], block["ln_2.bias"])
    hidden = functional.gelu(functional.linear(normed, block["mlp.c_fc.weight"], block["mlp.c_fc.bias"]))
    return x + functional.linear(hidden, block["mlp.c_proj.weight"], block["mlp.c_proj.bias"])


def test_the_names_mean_what_open_clip_computes() -> None:
    """The tower is run from the file's tensors by OpenCLIP's published formulas, without transformers."""
    tower = open_tower().eval()
    start = "conditioner.embedders.1.model."
    file = {
        name.removeprefix(start): one
        for name, one in to_original({"text_encoder_2": tower.state_dict()}, {}, OPEN).items()
    }
    tokens = torch.randint(0, 90, (2, 77), generator=torch.Generator().manual_seed(1))
    tokens[:, 30] = tower.config.eos_token_id = 98
    tower.text_model.eos_token_id = 98
    x = file["token_embedding.weight"][tokens] + file["positional_embedding"]
    for number in range(TEXT["num_hidden_layers"]):
        block = f"transformer.resblocks.{number}."
        mine = {name.removeprefix(block): one for name, one in file.items() if name.startswith(block)}
        x = layer_of_open_clip(x, mine, TEXT["num_attention_heads"])
    x = functional.layer_norm(x, (32,), file["ln_final.weight"], file["ln_final.bias"])
    with torch.no_grad():
        found = tower(input_ids=tokens)
    torch.testing.assert_close(found.last_hidden_state, x, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.text_embeds, x[:, 30] @ file["text_projection"], atol=1e-5, rtol=1e-4)


def test_a_source_knows_the_shape_and_the_piece() -> None:
    key = place_in_open_clip("p.", "encoder.layers.11.self_attn.k_proj.bias")
    assert key == Source("p.transformer.resblocks.11.attn.in_proj_bias", third=1)
    assert key.shape((4,)) == (12,)
    assert key.of(torch.arange(6)).tolist() == [2, 3]
    assert Source("x", turned=True).shape((2, 3)) == (3, 2)
    with pytest.raises(KeyError):
        place_in_open_clip("p.", "embeddings.position_ids")


def test_the_names_of_stable_diffusion_1_5() -> None:
    known = {
        "conv_in.weight": "input_blocks.0.0.weight",
        "down_blocks.0.resnets.0.time_emb_proj.bias": "input_blocks.1.0.emb_layers.1.bias",
        "down_blocks.2.downsamplers.0.conv.weight": "input_blocks.9.0.op.weight",
        "down_blocks.1.attentions.1.transformer_blocks.0.attn2.to_k.weight": "input_blocks.5.1.transformer_blocks.0.attn2.to_k.weight",
        "mid_block.resnets.1.conv1.weight": "middle_block.2.in_layers.2.weight",
        "up_blocks.0.upsamplers.0.conv.weight": "output_blocks.2.1.conv.weight",
        "up_blocks.1.upsamplers.0.conv.weight": "output_blocks.5.2.conv.weight",
        "up_blocks.3.resnets.2.conv_shortcut.weight": "output_blocks.11.0.skip_connection.weight",
        "conv_norm_out.weight": "out.0.weight",
    }
    found = sources("unet", bundled()["unet"], list(known))
    assert {ours: source.name for ours, source in found.items()} == {
        ours: PREFIXES["unet"] + original for ours, original in known.items()
    }


def test_the_names_of_sdxl() -> None:
    known = {
        "add_embedding.linear_1.weight": "label_emb.0.0.weight",
        "down_blocks.0.resnets.1.conv1.weight": "input_blocks.2.0.in_layers.2.weight",
        "down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k.weight": "input_blocks.4.1.transformer_blocks.1.attn2.to_k.weight",
        "down_blocks.2.attentions.1.proj_in.weight": "input_blocks.8.1.proj_in.weight",
        "mid_block.attentions.0.transformer_blocks.9.ff.net.2.bias": "middle_block.1.transformer_blocks.9.ff.net.2.bias",
        "up_blocks.0.upsamplers.0.conv.weight": "output_blocks.2.2.conv.weight",
        "up_blocks.2.resnets.2.conv2.weight": "output_blocks.8.0.out_layers.3.weight",
    }
    found = sources("unet", bundled("stable_diffusion_xl")["unet"], list(known))
    assert {ours: source.name for ours, source in found.items()} == {
        ours: PREFIXES["unet"] + original for ours, original in known.items()
    }


def test_a_name_without_a_place_in_the_file_is_an_error() -> None:
    with pytest.raises(KeyError):
        sources("unet", bundled()["unet"], ["no_such_module.weight"])
