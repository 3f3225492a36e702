"""A model as a folder of diffusers: what `from_pretrained` of diffusers reads, with transformers 4 and 5, and we do.

The text encoders' tensors have the level `text_model`: transformers 5 no longer writes it but reads it, earlier
releases and other programs expect it.
"""

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modules.core.errors import StorageFailed
from modules.core.files import TEMPORARY, sync_folder
from modules.families import colours, single_file
from modules.families.architecture import VELOCITY
from modules.families.built import Built
from modules.families.folder import INDEX, STEMS, TEXT_STEM

LEVEL, PROJECTION = "text_model.", "text_projection."
VERSION = "0.30.0"  # of diffusers: the first of which everything written here is true
ABOUT = "atelier.json"
KEPT = (colours.METADATA_KEY, "modelspec.license")
ZERO_SNR_SIGMA = 1000.0  # the noise level of the last step is higher only if it was made to hide the picture wholly
PIPELINES = {
    ("text", False): "StableDiffusionPipeline",
    ("inpaint", False): "StableDiffusionInpaintPipeline",
    ("edit", False): "StableDiffusionInstructPix2PixPipeline",
    ("text", True): "StableDiffusionXLPipeline",
    ("inpaint", True): "StableDiffusionXLInpaintPipeline",
    ("edit", True): "StableDiffusionXLInstructPix2PixPipeline",
}


def save_folder(built: Built, path: Path, metadata: Mapping[str, str], *, number: torch.dtype = torch.float16) -> None:
    """Write a folder that is whole or not there; one of the same name is replaced. Raises StorageFailed.

    metadata: lies in each safetensors file, and for people in `atelier.json`.
    """
    with _complete(path) as folder:
        for part, network in built.networks.items():
            if part.startswith("text_encoder"):
                _save_text_encoder(built, part, folder / part, dict(metadata), number)
            else:
                network.save_config(folder / part)
                _save_tensors(folder / part / f"{STEMS[part]}.safetensors", network.state_dict(), metadata, number)
        for name in _tokenizers(built):
            _save_tokenizer(built, name, folder / name)
        _write_json(folder / "scheduler" / "scheduler_config.json", scheduler(built))
        _write_json(folder / ABOUT, dict(metadata))
        _write_json(folder / INDEX, index(built))


@contextmanager
def _complete(path: Path) -> Iterator[Path]:
    """A folder beside `path` that takes its name when all is written."""
    part = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}{TEMPORARY}")
    old = part.with_name(f"{part.name}.old")
    try:
        part.mkdir(parents=True)
        yield part
        if path.exists():
            path.rename(old)
        part.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed(f"{path.name} could not be written: {error.strerror or error}") from error
    finally:
        for left in (part, old):
            shutil.rmtree(left, ignore_errors=True)


def _save_tensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str], number: torch.dtype) -> None:
    # transformers refuses a file that does not say for which library it is
    single_file.save(path, state, {"format": "pt"} | dict(metadata), number=number)


def _save_text_encoder(built: Built, part: str, folder: Path, metadata: dict[str, str], number: torch.dtype) -> None:
    network = getattr(built, part)
    projected = part == "text_encoder_2"
    layers = network.config.num_hidden_layers - _unused_layers(built, part)
    state: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        bare = name.removeprefix(LEVEL)
        if bare.startswith(PROJECTION) and projected:
            state[bare] = tensor
        elif not bare.startswith(PROJECTION) and not bare.startswith(f"encoder.layers.{layers}."):
            state[LEVEL + bare] = tensor
    _save_tensors(folder / f"{TEXT_STEM}.safetensors", state, metadata, number)
    _write_json(folder / "config.json", _text_config(network.config, layers, projected))


def _unused_layers(built: Built, part: str) -> int:
    """Stable Diffusion 2 reads its text before the last layer, through the final norm; its folders leave the layer out."""
    tower = next((one for one in built.towers if one.part == part), None)
    return int(tower is not None and tower.reading.layer == -2 and tower.reading.normed)


def _text_config(config: Any, layers: int, projected: bool) -> dict[str, Any]:
    table: dict[str, Any] = config.to_dict()
    known = {key: value for key, value in table.items() if isinstance(value, int | float | str | bool | None)}
    kind = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    return known | {"num_hidden_layers": layers, "architectures": [kind], "model_type": "clip_text_model"}


def _tokenizers(built: Built) -> list[str]:
    """One for each text encoder, named after it."""
    return [part.replace("text_encoder", "tokenizer") for part in built.networks if part.startswith("text_encoder")]


def _save_tokenizer(built: Built, name: str, folder: Path) -> None:
    """CLIP's; OpenCLIP's encoders were trained with "!" (0) behind the end, not with ends."""
    shutil.copytree(built.tokenizer_folder, folder)
    _write_parts(folder)
    part = name.replace("tokenizer", "text_encoder")
    zeros = any(tower.part == part and tower.reading.zero_padding for tower in built.towers)
    if zeros:
        path = folder / "tokenizer_config.json"
        _write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"pad_token": "!"})


def _write_parts(folder: Path) -> None:
    """The vocabulary and the merges in files of their own: transformers 4 has a CLIPTokenizer that reads only those."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merges = (one if isinstance(one, str) else " ".join(one) for one in model["merges"])
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


def scheduler(built: Built) -> dict[str, Any]:
    """How it was trained, as DDIM of diffusers wants to be told."""
    zero_snr = built.sigmas[-1] > ZERO_SNR_SIGMA
    return {
        "_class_name": "DDIMScheduler",
        "_diffusers_version": VERSION,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": len(built.sigmas),
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "prediction_type": "v_prediction" if built.prediction == VELOCITY else "epsilon",
        "rescale_betas_zero_snr": zero_snr,
        "timestep_spacing": "trailing" if zero_snr else "leading",
    }


def index(built: Built) -> dict[str, Any]:
    """Which class reads each part."""
    large = built.sizes is not None
    parts = built.networks
    table: dict[str, Any] = {
        "_class_name": "StableDiffusionXLImg2ImgPipeline" if built.is_refiner else PIPELINES[built.kind, large],
        "_diffusers_version": VERSION,
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"] if "text_encoder" in parts else [None, None],
        "tokenizer": ["transformers", "CLIPTokenizer"] if "text_encoder" in parts else [None, None],
    }
    if not large:
        unchecked = {"safety_checker": [None, None], "feature_extractor": [None, None]}
        return table | unchecked | {"requires_safety_checker": False, "image_encoder": [None, None]}
    table["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
    table["tokenizer_2"] = ["transformers", "CLIPTokenizer"]
    if built.sizes is not None and built.kind != "edit":
        table["force_zeros_for_empty_prompt"] = built.sizes.zeroed
    return table | ({"requires_aesthetics_score": True} if built.is_refiner else {})


def _write_json(path: Path, table: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def kept_metadata(built: Built) -> dict[str, str]:
    """What the base's file says that stays true of a model trained from it: its preview colours and its licence."""
    return {key: text for key, text in built.metadata.items() if key in KEPT}
