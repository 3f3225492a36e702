"""Which checkpoints can be taught: real small ones of every kind, by their headers."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.core.errors import InvalidRequest
from modules.core.requests import ModelRecord
from modules.families import random_weights
from modules.families.kinds import sd15
from modules.services.training.models import check_trainable, why_not

SAID = {
    "sd1": "",
    "sd2": "",
    "sdxl": "",
    "sd1-inpaint": "inpainting model",
    "sd1-edit": "edits pictures by instruction",
    "sdxl-refiner": "It is a refiner",
}


def record_of(path):
    return ModelRecord(name=path.stem, path=str(path), title=path.name, size=1, modified=path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")

    def written(family):
        path = folder / f"{family}.safetensors"
        if not path.exists():
            random_weights.write(path, random_weights.small(family), family=family)
        return path

    return written


@pytest.mark.parametrize("family", SAID)
def test_what_can_be_taught(checkpoint, family):
    record = record_of(checkpoint(family))
    reason = why_not(record)
    assert SAID[family] in reason
    assert bool(reason) is bool(SAID[family])
    if reason:
        with pytest.raises(InvalidRequest, match=rf"{family}\.safetensors cannot be trained\. ") as raised:
            check_trainable(record)
        assert raised.value.problems[0].field == "model"
    else:
        check_trainable(record)


def test_8_bits_are_too_few(checkpoint, tmp_path):
    tensors = load_file(checkpoint("sd1"))
    eight = {
        name: tensor.to(torch.float8_e4m3fn) if tensor.dim() > 1 and "first_stage" not in name else tensor
        for name, tensor in tensors.items()
    }
    path = tmp_path / "eight.safetensors"
    save_file(eight, path)
    assert "8 bits" in why_not(record_of(path))


def test_a_folder_of_diffusers(tmp_path):
    (tmp_path / "unet").mkdir()
    weights = {"conv_in.weight": torch.zeros(4, 9, 3, 3)}
    save_file(weights, tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    assert "inpainting" in why_not(record_of(tmp_path))


def test_what_cannot_be_read_is_somebody_elses_to_say(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    assert why_not(record_of(broken)) == ""
    assert why_not(ModelRecord(name="x", path=str(tmp_path / "gone"), title="x", size=0, modified=0)) == ""
    (tmp_path / "empty").mkdir()
    assert why_not(record_of(tmp_path / "empty")) == ""


def test_inpainting_is_what_the_family_says(checkpoint):
    assert random_weights.ARCHITECTURES["sd1-inpaint"] is sd15.INPAINTING


def test_another_file_of_the_same_name_is_looked_at_again(checkpoint, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(checkpoint("sd1-inpaint").read_bytes())
    assert why_not(record_of(path))
    path.write_bytes(checkpoint("sd1").read_bytes())
    later = record_of(path)
    assert why_not(ModelRecord(**{**vars(later), "modified": later.modified + 1})) == ""
