"""Results as files: what is read back is what was trained, and others find every tensor where Stable Diffusion 1.5 has it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from modules.core.training import TrainingPlan
from modules.families import checkpoint, random_weights
from modules.families.built import BuildOptions, Built
from modules.families.checkpoint import build
from modules.families.folder import shapes_of
from modules.families.kinds import sd15
from modules.families.recognise import family_of
from modules.families.saving import save_folder
from tests.training.learning import METHODS, answer, taught

FULL = BuildOptions(half=False)
LAYERS = 3  # of the text encoder; the published one has 12


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.5 in small: the same blocks, in widths that change where its widths change."""
    config = random_weights.full("sd1")
    config["unet"] |= {"block_out_channels": [32, 64, 96, 96], "cross_attention_dim": 32, "norm_num_groups": 16}
    config["unet"] |= {"attention_head_dim": 2, "sample_size": 8}
    config["vae"] |= {"block_out_channels": [8, 16, 32, 32], "norm_num_groups": 8}
    config["text_encoder"] |= random_weights.small("sd1")["text_encoder"] | {"num_hidden_layers": LAYERS}
    path = tmp_path_factory.mktemp("topology") / "T.safetensors"
    random_weights.write(path, config)
    return path


def opened(path: Path) -> Built:
    family = family_of(shapes_of(path), sd15.register_families(), path.name)
    return family.build(path, FULL)


@pytest.fixture(scope="module")
def trained(topology: Path, plan_of: Callable[..., TrainingPlan]) -> Built:
    """T after two steps of DreamBooth with its text encoder."""
    model = build(topology, FULL, family=sd15.NAME)
    base = answer(model)
    with taught(model, plan_of(train_text_encoder=True), steps=1):
        assert (answer(model) - base).abs().max() > 1e-2
    return model


# Where Stable Diffusion 1.5 has its tensors: written down from the published file ------------------------------------------


def both(*names: str) -> Iterator[str]:
    for name in names:
        yield from (f"{name}.weight", f"{name}.bias")


def resnet(block: str, widens: bool) -> Iterator[str]:
    inner = ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3")
    yield from both(*(f"{block}.{one}" for one in (*inner, *(("skip_connection",) if widens else ()))))


def attention(block: str) -> Iterator[str]:
    inside = f"{block}.transformer_blocks.0"
    yield from both(f"{block}.norm", f"{block}.proj_in", f"{block}.proj_out")
    yield from both(*(f"{inside}.{one}" for one in ("ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3")))
    for attn in (f"{inside}.attn1", f"{inside}.attn2"):
        yield from (f"{attn}.{one}.weight" for one in ("to_q", "to_k", "to_v"))
        yield from both(f"{attn}.to_out.0")


def unet_of_1_5() -> Iterator[str]:
    yield from both("time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2")
    for block in (1, 2, 4, 5, 7, 8, 10, 11):
        yield from resnet(f"input_blocks.{block}.0", widens=block in (4, 7))
        yield from attention(f"input_blocks.{block}.1") if block < 10 else ()
    yield from both(*(f"input_blocks.{block}.0.op" for block in (3, 6, 9)))
    yield from resnet("middle_block.0", widens=False)
    yield from attention("middle_block.1")
    yield from resnet("middle_block.2", widens=False)
    for block in range(12):
        yield from resnet(f"output_blocks.{block}.0", widens=True)
        yield from attention(f"output_blocks.{block}.1") if block > 2 else ()
    yield from both("output_blocks.2.1.conv", "output_blocks.5.2.conv", "output_blocks.8.2.conv")


def vae_of_1_5() -> Iterator[str]:
    yield from both("quant_conv", "post_quant_conv")
    for half, side, count, wider in (("encoder", "down", 2, (1, 2)), ("decoder", "up", 3, (0, 1))):
        yield from both(*(f"{half}.{one}" for one in ("conv_in", "conv_out", "norm_out")))
        yield from both(*(f"{half}.mid.attn_1.{one}" for one in ("norm", "q", "k", "v", "proj_out")))
        blocks = [f"{half}.mid.block_1", f"{half}.mid.block_2"]
        blocks += [f"{half}.{side}.{level}.block.{block}" for level in range(4) for block in range(count)]
        for block in blocks:
            yield from both(*(f"{block}.{one}" for one in ("norm1", "conv1", "norm2", "conv2")))
        yield from both(*(f"{half}.{side}.{level}.block.0.nin_shortcut" for level in wider))
    yield from both(*(f"encoder.down.{level}.downsample.conv" for level in (0, 1, 2)))
    yield from both(*(f"decoder.up.{level}.upsample.conv" for level in (1, 2, 3)))


def clip_of_1_5() -> Iterator[str]:
    yield from ("embeddings.position_embedding.weight", "embeddings.token_embedding.weight")
    yield from both("final_layer_norm")
    inner = (*(f"self_attn.{one}_proj" for one in ("q", "k", "v", "out")), "mlp.fc1", "mlp.fc2")
    for layer in range(LAYERS):
        yield from both(*(f"encoder.layers.{layer}.{one}" for one in (*inner, "layer_norm1", "layer_norm2")))


def test_a_checkpoint_has_the_names_of_1_5(trained: Built, tmp_path: Path) -> None:
    """training.md 3.17. The published file has 686 and 248 of the first two."""
    checkpoint.save(trained, tmp_path / "cat.safetensors", {})
    found = set(load_file(tmp_path / "cat.safetensors"))
    unet = {f"model.diffusion_model.{name}" for name in unet_of_1_5()}
    vae = {f"first_stage_model.{name}" for name in vae_of_1_5()}
    text = {f"cond_stage_model.transformer.text_model.{name}" for name in clip_of_1_5()}
    assert (len(unet), len(vae)) == (686, 248)
    assert found == unet | vae | text


# Read back -------------------------------------------------------------------------------------------------------------


def with_diffusers(model: Built, pipeline: Any) -> torch.Tensor:
    """What the pipeline's networks draw."""
    parts = {part: getattr(pipeline, part).eval().requires_grad_(False) for part in model.networks}
    return answer(replace(model, **parts))


def test_what_is_read_back_is_what_was_trained(trained: Built, tmp_path: Path) -> None:
    """training.md 3.16, 3.17: folder and file, by us and by diffusers, offline; the base would be seen."""
    expected = answer(trained)
    save_folder(trained, tmp_path / "folder", {}, number=torch.float32)
    checkpoint.save(trained, tmp_path / "file.safetensors", {}, number=torch.float32)
    for path in (tmp_path / "folder", tmp_path / "file.safetensors"):
        assert torch.equal(answer(opened(path)), expected)
    from_folder = StableDiffusionPipeline.from_pretrained(tmp_path / "folder", local_files_only=True)
    from_file = StableDiffusionPipeline.from_single_file(
        str(tmp_path / "file.safetensors"), config=str(tmp_path / "folder"), local_files_only=True
    )
    for pipeline in (from_folder, from_file):
        for part, network in trained.networks.items():
            theirs = getattr(pipeline, part).state_dict()
            assert all(torch.equal(theirs[name], one) for name, one in network.state_dict().items())
        # the same numbers in another order in memory: convolutions round differently
        torch.testing.assert_close(with_diffusers(trained, pipeline), expected, atol=2e-5, rtol=0)


def test_half_precision_costs_little(trained: Built, tmp_path: Path) -> None:
    expected = answer(trained)
    checkpoint.save(trained, tmp_path / "half.safetensors", {})
    found = answer(opened(tmp_path / "half.safetensors"))
    assert 0 < float((found - expected).abs().max()) < 2 / 255 * float(expected.abs().max())


def test_a_lora_becomes_a_checkpoint(tiny: Any, tmp_path: Path, plan_of: Callable[..., TrainingPlan]) -> None:
    """training.md 3.4e: written inside `merged`, it draws alone what the model draws with the LoRA."""
    model = tiny()
    base = answer(model)
    wide = {"targets": "all linear and convolution", "train_text_encoder": True, "rank": 4, "alpha": 6.0}
    with taught(model, plan_of(method="lora", **wide), steps=1) as learner:
        expected = answer(model)
        with learner.merged():
            checkpoint.save(model, tmp_path / "file.safetensors", {}, number=torch.float32)
        assert torch.equal(answer(model), expected)
        checkpoint.save(model, tmp_path / "unmerged.safetensors", {}, number=torch.float32)
    assert (expected - base).abs().max() > 1e-2
    torch.testing.assert_close(answer(opened(tmp_path / "file.safetensors")), expected, atol=1e-4, rtol=0)
    assert torch.equal(answer(opened(tmp_path / "unmerged.safetensors")), base), "the control"
    assert torch.equal(answer(model), base)


def test_every_format_of_every_method_is_made(tiny: Any, plan_of: Any) -> None:
    kinds = {"kohya": "lora", "peft": "lora", "embedding": "embedding", "pt": "embedding"}
    for name, method in METHODS.items():
        with method.prepare(tiny(), plan_of(method=name)) as learner:
            for format in method.formats:
                (one,) = learner.export(format, torch.float16)
                assert one.format == format
                assert one.kind == kinds.get(format, "checkpoint")
                assert bool(one.tensors) == (one.kind != "checkpoint")
