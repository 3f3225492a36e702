"""Names in files: which layer, which part."""

import pytest
import torch

from modules.diffusion.networks.keys import by_layer


@pytest.mark.parametrize(
    ("name", "layer", "part"),
    [
        ("lora_unet_mid_block_x.lora_down.weight", "lora_unet_mid_block_x", "down"),
        ("lora_unet_mid_block_x.lora_up.weight", "lora_unet_mid_block_x", "up"),
        ("lora_unet_mid_block_x.lora_mid.weight", "lora_unet_mid_block_x", "mid"),
        ("lora_unet_mid_block_x.alpha", "lora_unet_mid_block_x", "alpha"),
        ("lora_unet_mid_block_x.dora_scale", "lora_unet_mid_block_x", "dora"),
        ("lora_unet_mid_block_x.hada_w2_b", "lora_unet_mid_block_x", "hada_w2_b"),
        ("lora_unet_mid_block_x.lokr_t2", "lora_unet_mid_block_x", "lokr_t2"),
        ("lora_unet_norm.w_norm", "lora_unet_norm", "diff"),
        ("lora_unet_norm.b_norm", "lora_unet_norm", "diff_b"),
        ("lora_unet_conv_in.diff_b", "lora_unet_conv_in", "diff_b"),
        ("unet.a.to_q.lora_A.weight", "unet.a.to_q", "down"),
        ("unet.a.to_q.lora.up.weight", "unet.a.to_q", "up"),
        ("base_model.model.a.to_q.lora_B.weight", "a.to_q", "up"),
        ("base_model.model.a.to_q.lora_A.default.weight", "a.to_q", "down"),
        ("base_model.model.a.to_q.lora_magnitude_vector", "a.to_q", "magnitude"),
        ("unet.a.attn1.processor.to_q_lora.down.weight", "unet.a.attn1.to_q", "down"),
        ("a.attn2.processor.to_out_lora.up.weight", "a.attn2.to_out.0", "up"),
        ("text_encoder.x.self_attn.to_q_lora.down.weight", "text_encoder.x.self_attn.q_proj", "down"),
        ("text_encoder.x.self_attn.to_out_lora.up.weight", "text_encoder.x.self_attn.out_proj", "up"),
        ("text_encoder.x.self_attn.k_proj.lora_linear_layer.up.weight", "text_encoder.x.self_attn.k_proj", "up"),
    ],
)
def test_a_name_says_layer_and_part(name, layer, part):
    tensor = torch.ones(1)
    assert by_layer({name: tensor}) == ({layer: {part: tensor}}, [])


def test_the_parts_of_a_layer_come_together_and_the_rest_is_listed():
    names = ["a.lora_up.weight", "a.lora_down.weight", "a.alpha", "b.hada_w1_a", "what_is_this", "c.oft_blocks"]
    layers, unknown = by_layer({name: torch.ones(1) for name in names})
    assert {layer: set(parts) for layer, parts in layers.items()} == {"a": {"up", "down", "alpha"}, "b": {"hada_w1_a"}}
    assert unknown == ["what_is_this", "c.oft_blocks"]
