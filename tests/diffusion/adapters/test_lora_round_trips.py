"""Files that peft and diffusers write give, read by us, the outputs that peft and diffusers give."""

import copy
import json

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from modules.core.extension_points import Use
from modules.diffusion.adapters.lora import applied, load

LINEAR = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.2"]
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "proj_in"]
DRAWN = {"init_lora_weights": False}
UNET_CONFIGS = {
    "lora": LoraConfig(r=4, lora_alpha=3, target_modules=LINEAR, **DRAWN),
    "lora of convolutions": LoraConfig(r=4, lora_alpha=8, target_modules=LINEAR + CONVOLUTIONS, **DRAWN),
    "lora with bias": LoraConfig(r=2, lora_alpha=3, target_modules=["to_out.0"], lora_bias=True, **DRAWN),
    "patterns": LoraConfig(
        r=4,
        lora_alpha=4,
        target_modules=LINEAR,
        rank_pattern={"to_q": 2, "attn2.to_k": 6},
        alpha_pattern={"to_q": 5, "attn1.to_v": 1},
        **DRAWN,
    ),
    "rslora": LoraConfig(r=4, lora_alpha=4, use_rslora=True, target_modules=LINEAR, **DRAWN),
    "dora": LoraConfig(r=4, lora_alpha=3, use_dora=True, target_modules=LINEAR, **DRAWN),
    "dora of convolutions": LoraConfig(r=4, use_dora=True, target_modules=CONVOLUTIONS, **DRAWN),
    "loha": LoHaConfig(r=3, alpha=2, target_modules=LINEAR, init_weights=False),
    "loha of convolutions": LoHaConfig(r=3, alpha=2, target_modules=CONVOLUTIONS, init_weights=False),
    "loha with cores": LoHaConfig(
        r=3, alpha=2, target_modules=CONVOLUTIONS, use_effective_conv2d=True, init_weights=False
    ),
    "lokr": LoKrConfig(r=3, alpha=2, target_modules=LINEAR, init_weights=False),
    "lokr of convolutions": LoKrConfig(r=2, alpha=1, target_modules=CONVOLUTIONS, init_weights=False),
    "lokr in four factors": LoKrConfig(
        r=2, alpha=1, target_modules=LINEAR + CONVOLUTIONS, decompose_both=True, init_weights=False
    ),
    "lokr with a core": LoKrConfig(
        r=2, alpha=1, target_modules=CONVOLUTIONS, use_effective_conv2d=True, init_weights=False
    ),
}


def moved(network):
    """peft's magnitudes begin as the weights' own; moved, they show whether they are read."""
    for name, parameter in network.named_parameters():
        if "magnitude" in name:
            parameter.data *= torch.linspace(0.8, 1.3, parameter.numel()).view_as(parameter)
    return network


def with_peft(network, config):
    torch.manual_seed(3)
    return moved(get_peft_model(copy.deepcopy(network), config).eval())


def close(one, other):
    return torch.allclose(one, other, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", UNET_CONFIGS)
def test_what_peft_saves_for_a_unet(sd1, bits, tmp_path, name):
    trained = with_peft(sd1.unet, UNET_CONFIGS[name])
    trained.save_pretrained(tmp_path)
    before, plain = sd1.state(), sd1.outputs()["unet"]
    own, sd1.unet = sd1.unet, trained.base_model.model
    expected = sd1.outputs()["unet"]
    sd1.unet = own
    assert not torch.allclose(expected, plain, atol=1e-2), "the test would see nothing"
    file = load(tmp_path / "adapter_model.safetensors")
    with applied(sd1.layers, [Use(loaded=file)]) as (matched,):
        assert close(sd1.outputs()["unet"], expected)
    assert matched.layers == len(file.layers)
    assert not matched.missing
    assert not file.unknown
    assert bits(before, sd1.state())
    assert torch.equal(sd1.outputs()["unet"], plain)


@pytest.mark.parametrize("use_dora", [False, True])
def test_what_peft_saves_for_a_text_encoder(sd1, bits, tmp_path, use_dora):
    targets = ["q_proj", "out_proj", "fc1"]
    trained = with_peft(sd1.text_encoder, LoraConfig(r=3, target_modules=targets, use_dora=use_dora, **DRAWN))
    trained.save_pretrained(tmp_path)
    before, plain = sd1.state(), sd1.outputs()
    own, sd1.text_encoder = sd1.text_encoder, trained.base_model.model
    expected = sd1.outputs()["text_encoder"]
    sd1.text_encoder = own
    with applied(sd1.layers, [Use(loaded=load(tmp_path / "adapter_model.safetensors"), unet=0.0)]):
        found = sd1.outputs()
    assert close(found["text_encoder"], expected)
    assert not close(plain["text_encoder"], expected)
    assert torch.equal(found["unet"], plain["unet"])
    assert bits(before, sd1.state())


def test_without_the_configuration_alpha_is_the_rank(sd1, tmp_path):
    trained = with_peft(sd1.unet, LoraConfig(r=4, lora_alpha=4, target_modules=LINEAR, **DRAWN))
    save_file(get_peft_model_state_dict(trained), tmp_path / "renamed.safetensors")
    own, sd1.unet = sd1.unet, trained.base_model.model
    expected = sd1.outputs()["unet"]
    sd1.unet = own
    with applied(sd1.layers, [Use(loaded=load(tmp_path / "renamed.safetensors"))]):
        assert close(sd1.outputs()["unet"], expected)


def test_a_configuration_of_another_file_is_not_read(sd1, tmp_path):
    trained = with_peft(sd1.unet, LoraConfig(r=4, lora_alpha=400, target_modules=LINEAR, **DRAWN))
    trained.save_pretrained(tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "mine.safetensors")
    assert {layer.factor for layer in load(tmp_path / "mine.safetensors").layers} == {1.0}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"lora_alpha": "many", "r": null}', '{"alpha_pattern": [1]}'])
def test_a_strange_configuration_is_as_none(sd1, tmp_path, text):
    trained = with_peft(sd1.unet, LoraConfig(r=4, target_modules=LINEAR, **DRAWN))
    trained.save_pretrained(tmp_path)
    (tmp_path / "adapter_config.json").write_text(text)
    assert {layer.factor for layer in load(tmp_path / "adapter_model.safetensors").layers} == {1.0}


# diffusers


@pytest.fixture
def pipeline(sd1):
    """diffusers' own pipeline around copies of the same networks."""
    return StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(8,), norm_num_groups=4),
        text_encoder=copy.deepcopy(sd1.text_encoder),
        tokenizer=None,
        unet=copy.deepcopy(sd1.unet),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


CONFIGS = {
    "unet": {"r": 4, "lora_alpha": 2, "target_modules": ["to_q", "to_v", "to_out.0", "conv1"], **DRAWN},
    "text_encoder": {"r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "out_proj"], **DRAWN},
}


def saved_by_diffusers(pipeline, folder, **more):
    """A file of diffusers with both networks, and what the networks give with it."""
    torch.manual_seed(4)
    layers, metadata = {}, {}
    for part, config in CONFIGS.items():
        config = LoraConfig(**config | more)
        getattr(pipeline, part).add_adapter(config)
        moved(getattr(pipeline, part))
        layers[f"{part}_lora_layers"] = get_peft_model_state_dict(getattr(pipeline, part))
        metadata[f"{part}_lora_adapter_metadata"] = config.to_dict()
    StableDiffusionPipeline.save_lora_weights(folder, **layers, **metadata, safe_serialization=True)
    pipeline.unet.delete_adapters("default")
    pipeline.text_encoder.delete_adapter("default")
    return folder / "pytorch_lora_weights.safetensors"


def outputs_of(model, pipeline):
    own = model.networks
    model.unet, model.text_encoder = pipeline.unet, pipeline.text_encoder
    found = model.outputs()
    model.unet, model.text_encoder = own["unet"], own["text_encoder"]
    return found


@pytest.mark.parametrize("more", [{}, {"use_dora": True}, {"use_rslora": True}])
def test_what_diffusers_saves(sd1, bits, pipeline, tmp_path, more):
    path = saved_by_diffusers(pipeline, tmp_path, **more)
    before, plain = sd1.state(), sd1.outputs()
    pipeline.load_lora_weights(path)
    expected = outputs_of(sd1, pipeline)
    file = load(path)
    with applied(sd1.layers, [Use(loaded=file)]) as (matched,):
        found = sd1.outputs()
    assert not matched.missing
    # transformers 5.23 does not find DoRA's magnitudes in diffusers' files; the text encoder's are compared with peft
    for part in ["unet"] if "use_dora" in more else ["unet", "text_encoder"]:
        assert close(found[part], expected[part]), part
        assert not close(found[part], plain[part]), part
    assert bits(before, sd1.state())


@pytest.mark.parametrize("strength", [0.0, 0.5, -1.0, 2.0])
def test_strength_is_that_of_diffusers(sd1, pipeline, tmp_path, strength):
    path = saved_by_diffusers(pipeline, tmp_path)
    pipeline.load_lora_weights(path, adapter_name="one")
    pipeline.set_adapters("one", {"unet": strength, "text_encoder": strength / 2})
    expected = outputs_of(sd1, pipeline)
    with applied(sd1.layers, [Use(loaded=load(path), unet=strength, text_encoder=strength / 2)]):
        found = sd1.outputs()
    assert close(found["unet"], expected["unet"])
    assert close(found["text_encoder"], expected["text_encoder"])


def as_kohya(path, target, *, alpha):
    """A diffusers file in the names of kohya's tools, which have the level `text_model`, with alpha as tensors."""
    named = {}
    for name, tensor in convert_state_dict_to_kohya(load_file(path)).items():
        if name.endswith(".alpha"):
            continue
        layer, down_or_up = name.replace("text_model.", "").split(".lora_")
        layer = layer.replace(".", "_").removeprefix("lora_")
        layer = f"lora_{layer}".replace("lora_te1_", "lora_te_text_model_")
        named[f"{layer}.lora_{down_or_up}"] = tensor.contiguous()
        named[f"{layer}.alpha"] = torch.tensor(float(alpha))
    save_file(named, target)
    return target


def test_kohyas_names_as_diffusers_reads_them(sd1, bits, pipeline, tmp_path):
    path = as_kohya(saved_by_diffusers(pipeline, tmp_path), tmp_path / "kohya.safetensors", alpha=3)
    names = load_file(path)
    assert "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight" in names
    assert "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight" in names
    before = sd1.state()
    pipeline.load_lora_weights(path)
    expected = outputs_of(sd1, pipeline)
    with applied(sd1.layers, [Use(loaded=load(path))]) as (matched,):
        found = sd1.outputs()
    assert not matched.missing
    assert close(found["unet"], expected["unet"])
    assert close(found["text_encoder"], expected["text_encoder"])
    assert bits(before, sd1.state())


def test_two_files_at_once_are_those_of_diffusers(sd1, bits, pipeline, tmp_path):
    first = saved_by_diffusers(pipeline, tmp_path / "a")
    second = saved_by_diffusers(pipeline, tmp_path / "b", r=3)
    pipeline.load_lora_weights(first, adapter_name="a")
    pipeline.load_lora_weights(second, adapter_name="b")
    pipeline.set_adapters(["a", "b"], [0.7, 0.4])
    expected, before = outputs_of(sd1, pipeline), sd1.state()
    uses = [Use(loaded=load(path), unet=s, text_encoder=s) for path, s in ((first, 0.7), (second, 0.4))]
    with applied(sd1.layers, uses):
        found = sd1.outputs()
    assert close(found["unet"], expected["unet"])
    assert close(found["text_encoder"], expected["text_encoder"])
    assert bits(before, sd1.state())


def test_diffusers_metadata_is_that_of_each_network(pipeline, tmp_path):
    path = saved_by_diffusers(pipeline, tmp_path)
    factors = {layer.name.partition(".")[0]: layer.factor for layer in load(path).layers}
    assert factors == {"unet": 2 / 4, "text_encoder": 6 / 2}
    tensors = load_file(path)
    save_file(tensors, tmp_path / "bare.safetensors", {"lora_adapter_metadata": json.dumps("nonsense")})
    assert {layer.factor for layer in load(tmp_path / "bare.safetensors").layers} == {1.0}


def test_what_diffusers_saves_for_sdxl(sdxl, bits, tmp_path):
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(block_out_channels=(8,), norm_num_groups=4),
        tokenizer=None,
        tokenizer_2=None,
        scheduler=DDIMScheduler(),
        add_watermarker=False,
        **{part: copy.deepcopy(network) for part, network in sdxl.networks.items()},
    )
    torch.manual_seed(4)
    layers = {}
    for part in sdxl.networks:
        config = CONFIGS["unet" if part == "unet" else "text_encoder"]
        getattr(pipeline, part).add_adapter(LoraConfig(**config | {"lora_alpha": config["r"]}))
        layers[f"{part}_lora_layers"] = get_peft_model_state_dict(getattr(pipeline, part))
    StableDiffusionXLPipeline.save_lora_weights(tmp_path, **layers)
    before, plain, own = sdxl.state(), sdxl.outputs(), sdxl.networks
    for part in own:
        setattr(sdxl, part, getattr(pipeline, part))
    expected = sdxl.outputs()
    for part, network in own.items():
        setattr(sdxl, part, network)
    with applied(sdxl.layers, [Use(loaded=load(tmp_path / "pytorch_lora_weights.safetensors"))]) as (matched,):
        found = sdxl.outputs()
    assert not matched.missing
    for part in own:
        assert close(found[part], expected[part]), part
        assert not close(found[part], plain[part]), part
    assert bits(before, sdxl.state())
