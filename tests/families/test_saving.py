"""Folders that we write: whole or not there, read by diffusers, by us, and spelled as transformers 4 spells them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file
from tokenizers.models import BPE

from modules.core.errors import StorageFailed
from modules.core.tensorfile import read_header
from modules.diffusion.denoiser import sigma_table, zero_terminal_snr
from modules.families import checkpoint, saving
from modules.families.built import BuildOptions, Built
from modules.families.folder import is_model_folder
from modules.families.saving import kept_metadata, save_folder
from modules.prompts.tokens import Tokenizer

FULL = BuildOptions(half=False)
FAMILIES = {
    "sd1-inpaint": "StableDiffusionInpaintPipeline",
    "sd2-v": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "sdxl-refiner": "StableDiffusionXLImg2ImgPipeline",
}
SAYS = {"modelspec.title": "my cat", "atelier.training": "{}"}


@pytest.fixture(scope="module")
def build(small_of: Callable[[str], Path], family_for: Callable[[Path], Any]) -> Callable[[str], Built]:
    return lambda family: family_for(small_of(family)).build(small_of(family), FULL)


@pytest.fixture(scope="module", params=FAMILIES)
def case(
    request: pytest.FixtureRequest, build: Callable[[str], Built], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Built, Path]:
    built, path = build(request.param), tmp_path_factory.mktemp("saved") / "my cat"
    save_folder(built, path, SAYS, number=torch.float32)
    return request.param, built, path


def drawn(built: Built, text: Any) -> torch.Tensor:
    """One answer of the U-Net."""
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    vector = None if text.vector is None else text.vector[None]
    channels = built.unet.config.in_channels - 4
    concat = torch.ones(1, channels, 8, 8) if channels else None
    with torch.inference_mode():
        return built.predict(x, torch.tensor([300.0]), text.states[None], vector, concat)


def test_we_read_the_same_model(case: tuple[str, Built, Path], family_for: Any, chunk: Any) -> None:
    _, built, path = case
    assert is_model_folder(path)
    family = family_for(path)
    assert family.name == built.family
    again = family.build(path, FULL)
    first, second = (one.text_of(one.encode([[chunk(320, 500)]])[0], width=64, height=64) for one in (built, again))
    torch.testing.assert_close(second.states, first.states, atol=1e-6, rtol=0)
    assert torch.equal(drawn(again, first), drawn(built, first))
    assert again.prediction == built.prediction
    assert again.sigmas == built.sigmas


def test_diffusers_reads_the_same_model(case: tuple[str, Built, Path], chunk: Any) -> None:
    """Offline, every weight of every network, and the tokenizer with all its words."""
    family, built, path = case
    pipeline = DiffusionPipeline.from_pretrained(path, local_files_only=True)
    assert type(pipeline).__name__ == FAMILIES[family]
    for part, network in built.networks.items():
        theirs = bare(getattr(pipeline, part))
        ours = bare(network)
        assert theirs.keys() <= ours.keys()
        assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
        if part in ("unet", "vae"):
            assert theirs.keys() == ours.keys()
    words = pipeline.tokenizer or pipeline.tokenizer_2
    assert len(words) == 49408
    assert words("a photo of cat").input_ids == [49406, 320, 1125, 539, 2368, 49407]
    assert pipeline.scheduler.config["prediction_type"] == built.prediction
    if built.text_encoder is not None:
        tokens = torch.tensor([chunk(320, 500).tokens])
        if family == "sd1-inpaint":
            theirs = pipeline.text_encoder(tokens).last_hidden_state
            torch.testing.assert_close(theirs[0], built.encode([[chunk(320, 500)]])[0].states, atol=1e-6, rtol=0)


def bare(network: Any) -> dict[str, torch.Tensor]:
    return {name.removeprefix("text_model."): one for name, one in network.state_dict().items()}


def test_the_text_encoders_are_spelled_in_the_old_way(case: tuple[str, Built, Path]) -> None:
    """transformers 4 knows only names with the level `text_model`; the projection stands beside it."""
    family, built, path = case
    for part in built.networks:
        if not part.startswith("text_encoder"):
            continue
        names = set(load_file(path / part / "model.safetensors"))
        projection = {"text_projection.weight"} if part == "text_encoder_2" else set()
        assert {name for name in names if not name.startswith("text_model.")} == projection
        assert "text_model.embeddings.token_embedding.weight" in names
        assert "text_model.final_layer_norm.weight" in names
        config = json.loads((path / part / "config.json").read_text())
        assert config["architectures"] == ["CLIPTextModelWithProjection" if projection else "CLIPTextModel"]
        layers = {name.split(".")[3] for name in names if ".layers." in name}
        assert len(layers) == config["num_hidden_layers"] == (1 if family == "sd2-v" else 2)


def test_a_model_that_edits_says_so(build: Callable[[str], Built]) -> None:
    assert saving.index(build("sd1-edit"))["_class_name"] == "StableDiffusionInstructPix2PixPipeline"


def test_padding_is_the_models_own(case: tuple[str, Built, Path]) -> None:
    family, _, path = case
    pads = {
        folder.name: json.loads((folder / "tokenizer_config.json").read_text())["pad_token"]
        for folder in path.glob("tokenizer*")
    }
    expected = {"sd2-v": {"tokenizer": "!"}, "sdxl-refiner": {"tokenizer_2": "!"}}
    large = {"tokenizer": "<|endoftext|>", "tokenizer_2": "!"}
    assert pads == expected.get(family, large if family == "sdxl" else {"tokenizer": "<|endoftext|>"})


def test_the_tokenizer_is_there_in_the_old_form_too(case: tuple[str, Built, Path]) -> None:
    """transformers 4 builds CLIP's tokenizer from these two files alone."""
    _, built, path = case
    folder = next(path.glob("tokenizer*"))
    model = BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"), end_of_word_suffix="</w>")
    words = Tokenizer(built.tokenizer_folder)
    for word in ("photograph", "sks", "ohwx", "striped"):
        assert [token.id for token in model.tokenize(word)] == words.encode(word)
    assert len(json.loads((folder / "vocab.json").read_text())) == 49408


def test_metadata_is_in_every_file(case: tuple[str, Built, Path]) -> None:
    _, built, path = case
    files = list(path.glob("*/*.safetensors"))
    assert len(files) == len(built.networks)
    for file in files:
        metadata = read_header(file).metadata
        assert metadata["modelspec.title"] == "my cat"
        assert metadata["format"] == "pt"
    assert json.loads((path / "atelier.json").read_text()) == SAYS


def test_how_it_was_trained_is_kept(build: Callable[[str], Built], tmp_path: Path, family_for: Any) -> None:
    built = replace(build("sd2-v"), prediction="v_prediction", sigmas=zero_terminal_snr(sigma_table()))
    save_folder(built, tmp_path / "model", {})
    again = family_for(tmp_path / "model").build(tmp_path / "model", FULL)
    assert again.prediction == "v_prediction"
    assert again.sigmas == built.sigmas
    table = json.loads((tmp_path / "model" / "scheduler" / "scheduler_config.json").read_text())
    assert table["timestep_spacing"] == "trailing"


def test_numbers_are_chosen(build: Any, tmp_path: Path, family_for: Any) -> None:
    """Folder and single file in the same numbers; each is rounded once."""
    built = build("sd1")
    with torch.no_grad():
        for one in built.unet.parameters():
            one += 0.001 * torch.randn(one.shape, generator=torch.Generator().manual_seed(2))
    for number, error in ((torch.float16, 1e-3), (torch.bfloat16, 8e-3)):
        save_folder(built, tmp_path / "folder", {}, number=number)
        checkpoint.save(built, tmp_path / "file.safetensors", {}, number=number)
        found = load_file(tmp_path / "folder" / "unet" / "diffusion_pytorch_model.safetensors")
        for name, own in built.unet.state_dict().items():
            assert found[name].dtype == number
            assert float((found[name].float() - own).abs().max()) <= error * float(own.abs().max())
        again = family_for(tmp_path / "file.safetensors").build(tmp_path / "file.safetensors", FULL)
        assert all(torch.equal(one, found[name].float()) for name, one in again.unet.state_dict().items())


def test_a_folder_is_replaced_whole_or_not_at_all(build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, path = build("sd1"), tmp_path / "model"
    save_folder(built, path, {"first": "1"})
    save_folder(built, path, {"second": "2"})
    assert json.loads((path / "atelier.json").read_text()) == {"second": "2"}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "_write_json", full)
    with pytest.raises(StorageFailed, match="model could not be written: No space left on device"):
        save_folder(built, path, {"third": "3"})
    assert json.loads((path / "atelier.json").read_text()) == {"second": "2"}
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


def test_what_stays_true_of_a_model_trained_from_another(build: Any) -> None:
    colours = "[[1,0,0],[0,1,0],[0,0,1],[0,0,0],[0,0,0]]"
    told = {"atelier.latent_rgb": colours, "modelspec.license": "Apache-2.0", "modelspec.title": "Base", "x": "y"}
    found = kept_metadata(replace(build("sd1"), metadata=told))
    assert found == {"atelier.latent_rgb": colours, "modelspec.license": "Apache-2.0"}
