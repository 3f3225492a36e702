"""Number types: decided by the device alone, and the autoencoder never in float16."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from modules.core.errors import InvalidOption
from modules.families import offload, precision
from modules.families.built import BuildOptions
from modules.families.kinds import sd15, sdxl

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda:0"), torch.device("mps")


@pytest.mark.parametrize("device", [CPU, CUDA, MPS])
def test_no_half_is_32_bits_everywhere(device: torch.device) -> None:
    assert precision.precision(device, half=False) == precision.FULL


@pytest.mark.parametrize(("flag", "number"), [("avx512_bf16", torch.bfloat16), ("avx2", torch.float32)])
def test_a_cpu_works_in_bfloat16_when_it_has_instructions_for_it(
    flag: str, number: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {flag: True})
    chosen = precision.precision(CPU, half=True)
    assert (chosen.network, chosen.text_encoder) == (number, torch.float32)


@pytest.mark.parametrize(("generation", "vae"), [(7, torch.float32), (8, torch.bfloat16), (9, torch.bfloat16)])
def test_a_gpu_works_in_float16_but_for_the_autoencoder(
    generation: int, vae: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (generation, 0))
    assert precision.precision(CUDA, half=True).network == torch.float16
    assert precision.precision(CUDA, half=True).vae == vae
    assert precision.precision(MPS, half=True).vae == torch.float32


def test_a_model_has_the_number_types_that_were_chosen(small_file: Path) -> None:
    chosen = precision.precision(CPU, half=True)
    built = sd15.build(small_file, BuildOptions())
    found = [next(one.parameters()).dtype for one in (built.unet, built.vae, built.text_encoder)]
    assert found == [chosen.network, chosen.vae, chosen.text_encoder]
    assert built.dtype == chosen.network
    weight = built.unet.conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


# Memory policies (their CUDA parts are not run where there is no GPU) -----------------------------------------------------


@pytest.mark.parametrize(("memory", "where"), [("normal", "cuda:0"), ("medvram", "cpu"), ("lowvram", "cpu")])
def test_weights_that_are_only_lent_to_the_gpu_are_read_into_main_memory(memory: str, where: str) -> None:
    assert offload.weights_device(BuildOptions(device=CUDA, memory=memory)) == where
    assert offload.weights_device(BuildOptions(device=CPU, memory=memory)) == "cpu"


@pytest.mark.parametrize("memory", ["medvram", "lowvram"])
def test_on_a_cpu_the_policies_change_nothing(memory: str, small_file: Path) -> None:
    built = sd15.build(small_file, BuildOptions(memory=memory, attention="xformers"))
    assert not any(hasattr(module, "_hf_hook") for module in built.unet.modules())


def test_xformers_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offload, "find_spec", lambda name: None)
    asked = BuildOptions(device=CUDA, attention="xformers")
    built: object = SimpleNamespace(device=CUDA)
    with pytest.raises(InvalidOption, match="xformers is not installed"):
        offload.apply_policy(built, asked)  # pyright: ignore[reportArgumentType]


def test_offloading_computes_the_same_and_can_be_done_to_any_network(small_file: Path) -> None:
    """The hooks themselves, with the CPU in the GPU's place."""
    plain, hooked = (sd15.build(small_file, BuildOptions(half=False)) for _ in range(2))
    offload.one_layer_at_a_time(hooked)
    x, t, text = torch.randn(1, 4, 8, 8), torch.tensor([5.0]), torch.randn(1, 77, 32)
    with torch.inference_mode():
        assert torch.equal(plain.predict(x, t, text), hooked.predict(x, t, text))


def test_offloading_reaches_every_network_there_is(small_of: Callable[[str], Path]) -> None:
    built = sdxl.register_families()[0].build(small_of("sdxl"), BuildOptions(half=False))
    offload.one_network_at_a_time(built)
    assert all(hasattr(network, "_hf_hook") for network in built.networks.values())
    assert list(built.networks) == ["text_encoder", "text_encoder_2", "unet", "vae"]


def test_a_model_is_moved_as_a_whole(small_of: Callable[[str], Path]) -> None:
    """The meta device stands for a GPU: moving there and asking where everything is needs none."""
    built = sdxl.register_families()[0].build(small_of("sdxl"), BuildOptions(half=False))
    offload.move(built, torch.device("meta"))
    assert built.device == torch.device("meta")
    for network in built.networks.values():
        assert {one.device.type for one in (*network.parameters(), *network.buffers())} == {"meta"}
