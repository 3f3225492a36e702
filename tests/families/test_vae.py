"""Autoencoders in files of their own: three forms of names, put in and taken out again, baked into checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from modules.core.errors import InvalidModelFile
from modules.families import random_weights, single_file, vae
from modules.families.built import BuildOptions, Built
from modules.families.kinds import sd15
from modules.families.original_layout import to_original


@pytest.fixture(scope="module")
def built(small_file: Path) -> Built:
    return sd15.build(small_file, BuildOptions(half=False))


@pytest.fixture(scope="module")
def other() -> AutoencoderKL:
    """An autoencoder of the same sizes with other weights."""
    torch.manual_seed(5)
    return AutoencoderKL(**random_weights.small()["vae"]).eval()


FORMER = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"))


def former(name: str) -> str:
    for now, then in FORMER:
        name = name.replace(f".{now}.", f".{then}.")
    return name


def file_in(form: str, network: AutoencoderKL, folder: Path) -> Path:
    """The autoencoder as a file in one of the forms that go about."""
    state = network.state_dict()
    tensors = to_original({"vae": state}, {"vae": random_weights.small()["vae"]})
    if form == "bare":
        tensors = {name.removeprefix("first_stage_model."): one for name, one in tensors.items()}
        tensors["loss.logvar"] = torch.zeros(1)
    if form == "diffusers":
        tensors = dict(state)
    if form == "early diffusers":
        tensors = {former(name): one for name, one in state.items()}
    single_file.save(folder / "other.safetensors", tensors, {})
    return folder / "other.safetensors"


FORMS = ["prefixed", "bare", "diffusers", "early diffusers"]


@pytest.mark.parametrize("form", FORMS)
def test_a_file_in_any_form_stands_in_for_the_checkpoint_s(
    form: str, built: Built, other: AutoencoderKL, tmp_path: Path
) -> None:
    loaded = vae.load_vae(file_in(form, other, tmp_path), like=built)
    latents = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        own = built.decode(latents)
        with built.with_vae(loaded) as changed:
            assert changed is built
            found = built.decode(latents)
            expected = other.decode(latents / 0.18215).sample
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert torch.equal(built.decode(latents), own)


def test_the_own_autoencoder_returns_when_the_block_fails(built: Built, other: AutoencoderKL) -> None:
    own = built.vae
    with pytest.raises(KeyError), built.with_vae(other):
        raise KeyError
    assert built.vae is own


def test_it_comes_in_the_number_type_of_the_one_it_replaces(
    small_file: Path, other: AutoencoderKL, tmp_path: Path
) -> None:
    half = sd15.build(small_file, BuildOptions(half=True))
    loaded = vae.load_vae(file_in("bare", other, tmp_path), like=half)
    assert {one.dtype for one in loaded.parameters()} == {one.dtype for one in half.vae.parameters()}
    assert not loaded.training
    assert not any(one.requires_grad for one in loaded.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_the_tensors_to_bake_in_are_named_as_in_a_checkpoint(
    form: str, other: AutoencoderKL, tmp_path: Path, small_file: Path
) -> None:
    path = file_in(form, other, tmp_path)
    if "diffusers" in form:
        _, tensors = single_file.load(path)
        single_file.save(path, tensors, {"atelier.config": json.dumps({"vae": random_weights.small()["vae"]})})
    found = vae.in_checkpoint(path)
    _, whole = single_file.load(small_file)
    expected = {name: one.shape for name, one in whole.items() if name.startswith("first_stage_model.")}
    assert {name: one.shape for name, one in found.items()} == expected


def test_baking_in_makes_a_checkpoint_that_draws_with_it(
    small_file: Path, other: AutoencoderKL, tmp_path: Path
) -> None:
    header, tensors = single_file.load(small_file)
    baked = tensors | vae.in_checkpoint(file_in("prefixed", other, tmp_path))
    single_file.save(tmp_path / "baked.safetensors", baked, header.metadata)
    model = sd15.build(tmp_path / "baked.safetensors", BuildOptions(half=False))
    latents = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(model.decode(latents), other.decode(latents / 0.18215).sample, atol=1e-5, rtol=1e-4)


def test_a_whole_checkpoint_lends_its_autoencoder(built: Built, tmp_path: Path) -> None:
    path = tmp_path / "another.safetensors"
    random_weights.write(path, random_weights.small(), seed=9)
    latents, theirs = torch.randn(1, 4, 8, 8), sd15.build(path, BuildOptions(half=False))
    with torch.inference_mode(), built.with_vae(vae.load_vae(path, like=built)):
        assert torch.equal(built.decode(latents), theirs.decode(latents))


def broken(change: Any, other: AutoencoderKL, folder: Path) -> Path:
    path = file_in("bare", other, folder)
    _, tensors = single_file.load(path)
    change(tensors)
    single_file.save(path, tensors, {})
    return path


def test_what_is_missing_is_named(built: Built, other: AutoencoderKL, tmp_path: Path) -> None:
    path = broken(lambda tensors: tensors.pop("encoder.conv_in.weight"), other, tmp_path)
    with pytest.raises(InvalidModelFile, match=r"not a whole autoencoder.*first_stage_model\.encoder\.conv_in\.weight"):
        vae.load_vae(path, like=built)


def test_another_size_is_named(built: Built, other: AutoencoderKL, tmp_path: Path) -> None:
    def widen(tensors: dict[str, torch.Tensor]) -> None:
        tensors["decoder.conv_in.weight"] = torch.zeros(32, 16, 3, 3)  # sixteen channels, as newer models have

    with pytest.raises(InvalidModelFile, match=r"decoder\.conv_in\.weight.*\[32, 16, 3, 3\].*\[32, 4, 3, 3\]"):
        vae.load_vae(broken(widen, other, tmp_path), like=built)


def test_another_kind_of_file_is_named(built: Built, tmp_path: Path) -> None:
    single_file.save(tmp_path / "x.safetensors", {"lora_unet_a.lora_up.weight": torch.zeros(2, 2)}, {})
    for read in (lambda path: vae.load_vae(path, like=built), vae.in_checkpoint):
        with pytest.raises(InvalidModelFile, match=r"x\.safetensors is a LoRA, not an autoencoder"):
            read(tmp_path / "x.safetensors")


def test_a_name_that_no_checkpoint_has_is_a_sentence(other: AutoencoderKL, tmp_path: Path) -> None:
    path = file_in("diffusers", other, tmp_path)
    _, tensors = single_file.load(path)
    config = {"atelier.config": json.dumps({"vae": random_weights.small()["vae"]})}
    single_file.save(path, tensors | {"decoder.no_such.weight": torch.zeros(1)}, config)
    with pytest.raises(InvalidModelFile, match="no autoencoder that a checkpoint can hold"):
        vae.in_checkpoint(path)
