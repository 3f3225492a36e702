"""EvaluationRequest to figures: what a run's result draws, measured beside the base model with the same seeds.

Written into the run's folder: `evaluation.json`, a copy for each snapshot and pack, and the pictures below `evaluation/`.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modules.core.errors import InvalidRequest, NotFound, Problem
from modules.core.files import write_atomically
from modules.core.requests import FileRecord, ImageRequest, ModelRecord
from modules.core.training import EvaluationRequest, TrainingPlan
from modules.engine.albums import Album, OnPicture, linked, pixels
from modules.engine.instruments import instruments_for
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.engine.training.classes import cfg_scale, hash_of
from modules.engine.training.folder import PICTURES, SNAPSHOTS, STATUS, Folder
from modules.engine.training.opening import KINDS
from modules.engine.training.previews import CHECKPOINT, EMBEDDING, LORA
from modules.engine.training.results import record_of
from modules.training.evaluation import caveats, measures, scores
from modules.training.evidence import Evidence, Instruments, Shot, look
from modules.training.packs import Prompt, prompts_of

COMPARISONS = "comparisons"  # folder beside the runs', see services/training/comparisons.py
RESULT, BASE, HERE = "evaluation.json", "base-pictures", "evaluation"
METHODS = {"lora": LORA, "textual_inversion": EMBEDDING}  # what their usual format is; all others make checkpoints
USABLE = (".safetensors", ".pt")
DRAWING, LOOKING = "Drawing for the measures", "Looking at the pictures"


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The result to measure: a file, or a folder for a checkpoint in diffusers' form. `step`: of the training."""

    plan: TrainingPlan
    kind: str
    path: Path
    step: int

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """What prompts may name."""
        if self.kind == CHECKPOINT:
            return ()
        stat = self.path.stat()
        name = self.path.stem
        return (
            FileRecord(kind=self.kind, name=name, path=str(self.path), size=stat.st_size, modified=stat.st_mtime_ns),
        )

    def spoken(self, text: str) -> str:
        """A prompt as somebody writes it who uses this file."""
        if self.kind == LORA:
            return f"<lora:{self.path.stem}:1> {text}"
        return text.replace(self.plan.name, self.path.stem) if self.kind == EMBEDDING and self.plan.name else text


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A prompt and its pictures, those of the result and those of the base model."""

    prompt: Prompt
    drawn: list[Path]
    base: list[Path]


def run(request: EvaluationRequest, context: JobContext) -> None:
    """Draw, look, write. What is drawn already is not drawn again, so a job that was cut off goes on where it was.

    Raises InvalidRequest and NotFound (no such run or result), Cancelled, and what drawing raises. Without a CLIP
    nothing is measured: the pictures are kept, and a remark says what is missing.
    """
    folder = Folder(context.training, request.run)
    work = _Work(request=request, context=context, folder=folder, learned=_found(folder, request))
    loaded = context.models.fresh(work.record, half=work.half)
    training = work.training
    instruments, missing = _instruments(loaded, training, context)
    prompts = prompts_of(request.pack, work.plan, instruments and instruments.words, work.noun)
    told = _told(context, 2 * len(prompts) * len(work.seeds))
    before = work.of_base(loaded, prompts, told)
    if work.learned.kind == CHECKPOINT:  # takes the base model's place in memory
        loaded = context.models.fresh(record_of(work.learned.path), half=work.half)
    after = work.of_result(loaded, prompts, told)
    pairs = zip(prompts, after, before, strict=True)
    taken = [Taken(prompt=prompt, drawn=drawn, base=base) for prompt, drawn, base in pairs]
    context.report(step=1, steps=1, doing=LOOKING)
    if instruments is None:
        context.notes.append(missing)
        found = {"caveats": [missing], "prompts": [_entry(one, folder) for one in taken]}
    else:
        found = _measured(taken, training, instruments, folder)
    _write(work, _known(work, taken) | found)


def _found(folder: Folder, request: EvaluationRequest) -> Learned:
    plan = folder.plan()
    if plan is None:
        raise NotFound(f"There is no training {request.run[:80]!r} to measure.")
    status = folder.read(STATUS) or {}
    known = KINDS if plan.formats else METHODS
    kind = known.get(plan.formats[0] if plan.formats else plan.method, CHECKPOINT)
    if request.snapshot < 0:
        for one in status.get("files", ()):
            path = Path(one["path"])
            if path.exists():
                step = int(status.get("step", plan.max_train_steps))
                return Learned(plan=plan, kind=one["kind"], path=path, step=step)
    steps = folder.steps_of(SNAPSHOTS)
    step = request.snapshot if request.snapshot >= 0 else max(steps, default=-1)
    kept = sorted(folder.snapshot(step).glob("*")) if step in steps else []
    path = next((one for one in kept if one.suffix in USABLE or one.is_dir()), None)
    if path is None:
        there = ", ".join(map(str, steps)) or "none"
        message = f"This run has no result of step {step} to measure; snapshots there are: {there}."
        raise InvalidRequest(Problem(field="snapshot", message=message))
    return Learned(plan=plan, kind=kind, path=path, step=step)


def _instruments(base: Loaded, training: Tensor, context: JobContext) -> tuple[Instruments | None, str]:
    """What can look at the pictures; or why nothing can."""
    if not len(training):
        return None, "The pictures that this run learned from are gone, so nothing could be compared with them."
    try:
        return instruments_for(base, training, context), ""
    except NotFound as error:
        return None, str(error)


# Drawing ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One evaluation."""

    request: EvaluationRequest
    context: JobContext
    folder: Folder
    learned: Learned

    @property
    def plan(self) -> TrainingPlan:
        """What was trained."""
        return self.learned.plan

    @property
    def record(self) -> ModelRecord:
        """The model that was taught. Raises NotFound."""
        if not self.context.job.models:
            raise NotFound(
                "The checkpoint that this run taught is not here any more; put it back to measure the result."
            )
        return self.context.job.models[0]

    @property
    def half(self) -> bool:
        """Whether models are held in half precision."""
        return self.context.models.device.type != "cpu"

    @property
    def side(self) -> int:
        """Of all pictures."""
        return self.plan.resolution or self.record.width

    @property
    def training(self) -> Tensor:
        """The pictures that were learned from."""
        return pixels(sorted((self.folder.path / PICTURES).glob("*.png")), self.side)

    @property
    def asked(self) -> ImageRequest:
        """How previews of the run are drawn."""
        return ImageRequest(
            sampler=self.plan.preview_sampler,
            steps=self.plan.preview_steps,
            cfg_scale=cfg_scale(self.plan.preview_cfg_scale),
            width=self.side,
            height=self.side,
        )

    @property
    def noun(self) -> str:
        """What the subject is; in a comparison of class nouns that is written down with the group."""
        kept = Folder(self.context.training, COMPARISONS).read(f"{self.plan.group}.json") if self.plan.group else None
        return str(kept["plan"].get("class_noun", "")) if isinstance(kept, dict) and "plan" in kept else ""

    @property
    def seeds(self) -> range:
        """The same for every prompt, and for both models."""
        return range(self.request.seed, self.request.seed + self.request.pictures)

    def of_base(self, base: Loaded, prompts: Sequence[Prompt], told: OnPicture) -> list[list[Path]]:
        """The base model's pictures, shared by all its runs and linked into this one's folder."""
        album = Album(
            context=self.context,
            loaded=base,
            request=self.asked,
            root=self.context.training / BASE,
            known_as=hash_of(self.record),
        )
        found = [album.pictures(one.base_text, self.seeds, told) for one in prompts]
        return [linked(pictures, self.folder.path / HERE / f"base-{pictures[0].parent.name}") for pictures in found]

    def of_result(self, loaded: Loaded, prompts: Sequence[Prompt], told: OnPicture) -> list[list[Path]]:
        """The result's pictures. loaded: the base model, or the checkpoint that is the result."""
        album = Album(
            context=self.context,
            loaded=loaded,
            request=self.asked,
            root=self.folder.path / HERE,
            known_as=f"{hash_of(self.record)} {hash_of(record_of(self.learned.path))}",
            files=self.learned.files,
            spoken=self.learned.spoken,
        )
        return [album.pictures(one.text, self.seeds, told) for one in prompts]


def _told(context: JobContext, total: int) -> OnPicture:
    """Report how many of all pictures are there."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        context.report(step=done, steps=total, doing=f"{DRAWING}: {done} of {total}")

    return told


# Looking ----------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def _measured(taken: Sequence[Taken], training: Tensor, instruments: Instruments, folder: Folder) -> dict[str, Any]:
    side = training.shape[-1]
    texts = instruments.text([one.prompt.caption for one in taken]).float()
    shots = tuple(
        Shot(
            prompt=one.prompt,
            drawn=look(pixels(one.drawn, side), instruments),
            base=look(pixels(one.base, side), instruments),
            text=text,
        )
        for one, text in zip(taken, texts, strict=True)
    )
    evidence = Evidence(shots=shots, training=look(training, instruments), instruments=instruments)
    pairs = zip(taken, shots, strict=True)
    return {
        "extractor": instruments.deep.name if instruments.deep else instruments.extractor,
        "clip": instruments.extractor,
        "measures": [asdict(one) for one in measures(evidence)],
        "prompts": [_entry(one, folder) | {"scores": scores(shot, evidence)} for one, shot in pairs],
        "caveats": caveats(evidence),
    }


def _known(work: _Work, taken: Sequence[Taken]) -> dict[str, Any]:
    request, learned = work.request, work.learned
    return {
        "run": request.run,
        "snapshot": learned.step,
        "file": learned.path.name,
        "model": work.plan.model,
        "method": work.plan.method,
        "pack": request.pack,
        "pictures": request.pictures,
        "seed": request.seed,
        "n": sum(len(one.drawn) for one in taken),
        "made": time.time(),
        "extractor": "",
        "measures": [],
    }


def _entry(taken: Taken, folder: Folder) -> dict[str, Any]:
    """One prompt, as the page lists it; paths are relative to the run's folder."""

    def names(pictures: Sequence[Path]) -> list[str]:
        return [one.relative_to(folder.path).as_posix() for one in pictures]

    prompt = taken.prompt
    return {
        "prompt": prompt.text,
        "caption": prompt.caption,
        "role": prompt.role,
        "pictures": names(taken.drawn),
        "base": names(taken.base),
        "scores": {},
    }


def _write(work: _Work, found: dict[str, Any]) -> None:
    content = json.dumps(found, ensure_ascii=False, indent=1, allow_nan=False).encode()
    folder = work.folder.path
    write_atomically(folder / HERE / f"{work.learned.step:06d}-{work.request.pack}.json", content)
    write_atomically(folder / RESULT, content)
