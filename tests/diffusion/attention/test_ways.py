"""Another way to compute attention gives the same numbers in diffusers' networks and goes away again."""

from importlib.util import find_spec

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from modules.core.errors import InvalidOption
from modules.diffusion.attention import subquadratic
from modules.diffusion.attention.ways import WAYS, attention, check


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(1)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
    ).eval()


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(1)
    return AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4).eval()


@torch.no_grad()
def predicted(unet, mask=None):
    drawn = torch.Generator().manual_seed(5)
    x, text = torch.randn(2, 4, 8, 8, generator=drawn), torch.randn(2, 7, 32, generator=drawn)
    return unet(x, torch.tensor([500, 20]), text, encoder_attention_mask=mask, return_dict=False)[0]


@torch.no_grad()
def decoded(vae):
    return vae.decode(torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5)), return_dict=False)[0]


@pytest.fixture(params=["sdpa", "sub-quadratic", "own sdpa"])
def way(request, monkeypatch):
    """Each way that works here; torch's attention also behind our own processor."""
    monkeypatch.setattr(subquadratic, "QUERIES", 9)
    monkeypatch.setattr(subquadratic, "KEYS", 5)
    if request.param == "own sdpa":
        monkeypatch.setitem(WAYS, "own sdpa", WAYS["sdpa"])
    return request.param


def test_the_unet_predicts_the_same(unet, way):
    plain = predicted(unet)
    with attention(way, unet):
        assert torch.allclose(predicted(unet), plain, atol=1e-5)


def test_the_unet_predicts_the_same_with_a_mask(unet, way):
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0]])
    plain = predicted(unet, mask)
    assert not torch.allclose(plain, predicted(unet), atol=1e-5), "the test would see nothing"
    with attention(way, unet):
        assert torch.allclose(predicted(unet, mask), plain, atol=1e-5)


def test_the_autoencoder_decodes_the_same(vae, way):
    plain = decoded(vae)
    with attention(way, vae):
        assert torch.allclose(decoded(vae), plain, atol=1e-5)


def processors(network):
    return {name: type(one).__name__ for name, one in network.attn_processors.items()}


def failing(way, network):
    with attention(way, network):
        raise ZeroDivisionError


def test_the_networks_own_way_comes_back_also_after_an_error(unet, vae):
    before, plain = (processors(unet), processors(vae)), predicted(unet)
    with attention("sub-quadratic", unet, vae):
        assert set(processors(unet).values()) == {"Processor"}
        assert set(processors(vae).values()) == {"Processor"}
    for network in (unet, vae):
        with pytest.raises(ZeroDivisionError):
            failing("sub-quadratic", network)
    assert (processors(unet), processors(vae)) == before
    assert torch.equal(predicted(unet), plain)


def test_an_unknown_way_is_said():
    with pytest.raises(InvalidOption, match=r"no way to compute attention is called 'flash'; there are sdpa, xformers"):
        check("flash")


@pytest.mark.skipif(find_spec("xformers") is not None, reason="xformers is installed")
def test_xformers_is_asked_for_but_not_there(unet):
    with pytest.raises(InvalidOption, match="xformers is not installed"):
        failing("xformers", unet)


def test_xformers_is_not_for_a_cpu(unet, monkeypatch):
    monkeypatch.setattr("modules.diffusion.attention.ways.find_spec", lambda name: object())
    with pytest.raises(InvalidOption, match="NVIDIA GPUs only"):
        check("xformers", (unet,))
