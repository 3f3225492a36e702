"""The original layout: against diffusers' own conversion, and there and back again."""

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModel

from modules.families.configuration import bundled
from modules.families.original_layout import PREFIXES, from_original, names_of, to_original

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


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", UNETS)
def test_a_unet_goes_there_and_back_and_diffusers_reads_it_alike(kind: str) -> None:
    config = {"unet": UNETS[kind]}
    unet = UNet2DConditionModel(**UNETS[kind])
    original = to_original({"unet": unet.state_dict()}, config)
    assert all(name.startswith("model.diffusion_model.") for name in original)
    assert same(from_original(original, config)["unet"], unet.state_dict())
    assert same(convert_ldm_unet_checkpoint(dict(original), dict(unet.config)), unet.state_dict())


@pytest.mark.parametrize("kind", VAES)
def test_an_autoencoder_goes_there_and_back_and_diffusers_reads_it_alike(kind: str) -> None:
    config = {"vae": VAES[kind]}
    vae = AutoencoderKL(**VAES[kind])
    original = to_original({"vae": vae.state_dict()}, config)
    assert all(name.startswith("first_stage_model.") for name in original)
    assert same(from_original(original, config)["vae"], vae.state_dict())
    assert same(convert_ldm_vae_checkpoint(dict(original), dict(vae.config)), vae.state_dict())


def test_the_vae_s_attention_is_stored_as_convolutions() -> None:
    vae = AutoencoderKL(**VAES["with attention"])
    original = to_original({"vae": vae.state_dict()}, {"vae": VAES["with attention"]})
    assert original["first_stage_model.encoder.mid.attn_1.q.weight"].shape == (16, 16, 1, 1)


def test_a_text_tower_goes_there_and_back_and_diffusers_reads_it_alike() -> None:
    tower = CLIPTextModel(CLIPTextConfig(**TEXT))
    original = to_original({"text_encoder": tower.state_dict()}, {"text_encoder": TEXT})
    assert same(from_original(original, {"text_encoder": TEXT})["text_encoder"], tower.state_dict())
    theirs = {
        name.removeprefix("text_model."): one for name, one in convert_ldm_clip_checkpoint(dict(original)).items()
    }
    assert same(theirs, tower.state_dict())


def test_a_text_tower_saved_without_the_level_above_is_read_too() -> None:
    tower = CLIPTextModel(CLIPTextConfig(**TEXT))
    short = {f"cond_stage_model.transformer.{name}": one for name, one in tower.state_dict().items()}
    assert same(from_original(short, {"text_encoder": TEXT})["text_encoder"], tower.state_dict())


def test_tables_and_ema_copies_are_left_out() -> None:
    more = {
        "model_ema.decay": torch.zeros(()),
        "betas": torch.zeros(1000),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.zeros(1, 77),
        "model.diffusion_model.label_emb.0.0.weight": torch.zeros(1),
    }
    found = from_original(more, {"unet": UNETS["two levels"], "vae": VAES["with attention"], "text_encoder": TEXT})
    assert found == {"unet": {}, "vae": {}, "text_encoder": {}}


def test_the_names_of_stable_diffusion_1_5() -> None:
    names = names_of("unet", bundled()["unet"])
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
    for ours, original in known.items():
        assert names.original(ours) == PREFIXES["unet"] + original


def test_a_name_without_a_place_in_the_file_is_an_error() -> None:
    with pytest.raises(KeyError):
        names_of("unet", bundled()["unet"]).original("add_embedding.linear_1.weight")
