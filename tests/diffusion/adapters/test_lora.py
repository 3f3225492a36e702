"""LoRA: strengths, sums, what is refused, and weights that come back bit for bit whatever happens."""

import logging

import pytest
import torch
from accelerate import cpu_offload
from safetensors.torch import save_file

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Use
from modules.core.plugins import Plugins
from modules.diffusion.adapters.lora import applied, load

TO_Q = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
FC1 = "text_model_encoder_layers_0_mlp_fc1"


def factors(layer, o, i, *, rank=3, alpha=2.0, seed=0):
    """A layer's tensors in kohya's form."""
    drawn = torch.Generator().manual_seed(seed)
    return {
        f"{layer}.lora_up.weight": torch.randn(o, rank, generator=drawn),
        f"{layer}.lora_down.weight": torch.randn(rank, i, generator=drawn),
        f"{layer}.alpha": torch.tensor(alpha),
    }


def product(tensors, layer):
    up, down = tensors[f"{layer}.lora_up.weight"], tensors[f"{layer}.lora_down.weight"]
    return up @ down * float(tensors[f"{layer}.alpha"]) / len(down)


@pytest.fixture
def file(tmp_path):
    """write(name, tensors) -> the loaded file."""

    def write(name, tensors, metadata=None):
        path = tmp_path / f"{name}.safetensors"
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, metadata)
        return load(path)

    return write


@pytest.fixture
def both(file):
    """A file for one layer of each network, and its tensors."""
    tensors = factors(f"lora_unet_{TO_Q}", 16, 16) | factors(f"lora_te_{FC1}", 64, 32, seed=1)
    return file("both", tensors), tensors


def weights(model):
    return model.layers[f"lora_unet_{TO_Q}"].weight, model.layers[f"lora_te_{FC1}"].weight


def test_a_file_adds_alpha_over_rank_times_the_product(sd1, both, bits):
    loaded, tensors = both
    before, (unet, text) = sd1.state(), weights(sd1)
    with applied(sd1.layers, [Use(loaded=loaded, text_encoder=0.25, unet=0.5)]):
        in_unet, in_text = weights(sd1)
        assert torch.allclose(in_unet, unet + 0.5 * product(tensors, f"lora_unet_{TO_Q}"), atol=1e-6)
        assert torch.allclose(in_text, text + 0.25 * product(tensors, f"lora_te_{FC1}"), atol=1e-6)
    assert weights(sd1)[0] is unet, "the very same parameter is back"
    assert bits(before, sd1.state())


def test_two_files_are_their_sum_in_either_order(sd1, both, file, bits):
    loaded, tensors = both
    other = factors(f"lora_unet_{TO_Q}", 16, 16, rank=5, seed=9)
    uses = [Use(loaded=loaded), Use(loaded=file("other", other), unet=-0.5)]
    own = weights(sd1)[0].clone()
    expected = own + product(tensors, f"lora_unet_{TO_Q}") - 0.5 * product(other, f"lora_unet_{TO_Q}")
    before = sd1.state()
    for order in (uses, uses[::-1]):
        with applied(sd1.layers, order) as matched:
            assert torch.allclose(weights(sd1)[0], expected, atol=1e-5)
        assert [one.layers for one in matched] == ([2, 1] if order is uses else [1, 2])
        assert bits(before, sd1.state())


def test_a_file_twice_is_twice_its_strength(sd1, both):
    loaded, _ = both
    with applied(sd1.layers, [Use(loaded=loaded), Use(loaded=loaded)]):
        twice = weights(sd1)[0].clone()
    with applied(sd1.layers, [Use(loaded=loaded, unet=2.0)]):
        assert torch.allclose(weights(sd1)[0], twice, atol=1e-6)


@pytest.mark.parametrize(("text", "unet"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_strength_nothing_touches_nothing(sd1, both, text, unet):
    own = weights(sd1)
    with applied(sd1.layers, [Use(loaded=both[0], text_encoder=text, unet=unet)]):
        found = weights(sd1)
        assert (found[0] is own[0]) == (unet == 0)
        assert (found[1] is own[1]) == (text == 0)


def test_no_files_touch_nothing(sd1):
    own = weights(sd1)[0]
    with applied(sd1.layers, []) as matched:
        assert matched == ()
        assert weights(sd1)[0] is own


def test_dyn_is_a_file_of_fewer_ranks(sd1, file):
    tensors = factors(f"lora_unet_{TO_Q}", 16, 16, rank=4, alpha=4.0)
    fewer = {
        f"lora_unet_{TO_Q}.lora_up.weight": tensors[f"lora_unet_{TO_Q}.lora_up.weight"][:, :2],
        f"lora_unet_{TO_Q}.lora_down.weight": tensors[f"lora_unet_{TO_Q}.lora_down.weight"][:2],
    }
    with applied(sd1.layers, [Use(loaded=file("four", tensors), dyn=2)]):
        cut = weights(sd1)[0].clone()
    with applied(sd1.layers, [Use(loaded=file("two", fewer))]):
        assert torch.allclose(weights(sd1)[0], cut, atol=1e-6)


def test_the_second_encoder_and_the_original_names_of_sdxl(sdxl, file, bits):
    q = "lora_unet_input_blocks_3_1_transformer_blocks_1_attn1_to_q"
    layers = sdxl.layers
    assert q in layers, "SDXL's files number the blocks as they run"
    tensors = (
        factors(q, 32, 32) | factors(f"lora_te1_{FC1}", 64, 32, seed=1) | factors(f"lora_te2_{FC1}", 64, 32, seed=2)
    )
    before, plain = sdxl.state(), sdxl.outputs()
    second = sdxl.text_encoder_2.text_model.encoder.layers[0].mlp.fc1
    own = second.weight.clone()
    with applied(layers, [Use(loaded=file("xl", tensors), text_encoder=0.5)]) as (matched,):
        found = sdxl.outputs()
        assert torch.allclose(second.weight, own + 0.5 * product(tensors, f"lora_te2_{FC1}"), atol=1e-6)
    assert (matched.layers, matched.missing) == (3, ())
    for part in ("unet", "text_encoder", "text_encoder_2"):
        assert not torch.allclose(found[part], plain[part], atol=1e-3), part
    assert bits(before, sdxl.state())


def test_norms_biases_and_whole_differences(sd1, file, bits):
    conv, norm = sd1.unet.conv_in, sd1.unet.conv_norm_out
    tensors = {
        "lora_unet_conv_in.diff": torch.ones(16, 4, 3, 3),
        "lora_unet_conv_in.diff_b": torch.ones(16),
        "lora_unet_conv_norm_out.w_norm": torch.full((16,), 2.0),
        "lora_unet_conv_norm_out.b_norm": torch.full((16,), 3.0),
    }
    before = sd1.state()
    own = [one.clone() for one in (conv.weight, conv.bias, norm.weight, norm.bias)]
    with applied(sd1.layers, [Use(loaded=file("whole", tensors), unet=0.5)]):
        found = (conv.weight, conv.bias, norm.weight, norm.bias)
        for one, expected, step in zip(found, own, (0.5, 0.5, 1.0, 1.5), strict=True):
            assert torch.allclose(one, expected + step)
    assert bits(before, sd1.state())


def test_a_plain_models_file_on_a_model_for_inpainting(for_inpainting, file, bits):
    own, before = for_inpainting.unet.conv_in.weight.clone(), for_inpainting.state()
    loaded = file("whole", {"lora_unet_conv_in.diff": torch.ones(16, 4, 3, 3)})
    with applied(for_inpainting.layers, [Use(loaded=loaded)]):
        found = for_inpainting.unet.conv_in.weight
        assert torch.allclose(found[:, :4], own[:, :4] + 1)
        assert torch.equal(found[:, 4:], own[:, 4:])
    assert bits(before, for_inpainting.state())


def test_a_linear_file_on_a_1x1_convolution_and_the_reverse(sd1, sdxl, file):
    name = "lora_unet_mid_block_attentions_0_proj_in"
    tensors = factors(name, 32, 32)
    as_convolution = {key: one if one.ndim < 2 else one[:, :, None, None] for key, one in tensors.items()}
    for model, content in ((sd1, tensors), (sdxl, as_convolution)):
        own = model.layers[name].weight.clone()
        with applied(model.layers, [Use(loaded=file(f"file{own.ndim}", content))]):
            assert torch.allclose(model.layers[name].weight, own + product(tensors, name).view_as(own), atol=1e-5)


# Coming back


@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_every_number_type_comes_back_bit_for_bit(sd1, both, bits, number):
    sd1.unet.to(number).to(memory_format=torch.channels_last)
    sd1.text_encoder.to(number)
    before = sd1.state()
    with applied(sd1.layers, [Use(loaded=both[0], unet=0.37)]):
        assert weights(sd1)[0].dtype == number
        assert not bits(before, sd1.state())
    assert bits(before, sd1.state())


@pytest.mark.parametrize("number", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_weights_stored_in_8_bits_come_back_bit_for_bit(sd1, both, bits, number):
    for layer in {id(one): one for one in sd1.layers.values()}.values():
        if getattr(layer, "weight", None) is not None:
            layer.weight.data = layer.weight.data.to(number)
    before = sd1.state()
    with applied(sd1.layers, [Use(loaded=both[0])]):
        assert weights(sd1)[0].dtype == number
        assert not bits(before, sd1.state())
    assert bits(before, sd1.state())


def test_the_order_of_numbers_in_memory_is_kept(sd1, file):
    sd1.unet.to(memory_format=torch.channels_last)
    own = sd1.unet.conv_in.weight.stride()
    with applied(sd1.layers, [Use(loaded=file("a", {"lora_unet_conv_in.diff": torch.ones(16, 4, 3, 3)}))]):
        assert sd1.unet.conv_in.weight.stride() == own


def failing(layers, uses, error):
    with applied(layers, uses):
        raise error


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt(), MemoryError()])
def test_weights_come_back_after_an_error(sd1, both, bits, error):
    before = sd1.state()
    with pytest.raises(type(error)):
        failing(sd1.layers, [Use(loaded=both[0])], error)
    assert bits(before, sd1.state())


def test_blocks_within_blocks(sd1, both, bits):
    before = sd1.state()
    with applied(sd1.layers, [Use(loaded=both[0])]):
        once = sd1.state()
        with applied(sd1.layers, [Use(loaded=both[0])]):
            assert not bits(once, sd1.state())
        assert bits(once, sd1.state())
    assert bits(before, sd1.state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a second device")
@pytest.mark.parametrize("room", [0, 1 << 60])
def test_weights_follow_a_model_that_is_moved_meanwhile(sd1, both, bits, monkeypatch, room):
    """`room`: how much is to stay free; with the large one the originals wait in main memory."""
    monkeypatch.setattr("modules.diffusion.networks.changed.ROOM", room)
    before = sd1.state()
    sd1.unet.to("cuda")
    with applied(sd1.layers, [Use(loaded=both[0])]):
        sd1.unet.to("cpu")
    assert bits(before, sd1.state())
    sd1.unet.to("cuda")
    own = weights(sd1)[0]
    with applied(sd1.layers, [Use(loaded=both[0])]):
        assert own.device.type == ("cpu" if room else "cuda")
        assert weights(sd1)[0].device.type == "cuda"
    assert weights(sd1)[0] is own
    assert own.device.type == "cuda"
    sd1.unet.to("cpu")
    assert bits(before, sd1.state())


def test_weights_that_accelerate_keeps_elsewhere(sd1, both, file):
    """--lowvram: the layers are empty between calls, their weights in a table in main memory."""
    whole = {"lora_unet_conv_norm_out.w_norm": torch.ones(16), "lora_unet_conv_norm_out.b_norm": torch.ones(16)}
    uses = [Use(loaded=both[0]), Use(loaded=file("norms", whole))]
    plain = sd1.outputs()["unet"]
    with applied(sd1.layers, uses):
        expected = sd1.outputs()["unet"]
    cpu_offload(sd1.unet, torch.device("cpu"))
    assert weights(sd1)[0].is_meta
    with applied(sd1.layers, uses):
        assert torch.equal(sd1.outputs()["unet"], expected)
    assert torch.equal(sd1.outputs()["unet"], plain)


def test_inference_mode_leaves_no_trace(sd1, both, bits):
    before = sd1.state()
    with torch.inference_mode(), applied(sd1.layers, [Use(loaded=both[0])]):
        assert not weights(sd1)[0].is_inference()
        sd1.outputs()
    assert bits(before, sd1.state())
    assert not any(one.is_inference() for network in sd1.networks.values() for one in network.parameters())


def test_parameters_that_learn_go_on_learning(sd1, both):
    sd1.unet.requires_grad_(True)
    with applied(sd1.layers, [Use(loaded=both[0])]):
        assert weights(sd1)[0].requires_grad
        assert weights(sd1)[0].grad_fn is None
    assert weights(sd1)[0].requires_grad


# Refusing


def test_a_file_for_another_kind_of_model_is_refused(sd1, file, bits):
    before = sd1.state()
    flux = file("flux", factors("lora_unet_double_blocks_0_img_attn_qkv", 16, 16))
    with pytest.raises(InvalidModelFile, match=r"flux was made for another kind of model: none of its 1 layers"):
        failing(sd1.layers, [Use(loaded=flux)], ZeroDivisionError())
    assert bits(before, sd1.state())


def test_a_layer_of_another_shape_is_refused_and_nothing_stays_changed(sd1, file, bits):
    before = sd1.state()
    tensors = factors(f"lora_te_{FC1}", 64, 32) | factors(f"lora_unet_{TO_Q}", 16, 24)
    with pytest.raises(InvalidModelFile, match=r"another kind of model.*attn1_to_q.*\[16, 16\]"):
        failing(sd1.layers, [Use(loaded=file("other", tensors))], ZeroDivisionError())
    assert bits(before, sd1.state())


@pytest.mark.parametrize(
    "tensors",
    [
        {"lora_up.weight": torch.ones(16, 3)},
        {"lora_up.weight": torch.ones(16, 3), "lora_down.weight": torch.ones(4, 16)},
        {"lora_up.weight": torch.ones(()), "lora_down.weight": torch.ones(4, 16)},
        {"hada_w1_a": torch.ones(16, 3), "hada_w1_b": torch.ones(3, 16)},
        {"lokr_w1": torch.ones(4, 4)},
        {"on_input": torch.tensor(True)},
        {"diff": torch.ones(2, 16, 8)},
    ],
)
def test_parts_that_do_not_go_together_are_refused(sd1, file, bits, tensors):
    before = sd1.state()
    loaded = file("odd", {f"lora_unet_{TO_Q}.{name}": tensor for name, tensor in tensors.items()})
    with pytest.raises(InvalidModelFile, match="odd was made for another kind of model, or is damaged"):
        failing(sd1.layers, [Use(loaded=loaded)], ZeroDivisionError())
    assert bits(before, sd1.state())


def test_layers_that_a_model_has_not_are_counted_and_reported(sd1, file, caplog):
    tensors = factors(f"lora_unet_{TO_Q}", 16, 16) | factors("lora_unet_nowhere", 16, 16) | {"mystery": torch.ones(1)}
    loaded = file("partly", tensors)
    assert loaded.unknown == ("mystery",)
    with caplog.at_level(logging.WARNING), applied(sd1.layers, [Use(loaded=loaded)]) as (matched,):
        pass
    assert (matched.name, matched.layers, matched.missing) == ("partly", 1, ("lora_unet_nowhere",))
    assert "partly: 1 of 2 layers are not in this model (such as lora_unet_nowhere)" in caplog.text


@pytest.mark.parametrize(
    "tensors",
    [
        {"model.diffusion_model.out.2.weight": torch.ones(2)},
        {"emb_params": torch.ones(1, 8)},
        {"a.alpha": torch.ones(1)},
    ],
)
def test_a_file_of_another_kind_is_refused(file, tensors):
    with pytest.raises(InvalidModelFile, match="thing.safetensors is no LoRA"):
        file("thing", tensors)


def test_pickles_are_read_without_running_code(sd1, tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return print, ("code was run",)

    tensors = factors(f"lora_unet_{TO_Q}", 16, 16)
    torch.save(tensors, tmp_path / "plain.pt")
    torch.save({"state_dict": tensors}, tmp_path / "nested.ckpt")
    torch.save(tensors | {"more": Evil()}, tmp_path / "evil.pt")
    own = weights(sd1)[0].clone()
    for name in ("plain.pt", "nested.ckpt"):
        with applied(sd1.layers, [Use(loaded=load(tmp_path / name))]):
            assert torch.allclose(weights(sd1)[0], own + product(tensors, f"lora_unet_{TO_Q}"), atol=1e-6)
    with pytest.raises(InvalidModelFile, match=r"evil\.pt"):
        load(tmp_path / "evil.pt")
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, "text", {"state_dict": 3}])
def test_other_pickles_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(InvalidModelFile, match=r"x\.pt is no LoRA"):
        load(tmp_path / "x.pt")


def test_it_comes_through_the_door():
    plugins = Plugins("engine")
    plugins.add_package("modules.diffusion.adapters")
    adapters = {kind: one for one in plugins.collect("register_adapters").values() for kind in one.kinds}
    assert adapters["lora"] is adapters["lyco"]
    assert adapters["lora"].load is load
