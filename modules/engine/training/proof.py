"""What lies in the files is what was trained: they are loaded the usual way, and draw the last preview again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modules.core.errors import InvalidModelFile
from modules.core.extension_points import Adapter, Use
from modules.core.requests import FileRecord, ImageRequest
from modules.engine.inner import drawn
from modules.engine.models import Loaded
from modules.engine.training.opening import Run
from modules.engine.training.previews import CHECKPOINT, EMBEDDING, LORA, difference
from modules.engine.training.results import Written, record_of
from modules.families.naming import layers_of
from modules.prompts.networks import cut_networks

TOLERANCES = {"fp32": 0.0, "fp16": 2.0, "bf16": 4.0}  # mean difference of the pictures' bytes
ROUNDING = 0.1  # of a LoRA in 32 bits: its product is added to the weights, not to their answers


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How the picture of a saved file compares with the one in memory; see `status.json`, `verified`.

    `difference`: the mean of the bytes', 0 to 255. `matched`: for a LoRA, how many of its layers the model has.
    """

    file: str
    difference: float
    tolerance: float
    matched: Mapping[str, int]

    @property
    def same(self) -> bool:
        """Whether that is as good as the same."""
        return self.difference <= self.tolerance

    def facts(self) -> dict[str, Any]:
        """As `status.json` lists it."""
        return {
            "file": self.file,
            "difference": round(self.difference, 4),
            "tolerance": self.tolerance,
            "same": self.same,
        }


def proofs(run: Run, written: Sequence[Written], request: ImageRequest, png: bytes) -> list[Proof]:
    """Each file against `png`, what `request` gave before the model was let go. Raises InvalidModelFile."""
    base: Loaded | None = None
    found: list[Proof] = []
    for one in written:
        run.doing("Checking what was saved")
        if one.exported.kind == CHECKPOINT:
            base = None  # there is room for one model; nor may a name hold the one that was saved
            found.append(_proof(run, one, request, png, _fresh(run, one.path)))
        else:
            base = base or _fresh(run)
            found.append(_proof(run, one, request, png, base))
    return found


def _fresh(run: Run, path: Path | None = None) -> Loaded:
    """The base model, or the checkpoint that was saved, in the numbers that the training drew with."""
    record = run.record if path is None else record_of(path)
    loaded = run.context.models.fresh(record, half=run.half)
    loaded.built.vae.float()
    return loaded


def _proof(run: Run, one: Written, request: ImageRequest, png: bytes, loaded: Loaded) -> Proof:
    notes: list[str] = []
    files = () if one.exported.kind == CHECKPOINT else (_file(one),)
    name = run.status["name"]
    if not files:  # a LoRA that was merged into it is not named any more
        request = replace(request, prompt=cut_networks(request.prompt)[0].strip())
    elif files[0].name != name:  # the same in another format
        request = replace(request, prompt=request.prompt.replace(name, files[0].name))
    (picture,) = drawn(request, run.context, loaded, files=files, notes=notes)
    if files and any("left out" in note and one.path.stem in note for note in notes):
        raise InvalidModelFile(f"{one.path.name} was saved, but cannot be used: {' '.join(notes)}")
    exact = run.method.whole or one.exported.kind == EMBEDDING
    precision = run.plan.save_precision if one.exported.kind != EMBEDDING else "fp32"
    return Proof(
        file=one.path.name,
        difference=difference(png, picture.png),
        tolerance=max(TOLERANCES[precision], 0.0 if exact else ROUNDING),
        matched=_matched(run, one, loaded) if one.exported.kind == LORA else {},
    )


def _file(one: Written) -> FileRecord:
    stat = one.path.stat()
    return FileRecord(
        kind=one.exported.kind,
        name=one.path.stem,
        path=str(one.path),
        size=stat.st_size,
        modified=stat.st_mtime_ns,
    )


def _matched(run: Run, one: Written, loaded: Loaded) -> dict[str, int]:
    """How many layers of a LoRA the model has, and how many it has not."""
    adapters = run.context.plugins.collect("register_adapters").values()
    adapter: Adapter = next(adapter for adapter in adapters if LORA in adapter.kinds)
    with adapter.applied(layers_of(loaded.built), [Use(loaded=adapter.load(one.path))]) as matched:
        return {"layers": sum(each.layers for each in matched), "missing": sum(len(each.missing) for each in matched)}
