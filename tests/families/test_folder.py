"""Folders as diffusers saves them: split, in variants, of every kind, and what can be wrong with them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from modules.core.errors import InvalidModelFile
from modules.core.flags import ROOT
from modules.families.built import TOKENIZER, BuildOptions, Built
from modules.families.folder import files_of, is_model_folder, shapes_of

FULL = BuildOptions(half=False)
PIPELINES: dict[str, Any] = {
    "sd1": StableDiffusionPipeline,
    "sd1-inpaint": StableDiffusionInpaintPipeline,
    "sd2": StableDiffusionPipeline,
    "sdxl": StableDiffusionXLPipeline,
    "sdxl-refiner": StableDiffusionXLImg2ImgPipeline,
}


def shortened(tower: Any) -> CLIPTextModel:
    """As diffusers keeps the encoder of Stable Diffusion 2: one layer less, no projection."""
    short = CLIPTextModel(type(tower.config)(**(tower.config.to_dict() | {"num_hidden_layers": 1})))
    names = short.state_dict().keys()
    state = {name.removeprefix("text_model."): one for name, one in tower.state_dict().items()}
    short.load_state_dict({name: state[name] for name in names})
    return short


def pipeline_of(built: Built, family: str, prediction: str = "epsilon", zero_snr: bool = False) -> Any:
    words = CLIPTokenizer.from_pretrained(TOKENIZER)
    tower = shortened(built.text_encoder) if family == "sd2" else built.text_encoder
    parts: dict[str, Any] = {
        "unet": built.unet,
        "vae": built.vae,
        "text_encoder": tower,
        "tokenizer": words if tower is not None else None,
        "scheduler": DDIMScheduler(prediction_type=prediction, rescale_betas_zero_snr=zero_snr),
    }
    if "xl" in family:
        parts |= {"text_encoder_2": built.text_encoder_2, "tokenizer_2": words}
    else:
        parts |= {"safety_checker": None, "feature_extractor": None}
    return PIPELINES[family](**parts)


@pytest.fixture
def build(small_of: Callable[[str], Path], family_for: Callable[[Path], Any]) -> Callable[[str], Built]:
    return lambda family: family_for(small_of(family)).build(small_of(family), FULL)


@pytest.fixture
def folder(build: Callable[[str], Built], tmp_path: Path) -> Callable[..., Path]:
    def save(family: str, **how: Any) -> Path:
        options = {key: how.pop(key) for key in ("prediction", "zero_snr") if key in how}
        pipeline_of(build(family), family, **options).save_pretrained(tmp_path / "model", **how)
        return tmp_path / "model"

    return save


def alike(one: Built, other: Built, chunk: Callable[..., Any]) -> None:
    """The same text, prediction and picture."""
    x, steps = torch.randn(1, 4, 8, 8), torch.tensor([300.0])
    text, theirs = (built.text_of(built.encode([[chunk(320, 500)]])[0], width=64, height=64) for built in (one, other))
    torch.testing.assert_close(theirs.states, text.states, atol=1e-5, rtol=1e-4)
    vector = None if text.vector is None else text.vector[None]
    concat = torch.randn(1, 5, 8, 8) if one.kind == "inpaint" else None
    with torch.inference_mode():
        first, second = (built.predict(x, steps, text.states[None], vector, concat) for built in (one, other))
        torch.testing.assert_close(second, first, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(other.decode(x), one.decode(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", PIPELINES)
def test_a_folder_is_the_model_it_was_saved_from(
    family: str,
    build: Callable[[str], Built],
    folder: Callable[..., Path],
    family_for: Callable[[Path], Any],
    chunk: Callable[..., Any],
) -> None:
    built, path = build(family), folder(family)
    assert is_model_folder(path)
    found = family_for(path)
    assert found.name == built.family
    alike(built, found.build(path, FULL), chunk)


def test_split_files_and_variants_are_read(
    folder: Callable[..., Path], family_for: Callable[[Path], Any], build: Callable[[str], Built], chunk: Any
) -> None:
    path = folder("sdxl", max_shard_size="2MB", variant="fp16")
    names = [one.name for one in files_of(path, "unet")]
    assert len(names) > 1
    assert all("fp16" in name for name in names)
    alike(build("sdxl"), family_for(path).build(path, FULL), chunk)
    (path / "unet" / names[0]).unlink()
    with pytest.raises(InvalidModelFile, match=r"is incomplete: .* 1 are there, 2 were written"):
        family_for(path)


def test_the_file_without_a_variant_is_preferred(folder: Callable[..., Path]) -> None:
    path = folder("sd1")
    plain = path / "unet" / "diffusion_pytorch_model.safetensors"
    for variant in ("fp16", "non_ema", "aaa"):
        plain.with_name(f"diffusion_pytorch_model.{variant}.safetensors").write_bytes(b"")
    assert files_of(path, "unet") == [plain]
    plain.unlink()
    assert [one.name for one in files_of(path, "unet")] == ["diffusion_pytorch_model.fp16.safetensors"]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("zero_snr", [False, True])
def test_the_scheduler_says_how_it_was_trained(
    prediction: str, zero_snr: bool, folder: Callable[..., Path], family_for: Callable[[Path], Any]
) -> None:
    path = folder("sd2", prediction=prediction, zero_snr=zero_snr)
    built = family_for(path).build(path, FULL)
    assert built.prediction == prediction
    assert (built.sigmas[-1] > 1000) == zero_snr


def test_names_of_early_versions_are_read(
    folder: Callable[..., Path], family_for: Callable[[Path], Any], build: Callable[[str], Built], chunk: Any
) -> None:
    """The autoencoder's attention was called otherwise, and the text encoder had a level more."""
    path = folder("sd1")
    vae = path / "vae" / "diffusion_pytorch_model.safetensors"
    text = path / "text_encoder" / "model.safetensors"
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(vae)
    for now, then in former.items():
        tensors = {name.replace(f".{now}.", f".{then}."): one for name, one in tensors.items()}
    save_file(tensors, vae)
    save_file({f"text_model.{name.removeprefix('text_model.')}": one for name, one in load_file(text).items()}, text)
    alike(build("sd1"), family_for(path).build(path, FULL), chunk)


# What can be wrong -----------------------------------------------------------------------------------------------------


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert not is_model_folder(tmp_path)
    with pytest.raises(InvalidModelFile, match=r"folder without model_index\.json"):
        shapes_of(tmp_path)


def test_pickles_are_not_read(folder: Callable[..., Path]) -> None:
    path = folder("sd1")
    (path / "unet" / "diffusion_pytorch_model.safetensors").rename(path / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(InvalidModelFile, match=r"only pickles \(\.bin\), which could run code in unet"):
        shapes_of(path)


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_a_folder_without_a_part_is_named(
    part: str, folder: Callable[..., Path], family_for: Callable[[Path], Any]
) -> None:
    path = folder("sd1")
    for file in (path / part).iterdir():
        file.unlink()
    (path / part).rmdir()
    with pytest.raises(InvalidModelFile, match="not a checkpoint that can draw"):
        family_for(path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("unet/config.json", b""),
        ("unet/config.json", b"[]"),
        ("unet/config.json", b"[" * 100_000),
        ("vae/config.json", b"\xff\xfe"),
        ("vae/config.json", b" " * (2 << 20)),
        ("text_encoder/config.json", b'{"hidden_size": 10000000000}'),
        ("unet/config.json", json.dumps({"block_out_channels": [32] * 999}).encode()),
        ("unet/config.json", json.dumps({"down_block_types": ["NoSuch"]}).encode()),
        ("scheduler/scheduler_config.json", b'{"prediction_type": "sample"}'),
        ("scheduler/scheduler_config.json", b"{"),
        ("unet/diffusion_pytorch_model.safetensors", b"\0" * 100),
        ("vae/diffusion_pytorch_model.safetensors", b"PK\3\4 not safetensors"),
    ],
)
def test_a_damaged_folder_is_a_sentence(
    file: str, content: bytes, folder: Callable[..., Path], families: list[Any]
) -> None:
    path = folder("sd1")
    (path / file).write_bytes(content)
    with pytest.raises(InvalidModelFile) as refusal:
        families[0].build(path, FULL)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


def test_a_missing_configuration_is_a_sentence(folder: Callable[..., Path], families: list[Any]) -> None:
    path = folder("sd1")
    (path / "vae" / "config.json").unlink()
    with pytest.raises(InvalidModelFile, match=r"vae has no readable config\.json"):
        families[0].build(path, FULL)


def test_the_web_process_can_list_folders_without_torch() -> None:
    code = "import sys, modules.families.folder; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
