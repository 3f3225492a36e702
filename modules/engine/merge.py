"""Checkpoints merged into a new one, tensor by tensor: weighted sum, add difference, or one model with another VAE.

The arithmetic is in float32 and rounded once. A tensor that only A has stays as it is; one that only B has comes along
in a weighted sum. Where A has more input channels (inpainting: 9, editing: 8) the common ones are merged, as in the field.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modules.core.errors import InvalidModelFile, NotFinite
from modules.core.files import leftovers
from modules.core.requests import MergeRequest, ModelRecord
from modules.core.tensorfile import Header
from modules.engine.job import JobContext
from modules.engine.tensor_stream import Planned, Source, dtype_of, opened, write
from modules.families.vae import in_checkpoint

FIRST = "model.diffusion_model.input_blocks.0.0.weight"
VAE = "first_stage_model."
ABANDONED = 3600.0  # seconds after which a part of a file is nobody's
UNTRUE_OF_A_MERGE = ("modelspec.hash_sha256", "modelspec.thumbnail", "modelspec.title", "modelspec.date")
NEEDED = ("atelier.", "modelspec.prediction_type")  # metadata that a file is loaded by
FORBIDDEN = frozenset('<>:"/\\|?*')


@dataclass(frozen=True, kw_only=True)
class _Sources:
    """The open files: A, and B, C and the autoencoder where the request names them."""

    a: Source
    b: Source | None
    c: Source | None
    vae: Mapping[str, Tensor] | None


def run(request: MergeRequest, context: JobContext) -> None:
    """Write the merged checkpoint into the checkpoints folder; its file name is the job's result."""
    records = _records(request, context.job.models)
    name = file_name(request, [record.name.rpartition("/")[2] for record in records])
    target = _free(context.checkpoints, name)
    _sweep(context.checkpoints)
    with ExitStack() as closing:
        files = [closing.enter_context(opened(_file(record))) for record in records]
        vae = in_checkpoint(_vae(context)) if request.vae not in ("", "None") else None
        a, b, c = (*files, None, None)[:3]
        planned = plan(request, _Sources(a=a, b=b, c=c, vae=vae))
        metadata = _metadata(request, records, a.header, target.stem)
        write(target, planned, metadata, _progress(context, planned))
    context.result.append(target.name)


def file_name(request: MergeRequest, names: list[str]) -> str:
    """The name of the result without its ending: the one that was asked for, else what was done."""
    a, b, c = (*names, "", "")[:3]
    m = round(request.multiplier, 3)
    made = {
        "Weighted sum": f"{round(1 - m, 3):g}({a}) + {m:g}({b})",
        "Add difference": f"{a} + {m:g}({b} - {c})",
    }.get(request.method, a)
    name = "".join("_" if letter in FORBIDDEN or ord(letter) < 32 else letter for letter in request.name or made)
    return name.strip(" .").encode()[:200].decode(errors="ignore") or "merged"


def plan(request: MergeRequest, sources: _Sources) -> dict[str, Planned]:
    """Every tensor of the result. Raises InvalidModelFile for models that do not fit, before anything is written."""
    planned = {name: _kept(sources.a, name, request.half) for name in sources.a.header.shapes}
    if sources.b is not None:
        for name in sources.b.header.shapes:
            if name in planned:
                planned[name] = _merged(request, sources, name)
            elif request.method == "Weighted sum":
                planned[name] = _kept(sources.b, name, request.half)
    if sources.vae is not None:
        planned |= _baked(sources.vae, planned, request.half)
    return planned


# -- one tensor ----------------------------------------------------------------------------------------------------------


def _kept(source: Source, name: str, half: bool) -> Planned:
    dtype = dtype_of(source.header, name)
    wanted = torch.float16 if half and dtype.is_floating_point else dtype
    shape = source.header.shapes[name]
    return Planned(shape=shape, dtype=wanted, make=lambda: _rounded(source.read(name), wanted, name))


def _merged(request: MergeRequest, sources: _Sources, name: str) -> Planned:
    a, b, c = sources.a, sources.b, sources.c
    assert b is not None
    if not (dtype_of(a.header, name).is_floating_point and dtype_of(b.header, name).is_floating_point):
        return _kept(a, name, request.half)
    if c is not None and name not in c.header.shapes:  # nothing to take the difference to
        return _kept(a, name, request.half)
    parts = [one for one in (a, b, c) if one is not None]
    channels = _common_channels(name, [one.header.shapes[name] for one in parts])
    dtype = torch.float16 if request.half else _widest([dtype_of(one.header, name) for one in parts])
    make = partial(_combined, parts, name, request.multiplier, channels)
    return Planned(shape=a.header.shapes[name], dtype=dtype, make=lambda: _rounded(make(), dtype, name))


def _combined(parts: list[Source], name: str, multiplier: float, channels: int | None) -> Tensor:
    """A (1 - M) + B M of two, A + (B - C) M of three, in float32; of the first input channels where not all have more."""
    a, *others = [part.read(name).float() for part in parts]
    here = a if channels is None else a[:, :channels]
    others = [one if channels is None else one[:, :channels] for one in others]
    if len(others) == 1:
        merged = here * (1 - multiplier) + others[0] * multiplier
    else:
        merged = here + (others[0] - others[1]) * multiplier
    if channels is None:
        return merged
    a[:, :channels] = merged
    return a


def _common_channels(name: str, shapes: list[tuple[int, ...]]) -> int | None:
    """How many input channels to merge; None: all. Raises InvalidModelFile when the shapes do not fit."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return None
    same_but_channels = all(len(one) == 4 and (one[0], *one[2:]) == (first[0], *first[2:]) for one in shapes)
    if name != FIRST or len(first) != 4 or not same_but_channels:
        other = next(shape for shape in shapes if shape != first)
        raise InvalidModelFile(
            f"These are different kinds of model: {name} is {first} in the first and {other} in another; "
            "choose models of the same family."
        )
    if any(shape[1] > first[1] for shape in shapes):
        raise InvalidModelFile(
            "The inpainting or editing model must be the primary model (A): only it has room for the others' channels."
        )
    return min(shape[1] for shape in shapes)


def _widest(dtypes: list[torch.dtype]) -> torch.dtype:
    """What holds all of them; 8-bit numbers are not for sums."""
    widest = torch.float16 if any(dtype.itemsize == 1 for dtype in dtypes) else dtypes[0]
    for dtype in dtypes:
        if dtype.itemsize > 1:
            widest = torch.promote_types(widest, dtype)
    return widest


def _rounded(tensor: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    if tensor.dtype == dtype:
        return tensor
    result = tensor.to(dtype)
    if dtype == torch.float16 and not bool(torch.isfinite(result).all()) and bool(torch.isfinite(tensor.float()).all()):
        raise NotFinite(f"{name} holds numbers that float16 cannot; merge again without 'Save as float16'.")
    return result


def _baked(vae: Mapping[str, Tensor], planned: Mapping[str, Planned], half: bool) -> dict[str, Planned]:
    """The autoencoder's tensors, in place of those the model has."""
    wanted = {name: one.shape for name, one in planned.items() if name.startswith(VAE)}
    missing = sorted(name for name, shape in wanted.items() if name not in vae or tuple(vae[name].shape) != shape)
    if missing or not wanted:
        raise InvalidModelFile(
            f"This autoencoder cannot be put in: it has no {(missing or [VAE])[0]} of the model's shape; "
            "choose a VAE for this family."
        )
    return {name: _given(vae[name], name, half) for name in wanted}


def _given(tensor: Tensor, name: str, half: bool) -> Planned:
    dtype = torch.float16 if half and tensor.dtype.is_floating_point else tensor.dtype
    return Planned(shape=tuple(tensor.shape), dtype=dtype, make=lambda: _rounded(tensor, dtype, name))


# -- the file ------------------------------------------------------------------------------------------------------------


def _records(request: MergeRequest, models: tuple[ModelRecord, ...]) -> list[ModelRecord]:
    needed = {"Weighted sum": 2, "Add difference": 3}.get(request.method, 1)
    if len(models) < needed:
        raise InvalidModelFile(f"{request.method} needs {needed} models and got {len(models)}; choose the others.")
    return list(models[:needed])


def _file(record: ModelRecord) -> Path:
    path = Path(record.path)
    if path.is_dir():
        raise InvalidModelFile(f"{path.name} is a diffusers folder; only single .safetensors files can be merged.")
    return path


def _vae(context: JobContext) -> Path:
    found = [Path(one.path) for one in context.job.files if one.kind == "vae"]
    if not found:
        raise InvalidModelFile("The autoencoder to put in is not there any more; choose another.")
    return found[0]


def _free(folder: Path, name: str) -> Path:
    """A name that no file has yet: nothing is ever overwritten."""
    candidates = (folder / f"{name}{f' ({n})' if n else ''}.safetensors" for n in range(1000))
    return next(one for one in candidates if not one.exists())


def _sweep(folder: Path) -> None:
    for part in leftovers(folder) if folder.is_dir() else ():
        with suppress(FileNotFoundError):  # another merge has finished it since
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def _progress(context: JobContext, planned: Mapping[str, Planned]) -> Callable[[int], None]:
    total = max(1, sum(one.size for one in planned.values()))
    shown = -1

    def on_bytes(written: int) -> None:
        nonlocal shown
        context.check()
        percent = 100 * written // total
        if percent != shown:
            shown = percent
            context.report(step=percent, steps=100, doing="Merging")

    return on_bytes


def _metadata(request: MergeRequest, records: list[ModelRecord], of_a: Header, name: str) -> dict[str, str]:
    """A's own where it is still true, and how the file was made, in the form that programs of the field read."""
    if not request.keep_metadata:  # what loading needs stays
        return {key: value for key, value in of_a.metadata.items() if key.startswith(NEEDED)}
    kept = {key: value for key, value in of_a.metadata.items() if key not in UNTRUE_OF_A_MERGE}
    hashes: list[Any] = [record.sha256 or None for record in records]
    recipe = {
        "type": "atelier",
        "primary_model_hash": hashes[0],
        "secondary_model_hash": (*hashes, None, None)[1],
        "tertiary_model_hash": (*hashes, None, None)[2],
        "interp_method": request.method,
        "multiplier": request.multiplier,
        "save_as_half": request.half,
        "custom_name": request.name,
        "bake_in_vae": request.vae,
    }
    models = {record.sha256 or record.name: {"name": record.title} for record in records}
    return kept | {
        "modelspec.title": name,
        "modelspec.date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "modelspec.merged_from": ", ".join(record.name for record in records),
        "sd_merge_recipe": json.dumps(recipe),
        "sd_merge_models": json.dumps(models),
        "format": "pt",
    }
