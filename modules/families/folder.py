"""Models as diffusers saves them: a folder with `model_index.json` and one sub-folder for each network.

Imports no torch: the web process lists such folders too.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidModelFile
from modules.core.tensorfile import Header, read_header
from modules.families.recognise import (
    CLIP,
    LABELS,
    OPEN_CLIP,
    SD1_UNET,
    SD1_VAE,
    XL_CLIP,
    XL_OPEN_CLIP,
    XL_REFINER,
    Shapes,
)

INDEX = "model_index.json"
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
TEXT_STEM = "model"
LARGEST_JSON = 1 << 20
# the autoencoder's attention, as early versions of diffusers called it
FORMER_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def is_model_folder(path: Path) -> bool:
    """Whether this folder is one model."""
    return (path / INDEX).is_file()


def shapes_of(path: Path) -> Shapes:
    """Names and shapes that tell what a file or a folder is, in the words of the original layout; for `family_of`.

    Raises InvalidModelFile for what cannot be read at all.
    """
    return _signature(path) if path.is_dir() else read_header(path).shapes


def json_of(path: Path) -> dict[str, Any]:
    """A small JSON table of a folder. Raises InvalidModelFile."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise InvalidModelFile(f"{path.name} of {path.parent.name} is too long to be a configuration.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidModelFile(f"{path.parent.name} has no readable {path.name}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidModelFile(f"{path.name} of {path.parent.name} is not valid JSON.") from error
    if not isinstance(found, dict):
        raise InvalidModelFile(f"{path.name} of {path.parent.name} is not a table.")
    return found


def files_of(folder: Path, part: str) -> list[Path]:
    """The safetensors files of one network, all parts of it if it is split. Raises InvalidModelFile when there is none.

    A file without a variant is preferred to `fp16`, that to any other.
    """
    stem = STEMS.get(part, TEXT_STEM)
    form = re.compile(re.escape(stem) + r"(?:\.(\w+))?(?:-\d{5}-of-(\d{5}))?(?:\.(\w+))?\.safetensors")
    variants: dict[str, list[Path]] = {}
    for path in sorted((folder / part).glob("*.safetensors")):
        found = form.fullmatch(path.name)
        if found:
            variants.setdefault(found[1] or found[3] or "", []).append(path)
    for variant in ("", "fp16", *sorted(variants)):
        if variant in variants:
            return _complete(variants[variant], form, folder.name)
    pickles = any((folder / part).glob("*.bin"))
    why = "only pickles (.bin), which could run code" if pickles else f"no {stem}.safetensors"
    raise InvalidModelFile(f"{folder.name} has {why} in {part}; get the version with safetensors files.")


def _complete(files: list[Path], form: re.Pattern[str], folder: str) -> list[Path]:
    whole = [path for path in files if path.name.count("-of-") == 0]
    if whole:
        return whole
    found = form.fullmatch(files[0].name)
    count = int(found[2]) if found else 0
    if len(files) != count:
        raise InvalidModelFile(
            f"{folder} is incomplete: of {files[0].name} and its like {len(files)} are there, {count} were written."
        )
    return files


def tensors_of(folder: Path, part: str) -> dict[str, tuple[Path, Header, str]]:
    """Where each tensor of a network lies, by its present name: file, its header, name there."""
    found: dict[str, tuple[Path, Header, str]] = {}
    for path in files_of(folder, part):
        header = read_header(path)
        for name in header.shapes:
            found[present_name(part, name)] = (path, header, name)
    return found


def present_name(part: str, name: str) -> str:
    """A tensor's name as diffusers and transformers call it now."""
    if part.startswith("text_encoder"):
        return name.removeprefix("text_model.")
    if part == "vae":
        for former, now in FORMER_NAMES.items():
            name = name.replace(former, now)
    return name


def parts_of(folder: Path) -> list[str]:
    """The networks that the folder has."""
    return [part for part in PARTS if (folder / part).is_dir()]


def _signature(folder: Path) -> dict[str, tuple[int, ...]]:
    """The few tensors by which families know their files, as a single file would name them."""
    if not is_model_folder(folder):
        raise InvalidModelFile(f"{folder.name} is a folder without {INDEX}, so not a model.")
    shapes = {part: _shapes(tensors_of(folder, part)) for part in parts_of(folder)}
    unet = shapes.get("unet", {})
    found = {f"{part}/{name}": shape for part, table in shapes.items() for name, shape in table.items()}
    added = unet.get("add_embedding.linear_1.weight") or unet.get("class_embedding.linear_1.weight")
    if added:
        found[LABELS] = added
    for name, ours in (("unet/conv_in.weight", SD1_UNET), ("vae/decoder.conv_in.weight", SD1_VAE)):
        if name in found:
            found[ours] = found[name]
    return found | _text_signature(shapes, "add_embedding.linear_1.weight" in unet)


def _text_signature(shapes: Mapping[str, Shapes], large: bool) -> dict[str, tuple[int, ...]]:
    table = "embeddings.token_embedding.weight"
    first, second = (shapes.get(part, {}).get(table) for part in ("text_encoder", "text_encoder_2"))
    found: dict[str, tuple[int, ...]] = {}
    if large and second:
        found[(XL_OPEN_CLIP if first else XL_REFINER) + "token_embedding.weight"] = second
    if first:
        # since its second version the attention begins with a linear layer, not with a convolution
        linear = any(name.endswith("proj_in.weight") and len(shape) == 2 for name, shape in shapes["unet"].items())
        found[(XL_CLIP if large else OPEN_CLIP if linear else CLIP) + table] = first
    return found


def _shapes(tensors: Mapping[str, tuple[Path, Header, str]]) -> dict[str, tuple[int, ...]]:
    return {name: header.shapes[there] for name, (_, header, there) in tensors.items()}
