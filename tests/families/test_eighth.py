"""Weights in 8 bits: half the memory, nearly the same answer, and files that are stored so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from modules.families import eighth, single_file
from modules.families.built import BuildOptions, Built

NARROW = torch.float8_e4m3fn


@pytest.fixture
def build(small_of: Callable[[str], Path], family_for: Callable[[Path], Any]) -> Callable[..., Built]:
    return lambda family, **options: family_for(small_of(family)).build(small_of(family), BuildOptions(**options))


def predicted(built: Built) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    width = sum(built.encoder_widths.values())
    x, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, width, generator=generator)
    vector = torch.cat([torch.randn(1, 48, generator=generator), torch.full((1, 6), 64.0)], dim=1)
    with torch.inference_mode():
        return built.predict(x, torch.tensor([500.0]), text, vector if built.sizes else None)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize("half", [False, True])
def test_weights_are_kept_in_8_bits_and_the_answer_is_near(
    family: str, half: bool, build: Callable[..., Built]
) -> None:
    wide, narrow = build(family, half=half), build(family, half=half, fp8=True)
    layers = [one for one in narrow.unet.modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    assert layers
    assert all(one.weight.dtype == NARROW for one in layers)
    assert {one.dtype for one in narrow.vae.parameters()} == {one.dtype for one in wide.vae.parameters()}
    assert narrow.dtype == wide.dtype
    assert narrow.footprint() < wide.footprint()
    expected, found = predicted(wide), predicted(narrow)
    assert torch.isfinite(found).all()
    assert (found - expected).std() < 0.15 * expected.std()
    assert not torch.equal(found, expected)


def test_names_and_layers_are_the_same(build: Callable[..., Built]) -> None:
    wide, narrow = build("sdxl", half=False), build("sdxl", half=False, fp8=True)
    assert narrow.unet.state_dict().keys() == wide.unet.state_dict().keys()
    names = [(name, isinstance(one, nn.Linear)) for name, one in wide.unet.named_modules()]
    assert [(name, isinstance(one, nn.Linear)) for name, one in narrow.unet.named_modules()] == names


def test_the_way_back_computes_with_what_is_left(build: Callable[..., Built]) -> None:
    built = build("sd1", half=False)
    eighth.store(built.unet)
    narrow = predicted(built)
    eighth.widen(built.unet, torch.float32)
    assert torch.equal(predicted(built), narrow)  # widened once or at each call
    assert {type(one) for one in built.unet.modules() if isinstance(one, nn.Linear)} == {nn.Linear}
    assert {one.dtype for one in built.unet.parameters()} == {torch.float32}


def test_a_wide_weight_may_be_put_in(build: Callable[..., Built]) -> None:
    """As adapters do for the time of a job."""
    built = build("sd1", half=False, fp8=True)
    layer = built.unet.conv_in
    kept, before = layer.weight.data, predicted(built)
    layer.weight.data = kept.float() + 0.1
    assert not torch.equal(predicted(built), before)
    layer.weight.data = kept
    assert torch.equal(predicted(built), before)


@pytest.mark.parametrize("number", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float32])
def test_files_of_any_number_type_are_read(
    number: torch.dtype, small_of: Callable[[str], Path], family_for: Callable[[Path], Any], tmp_path: Path
) -> None:
    header, tensors = single_file.load(small_of("sdxl"))
    path = tmp_path / "other.safetensors"
    single_file.save(path, {name: one.to(number) for name, one in tensors.items()}, header.metadata)
    built = family_for(path).build(path, BuildOptions(half=False))
    assert {one.dtype for one in built.unet.parameters()} == {torch.float32}
    stored = tensors["model.diffusion_model.input_blocks.0.0.weight"].to(number).float()
    assert torch.equal(built.unet.conv_in.weight, stored)


def test_saving_one_kept_in_8_bits_writes_float16(build: Callable[..., Built], tmp_path: Path) -> None:
    from modules.families.checkpoint import save

    built = build("sd1", half=False, fp8=True)
    save(built, tmp_path / "x.safetensors", {})
    _, tensors = single_file.load(tmp_path / "x.safetensors")
    assert {one.dtype for one in tensors.values()} == {torch.float16}
    first = tensors["model.diffusion_model.input_blocks.0.0.weight"]
    assert torch.equal(first.float(), built.unet.conv_in.weight.float())


def test_numbers_beyond_the_range_become_its_end_and_not_nan() -> None:
    found = eighth.narrowed(torch.tensor([1e6, -1e6, 448.0, 0.5]))
    assert found.dtype == NARROW
    assert found.float().tolist() == [448.0, -448.0, 448.0, 0.5]
    assert eighth.narrowed(found) is found


def test_what_is_read_into_8_bits_is_what_is_stored_later(build: Callable[..., Built]) -> None:
    read, stored = build("sdxl", half=False, fp8=True), build("sdxl", half=False)
    eighth.store(stored.unet)
    theirs = stored.unet.state_dict()
    assert all(
        one.dtype == theirs[name].dtype and one.float().equal(theirs[name].float())
        for name, one in read.unet.state_dict().items()
    )
