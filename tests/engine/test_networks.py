"""Networks that a prompt names, in a real engine process: their effect, and a model that is afterwards what it was."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from modules.core import events
from modules.core.requests import FileRecord, ImageRequest, ModelRecord
from modules.families import random_weights
from modules.families.built import BuildOptions
from modules.families.kinds import sd15
from modules.prompts.infotext import parse_infotext
from tests.engine.engine_process import Engine, pictures

Make = Callable[..., ImageRequest]


def pixels(heard: list[Any]) -> np.ndarray:
    assert isinstance(heard[-1], events.Finished), heard[-1]
    (picture,) = pictures(heard)
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def filed(kind: str, path: Path, **known: Any) -> FileRecord:
    stat = path.stat()
    return FileRecord(kind=kind, name=path.stem, path=str(path), size=stat.st_size, modified=stat.st_mtime_ns, **known)


@pytest.fixture(scope="module")
def lora(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> FileRecord:
    """In kohya's naming, for all of the small model's attention layers and its text encoder."""
    built = sd15.build(small_file, BuildOptions(half=False))
    random = torch.Generator().manual_seed(3)
    tensors: dict[str, torch.Tensor] = {}
    for prefix, network, part in (("lora_unet", built.unet, "attn"), ("lora_te", built.text_encoder, "self_attn")):
        for name, layer in network.named_modules():
            if part in name and isinstance(layer, torch.nn.Linear):
                inner = f"text_model.{name}" if prefix == "lora_te" and not name.startswith("text_model") else name
                key = f"{prefix}_{inner.replace('.', '_')}"
                tensors[f"{key}.lora_down.weight"] = torch.randn(4, layer.in_features, generator=random)
                tensors[f"{key}.lora_up.weight"] = torch.randn(layer.out_features, 4, generator=random) * 0.1
                tensors[f"{key}.alpha"] = torch.tensor(4.0)
    assert len(tensors) > 30
    path = tmp_path_factory.mktemp("loras") / "fur.safetensors"
    save_file(tensors, path)
    return filed("lora", path, alias="Fur", short_hash="0123456789ab")


@pytest.fixture
def draw(engine: Engine, record: ModelRecord, request_of: Make, lora: FileRecord) -> Callable[..., list[Any]]:
    def run(prompt: str, **known: Any) -> list[Any]:
        return engine.draw(request_of(prompt=prompt, **known), record, files=(lora,))

    return run


def test_a_lora_changes_the_picture_and_nothing_stays(draw: Callable[..., list[Any]]) -> None:
    before = pixels(draw("a cat "))
    heard = draw("a cat <lora:fur:1>")
    changed = pixels(heard)
    assert abs(changed - before).mean() > 1
    assert (pixels(draw("a cat ")) == before).all(), "bit for bit"
    assert (pixels(draw("a cat <lora:fur:1>")) == changed).all()
    text = parse_infotext(pictures(heard)[0].infotext)
    assert text["Lora hashes"] == "Fur: 0123456789ab"
    assert text["Prompt"] == "a cat <lora:fur:1>"


def test_its_two_strengths_count_separately(draw: Callable[..., list[Any]]) -> None:
    tags = ("<lora:fur:0>", "<lora:fur:1:0>", "<lora:fur:0:1>", "<lora:fur:1:1>", "<lora:fur:unet=0.5:te=0>")
    found = [pixels(draw(f"a cat{tag}")) for tag in tags]
    assert (found[0] == pixels(draw("a cat"))).all()
    for one in range(len(tags)):
        for other in range(one):
            assert (found[one] != found[other]).any(), (tags[one], tags[other])


def test_names_and_aliases(draw: Callable[..., list[Any]]) -> None:
    found = [pixels(draw(f"a cat<{tag}>")) for tag in ("lora:fur:1", "lora:Fur:1", "lyco:fur:1")]
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def test_they_can_be_left_out(draw: Callable[..., list[Any]]) -> None:
    plain = pixels(draw("a cat"))
    assert (pixels(draw("a cat<lora:fur:1>", disable_extra_networks=True)) == plain).all()


def test_the_second_pass_has_those_of_its_own_prompt(draw: Callable[..., list[Any]]) -> None:
    hires: dict[str, Any] = {"enable_hr": True, "hr_upscaler": "Latent", "hr_scale": 1.5}
    plain, second = (pixels(draw("a cat", **hires, hr_prompt=prompt)) for prompt in ("a cat", "a cat<lora:fur:1>"))
    assert (plain != second).any()


def test_one_for_another_kind_of_model_is_left_out_with_a_remark(
    engine: Engine, record: ModelRecord, request_of: Make, lora: FileRecord, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.safetensors"
    wide = {"lora_te_text_model_encoder_layers_99_mlp_fc1.lora_down.weight": torch.zeros(4, 8)}
    save_file(wide | {"lora_te_text_model_encoder_layers_99_mlp_fc1.lora_up.weight": torch.zeros(8, 4)}, wrong)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"broken")
    files = (lora, filed("lora", wrong, short_hash="1" * 12), filed("lora", broken, short_hash="2" * 12))
    request = request_of(prompt="a cat<lora:wrong:1><lora:fur:1><lora:broken:1>")
    heard = engine.draw(request, record, files=files)
    expected = pixels(engine.draw(request_of(prompt="a cat<lora:fur:1>"), record, files=files))
    assert (pixels(heard) == expected).all()
    assert "wrong was made for another kind of model" in heard[-1].note
    assert "broken.safetensors" in heard[-1].note
    assert parse_infotext(pictures(heard)[0].infotext)["Lora hashes"] == "Fur: 0123456789ab", "only what was applied"


def test_another_autoencoder(
    engine: Engine, record: ModelRecord, request_of: Make, small_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    random_weights.write(other, random_weights.small(), seed=9)
    tensors = {name: one for name, one in load_file(other).items() if name.startswith("first_stage_model.")}
    vae = tmp_path / "mine.safetensors"
    save_file({name.removeprefix("first_stage_model."): one for name, one in tensors.items()}, vae)
    file = filed("vae", vae, short_hash="abcdef0123")
    own = pixels(engine.draw(request_of(), record))
    heard = engine.draw(request_of(vae="mine"), record, files=(file,))
    assert (pixels(heard) != own).any()
    text = parse_infotext(pictures(heard)[0].infotext)
    assert (text["VAE"], text["VAE hash"]) == ("mine.safetensors", "abcdef0123")
    assert (pixels(engine.draw(request_of(vae="None"), record, files=(file,))) == own).all()
    assert (pixels(engine.draw(request_of(), record, files=(file,))) == own).all(), "it belongs to no model"
    beside = filed("vae", Path(vae.rename(tmp_path / f"{small_file.stem}.vae.safetensors")))
    automatic = engine.draw(request_of(), record, files=(beside,))
    assert (pixels(automatic) == pixels(heard)).all()
