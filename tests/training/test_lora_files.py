"""LoRA files: their names, and that diffusers and our own adapter draw from them what was trained."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.core.extension_points import Use
from modules.core.tensorfile import read_header
from modules.core.training import TrainingPlan
from modules.diffusion.adapters.lora import applied, load
from modules.families import random_weights, single_file
from modules.families.built import BuildOptions, Built
from modules.families.checkpoint import build
from modules.families.naming import layers_of
from modules.services.shelf_base import base_of
from modules.training.lora_files import PEFT_METADATA, kohya_name, original_path
from tests.training.learning import answer, state_of, taught


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """SDXL's own order of levels: no attention in the first."""
    config = random_weights.small("sdxl")
    config["unet"] |= {
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    }
    path = tmp_path_factory.mktemp("large") / "large.safetensors"
    random_weights.write(path, config, family="sdxl")
    architecture = random_weights.ARCHITECTURES["sdxl"]
    return build(path, BuildOptions(half=False), family="sdxl", architecture=architecture)


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def case(
    request: pytest.FixtureRequest, tiny: Any, large: Built, plan_of: Callable[..., TrainingPlan]
) -> Iterator[tuple[Built, Any, Tensor, Built]]:
    """(model, its learner, what it draws with what it learned, the base); α is not the rank."""
    model = large if request.param == "sdxl" else tiny()
    plan = plan_of(method="lora", rank=4, alpha=7, train_text_encoder=True, targets="all linear and convolution")
    base = copied(model)
    with taught(model, plan) as learner:
        yield model, learner, answer(model), base


def written(learner: Any, format: str, path: Path, number: torch.dtype = torch.float32) -> Path:
    (one,) = learner.export(format, number)
    single_file.save(path, one.tensors, one.metadata)
    return path


def with_diffusers(base: Built, path: Path) -> Tensor:
    """What the same networks draw after diffusers has loaded the file into them."""
    model = copied(base)
    parts: dict[str, Any] = model.networks | {"tokenizer": None, "scheduler": DDIMScheduler()}
    if model.text_encoder_2 is None:
        pipeline: Any = StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None)
    else:
        pipeline = StableDiffusionXLPipeline(**parts, tokenizer_2=None)
    pipeline.load_lora_weights(path.parent, weight_name=path.name, local_files_only=True)
    changed = {part: getattr(pipeline, part) for part in model.networks}
    return answer(replace(model, **changed))


def copied(model: Built) -> Built:
    return replace(model, **{part: deepcopy(network) for part, network in model.networks.items()})


def with_ours(base: Built, path: Path) -> Tensor:
    """What the base draws with the file in a prompt."""
    with applied(layers_of(base), [Use(loaded=load(path))]):
        return answer(base)


def test_files_hold_what_was_trained(case: tuple[Any, ...], tmp_path: Path) -> None:
    """training.md 3.4b, 3.4c: kohya's and peft's into diffusers and into our adapter, with alpha other than rank."""
    model, learner, expected, base = case
    assert (expected - answer(base)).abs().max() > 1e-2, "the test would see nothing"
    for format in ("kohya", "peft"):
        path = written(learner, format, tmp_path / f"{format}.safetensors")
        torch.testing.assert_close(with_ours(base, path), expected, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(with_diffusers(base, path), expected, atol=2e-5, rtol=1e-4)
    stripped = tmp_path / "stripped.safetensors"
    save_file(load_file(tmp_path / "peft.safetensors"), stripped)
    assert (with_ours(base, stripped) - expected).abs().max() > 1e-3, "alpha was lost with the metadata"
    if base.text_encoder_2 is None:
        assert (with_diffusers(base, stripped) - expected).abs().max() > 1e-3
    assert torch.equal(answer(model), expected)


def test_every_layer_is_the_models_by_that_name(case: tuple[Any, ...]) -> None:
    """Exact sets: each layer once, with down, up and alpha, under a name by which our families know the same layer."""
    model, learner, _, _ = case
    known = layers_of(model)
    layers = {name.rpartition(".")[0] for name in learner.named}
    (one,) = learner.export("kohya", torch.float16)
    expected = {kohya_name(name, model.unet.config): name for name in layers}
    assert len(expected) == len(layers)
    parts = ("lora_down.weight", "lora_up.weight", "alpha")
    assert set(one.tensors) == {f"{name}.{part}" for name in expected for part in parts}
    for name, ours in expected.items():
        part, _, path = ours.partition(".")
        network = getattr(model, part)
        path = path if part == "unet" or not hasattr(network, "text_model") else f"text_model.{path}"
        assert known[name] is network.get_submodule(path)
    (one,) = learner.export("peft", torch.float16)
    assert {name.removesuffix(".lora_A.weight").removesuffix(".lora_B.weight") for name in one.tensors} <= set(known)
    assert len(one.tensors) == 2 * len(layers)


def test_numbers_are_rounded_once(case: tuple[Any, ...], tmp_path: Path) -> None:
    _, learner, expected, base = case
    path = written(learner, "kohya", tmp_path / "half.safetensors", torch.float16)
    halves, exact = load_file(path), learner.export("kohya", torch.float32)[0].tensors
    for name, tensor in halves.items():
        if name.endswith(".alpha"):
            assert tensor.dtype == torch.float32
            assert float(tensor) == 7.0
        else:
            assert tensor.dtype == torch.float16
            assert float((tensor.float() - exact[name]).abs().max()) <= 1e-3 * float(exact[name].abs().max())
    assert float((with_ours(base, path) - expected).abs().max()) < 0.02


def test_a_file_is_a_copy(case: tuple[Any, ...]) -> None:
    """A snapshot must not learn on with the model."""
    _, learner, _, _ = case
    kept = learner.export("kohya", torch.float32)[0].tensors
    learning = {one.data_ptr() for one in learner.named.values()}
    assert not learning & {one.data_ptr() for one in kept.values()}
    assert not any(one.requires_grad for one in kept.values())


def test_exporting_changes_nothing(case: tuple[Any, ...]) -> None:
    model, learner, _, _ = case
    before = state_of(model)
    for format in ("kohya", "peft", "checkpoint", "diffusers"):
        (one,) = learner.export(format, torch.float16)
        assert one.kind == ("lora" if format in ("kohya", "peft") else "checkpoint")
        assert one.suffix == ("" if format == "diffusers" else ".safetensors")
    with pytest.raises(ValueError, match="not as 'pt'"):
        learner.export("pt", torch.float16)
    assert state_of(model) == before


# The names, written out ---------------------------------------------------------------------------------------------


def test_names_of_stable_diffusion_1(tiny: Any) -> None:
    config = tiny().unet.config
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    expected = {
        f"unet.{block}.attn1.to_q": "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
        f"unet.{block}.attn2.to_out.0": "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_out_0",
        f"unet.{block}.ff.net.0.proj": "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_ff_net_0_proj",
        "unet.mid_block.attentions.0.proj_in": "lora_unet_mid_block_attentions_0_proj_in",
        "text_encoder.encoder.layers.0.self_attn.q_proj": "lora_te_text_model_encoder_layers_0_self_attn_q_proj",
        "text_encoder.encoder.layers.11.mlp.fc1": "lora_te_text_model_encoder_layers_11_mlp_fc1",
    }
    assert {name: kohya_name(name, config) for name in expected} == expected


def test_names_of_sdxl_are_those_of_the_original_blocks() -> None:
    """As in the files of kohya's tools; numbers by hand from SDXL's published configuration."""
    config = random_weights.full("sdxl")["unet"]
    expected = {
        "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_k": (
            "lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_k"
        ),
        "unet.down_blocks.2.attentions.1.proj_out": "lora_unet_input_blocks_8_1_proj_out",
        "unet.mid_block.attentions.0.transformer_blocks.9.ff.net.2": (
            "lora_unet_middle_block_1_transformer_blocks_9_ff_net_2"
        ),
        "unet.up_blocks.0.attentions.2.proj_in": "lora_unet_output_blocks_2_1_proj_in",
        "unet.up_blocks.1.attentions.0.proj_in": "lora_unet_output_blocks_3_1_proj_in",
        "unet.down_blocks.0.resnets.1.conv1": "lora_unet_input_blocks_2_0_in_layers_2",
        "unet.down_blocks.0.downsamplers.0.conv": "lora_unet_input_blocks_3_0_op",
        "unet.up_blocks.0.upsamplers.0.conv": "lora_unet_output_blocks_2_2_conv",
        "unet.time_embedding.linear_2": "lora_unet_time_embed_2",
        "unet.conv_out": "lora_unet_out_2",
        "text_encoder.encoder.layers.0.self_attn.out_proj": "lora_te1_text_model_encoder_layers_0_self_attn_out_proj",
        "text_encoder_2.encoder.layers.31.mlp.fc2": "lora_te2_text_model_encoder_layers_31_mlp_fc2",
    }
    assert {name: kohya_name(name, config) for name in expected} == expected


@pytest.mark.parametrize("family", ["sd1", "sdxl", "sdxl-refiner"])
def test_original_names_are_the_families_own(family: str) -> None:
    """Every layer of the published U-Nets, against the table that checkpoints are written with."""
    from modules.families.networks import empty_networks
    from modules.families.original_layout import PREFIXES, sources

    config = random_weights.full(family)["unet"]
    unet = empty_networks({"unet": config})["unet"]
    layers = [name for name, one in unet.named_modules() if isinstance(one, torch.nn.Linear | torch.nn.Conv2d)]
    places = sources("unet", config, [f"{name}.weight" for name in layers])
    for name in layers:
        expected = places[f"{name}.weight"].name.removeprefix(PREFIXES["unet"]).removesuffix(".weight")
        assert original_path(name, config) == expected


def test_peft_metadata_says_alpha_and_rank(case: tuple[Any, ...]) -> None:
    _, learner, _, _ = case
    table = json.loads(learner.export("peft", torch.float16)[0].metadata[PEFT_METADATA])
    parts = {name.partition(".")[0] for name in learner.named}
    for part in parts:
        assert table[f"{part}.lora_alpha"] == 7
        assert table[f"{part}.r"] == 4
        assert table[f"{part}.target_modules"]
    assert {key.partition(".")[0] for key in table} == parts


def test_a_card_knows_the_base_by_the_shapes(case: tuple[Any, ...], tmp_path: Path) -> None:
    """Small models have widths of their own, so only that the file can be asked."""
    _, learner, _, _ = case
    header = read_header(written(learner, "kohya", tmp_path / "a.safetensors"))
    assert base_of(header.shapes, {"ss_base_model_version": "sd_v1"}) == "SD 1.x"
