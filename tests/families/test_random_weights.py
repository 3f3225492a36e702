"""Random checkpoints: whole, finite, the same for the same seed."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modules.core.flags import ROOT
from modules.core.tensorfile import read_header
from modules.families import random_weights, single_file
from modules.families.built import BuildOptions
from modules.families.configuration import bundled
from modules.families.kinds import sd15
from modules.families.networks import empty_networks
from modules.families.recognise import is_refiner


def test_the_same_seed_writes_the_same_bytes(small_file: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        random_weights.write(tmp_path / f"{seed}.safetensors", random_weights.small(), seed=seed)
    assert (tmp_path / "0.safetensors").read_bytes() == small_file.read_bytes()
    assert (tmp_path / "1.safetensors").read_bytes() != small_file.read_bytes()


def test_what_flows_through_the_networks_keeps_its_size(small_file: Path) -> None:
    built = sd15.build(small_file, BuildOptions(half=False))
    with torch.inference_mode():
        text = built.text_encoder(input_ids=torch.full((1, 77), 320)).last_hidden_state
        prediction = built.predict(torch.randn(1, 4, 8, 8), torch.tensor([500.0]), text)
        picture = built.decode(torch.randn(1, 4, 8, 8))
    for one in (text, prediction, picture):
        assert 0.05 < one.std() < 5


def test_the_command_line_writes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    command = [sys.executable, "-m", "modules.families.random_weights", str(path), "--small", "--seed", "3"]
    subprocess.run(command, cwd=ROOT, check=True)
    header, tensors = single_file.load(path)
    assert header.metadata["atelier.config"]
    assert {one.dtype for one in tensors.values()} == {torch.float16}


def test_small_is_a_copy() -> None:
    random_weights.small()["unet"]["layers_per_block"] = 99
    assert bundled()["unet"]["layers_per_block"] == 2
    assert random_weights.small()["unet"]["layers_per_block"] == 1


PUBLISHED = {
    # bytes of v1-5-pruned-emaonly (32 bits), v2-1_768-ema-pruned (32), sd_xl_base_1.0 and sd_xl_refiner_1.0 (16)
    "sd1": 4.27e9 / 4,
    "sd2": 5.21e9 / 4,
    "sdxl": 6.94e9 / 2,
    "sdxl-refiner": 6.08e9 / 2,
}


@pytest.mark.parametrize("family", random_weights.ARCHITECTURES)
def test_the_full_configuration_has_as_many_numbers_as_the_published_file(family: str) -> None:
    networks = empty_networks(random_weights.full(family), random_weights.ARCHITECTURES[family].layout.open_clip)
    count = sum(one.numel() for network in networks.values() for one in network.parameters())
    kind = family if family == "sdxl-refiner" else family.split("-")[0]
    assert count == pytest.approx(PUBLISHED[kind], rel=2e-3)


def test_the_command_line_knows_the_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "xl.safetensors"
    monkeypatch.setattr(sys, "argv", ["random_weights", str(path), "--family", "sdxl-refiner", "--small"])
    random_weights.main()
    assert is_refiner(read_header(path).shapes)
