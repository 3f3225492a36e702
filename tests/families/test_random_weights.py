"""Random checkpoints: whole, finite, the same for the same seed."""

import subprocess
import sys
from pathlib import Path

import torch

from modules.core.flags import ROOT
from modules.families import random_weights, single_file
from modules.families.built import BuildOptions
from modules.families.configuration import bundled
from modules.families.kinds import sd15


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
