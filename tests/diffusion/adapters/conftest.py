"""Small real networks with the names that files use; SDXL's shape of U-Net beside SD 1's."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.families.naming import layers_of

TOWER = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "bos_token_id": 48,
    "eos_token_id": 49,
}
SD1 = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 32,
    "attention_head_dim": 2,
}
SDXL = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 16 + 48,
    "cross_attention_dim": 64,
    "attention_head_dim": 2,
}


class Model(SimpleNamespace):
    """Networks by their names in diffusers, and their layers under all names."""

    def __init__(self, **networks):
        super().__init__(**{"text_encoder_2": None} | networks)

    @property
    def networks(self):
        """Those that are there."""
        parts = ("unet", "text_encoder", "text_encoder_2")
        return {part: getattr(self, part) for part in parts if getattr(self, part) is not None}

    @property
    def layers(self):
        """As `families/naming.py` gives them."""
        return layers_of(self)

    def outputs(self):
        """What each network gives for an input that never changes."""
        with torch.no_grad():
            return {part: getattr(self, f"_{part}_output")() for part in self.networks}

    def _text_encoder_output(self):
        return self.text_encoder(torch.arange(1, 11).view(1, -1)).last_hidden_state

    def _text_encoder_2_output(self):
        return self.text_encoder_2(torch.arange(1, 11).view(1, -1)).text_embeds

    def _unet_output(self):
        drawn, config = torch.Generator().manual_seed(5), self.unet.config
        number = next(self.unet.parameters()).dtype
        x = torch.randn(2, config.in_channels, 8, 8, generator=drawn).to(number)
        text = torch.randn(2, 7, config.cross_attention_dim, generator=drawn).to(number)
        added = {"text_embeds": torch.ones(2, 16).to(number), "time_ids": torch.ones(2, 6)}
        timesteps = torch.tensor([500, 20])
        return self.unet(x, timesteps, text, added_cond_kwargs=added, return_dict=False)[0]

    def state(self):
        """Every weight and buffer, copied, as bytes: equal means equal bit for bit."""
        return {
            f"{part}.{name}": (
                tensor.dtype,
                tensor.stride(),
                tensor.detach().contiguous().view(-1).view(torch.uint8).clone(),
            )
            for part, network in self.networks.items()
            for name, tensor in (*network.named_parameters(), *network.named_buffers())
        }


def equal(one, other):
    """Whether two states are the same bit for bit."""
    return one.keys() == other.keys() and all(
        one[name][:2] == other[name][:2] and torch.equal(one[name][2], other[name][2]) for name in one
    )


def unet(**config):
    torch.manual_seed(1)
    sizes = {"sample_size": 8, "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8}
    return UNet2DConditionModel(**sizes | config).eval().requires_grad_(False)


def tower(kind=CLIPTextModel, **config):
    torch.manual_seed(2)
    return kind(CLIPTextConfig(**TOWER | config)).eval().requires_grad_(False)


@pytest.fixture
def sd1():
    return Model(unet=unet(**SD1), text_encoder=tower())


@pytest.fixture
def sdxl():
    second = tower(CLIPTextModelWithProjection, projection_dim=16)
    return Model(unet=unet(**SDXL), text_encoder=tower(), text_encoder_2=second)


@pytest.fixture
def for_inpainting():
    return Model(unet=unet(**SD1, in_channels=9), text_encoder=tower())


@pytest.fixture(scope="session")
def bits():
    """equal(state, state)."""
    return equal
