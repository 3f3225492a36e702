"""Everything a training needs before its first step: the model, the pictures as they are trained on, class pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from modules.core.errors import InvalidModelFile, InvalidRequest, NoModel, Problem, UnknownName
from modules.core.events import ImageReady
from modules.core.extension_points import TrainingMethod
from modules.core.files import write_atomically
from modules.core.requests import ModelRecord
from modules.core.training import TrainingPlan
from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.engine.training import results
from modules.engine.training.classes import ClassPictures, hash_of
from modules.engine.training.folder import PICTURES, Folder, Status
from modules.engine.training.previews import CHECKPOINT, EMBEDDING, LORA, Previews, jpeg_of, keep
from modules.imaging.metadata import png_bytes
from modules.training.dataset import Example, data_hash, examples
from modules.training.metadata import Facts

KINDS = {"kohya": LORA, "peft": LORA, "pt": EMBEDDING, "embedding": EMBEDDING}  # all others are checkpoints
MODEL, DATA, PICTURE_LIST = "model.json", "data.json", "pictures.json"
TRAINING = "Training"  # what everybody may read; names are their owner's


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training and where it stands. `formats`: what is saved, the usual one when the plan names none."""

    plan: TrainingPlan
    context: JobContext
    folder: Folder
    status: Status
    method: TrainingMethod
    formats: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What the result is: lora, embedding or checkpoint."""
        return KINDS.get(self.formats[0], CHECKPOINT)

    @property
    def record(self) -> ModelRecord:
        """The model that is taught. Raises NoModel."""
        models = self.context.job.models
        if not models:
            raise NoModel("there is no checkpoint to teach; put one into models/Stable-diffusion and refresh the list")
        return models[0]

    @property
    def half(self) -> bool:
        """Whether the model is held in half precision: never where its own weights learn or are saved, nor on a CPU."""
        own = self.method.whole or any(format not in KINDS for format in self.formats)
        return self.context.models.device.type != "cpu" and not own and self.plan.mixed_precision != "no"

    def doing(self, doing: str, step: int = 0, steps: int = 0) -> None:
        """Say what is being done before and after the steps."""
        self.status.note(doing=doing)
        self.context.report(step=step, steps=steps, doing=doing)
        self.context.check()


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A run with its model in memory and its pictures. `name`: the file name of the result."""

    run: Run
    loaded: Loaded
    name: str
    instance: Sequence[Example]
    prior: Sequence[Example]
    previews: Previews
    facts: Facts


def run_of(plan: TrainingPlan, context: JobContext) -> Run:
    """The run of a plan: a new one under the job's id, or the one it goes on with. Raises InvalidRequest, UnknownName."""
    folder = Folder(context.training, plan.run if plan.run and not plan.dry else context.job.job)
    if plan.run and not plan.pictures:
        before = Folder(context.training, plan.run).plan()
        if before is None:
            raise InvalidRequest(Problem(field="run", message=f"There is no training {plan.run!r} to go on with."))
        plan = replace(before, run=plan.run, dry=plan.dry)
    for name, least in (("seed", 0), ("max_train_steps", 1), ("resolution", 8)):
        if getattr(plan, name) < least:
            message = f"{name} is {getattr(plan, name)}; it must be chosen before the training begins."
            raise InvalidRequest(Problem(field=name, message=message))
    method: TrainingMethod = context.plugins.collect("register_training_methods").find(plan.method)
    for format in plan.formats:
        if format not in method.formats:
            raise UnknownName(f"format of {method.label}", format, method.formats[0])
    formats = plan.formats or method.formats[:1]
    return Run(plan=plan, context=context, folder=folder, status=Status(folder), method=method, formats=tuple(formats))


def loaded_for(run: Run) -> Loaded:
    """The model, fresh from its file. The autoencoder always works in 32 bits: what is learned from is not rounded."""
    record = run.record
    run.doing(f"Loading {record.title}")
    loaded = run.context.models.fresh(record, half=run.half)
    loaded.built.vae.to(torch.float32)
    if loaded.built.kind != "text" or loaded.built.is_refiner:
        raise InvalidModelFile(
            f"{record.title} is made for inpainting, editing or refining; choose a checkpoint that draws from text alone."
        )
    run.context.status.say(TRAINING, model=record.title)
    return loaded


def contents_of(run: Run, ids: Sequence[str]) -> list[bytes]:
    """Stored pictures. Raises InvalidRequest when one is not there any more."""
    sent: dict[str, bytes | Path] = {one.id: one.data for one in run.context.job.inputs}
    sent |= {one.id: Path(one.path) for one in run.context.job.input_files}
    found: list[bytes] = []
    for number, id in enumerate(ids, 1):
        here = sent.get(id)
        try:
            found.append(here.read_bytes() if isinstance(here, Path) else here or b"")
        except OSError:
            found.append(b"")
        if not found[-1]:
            message = f"Picture {number} is not stored here any more; add it again."
            raise InvalidRequest(Problem(field="pictures", message=message))
    return found


def opened(run: Run) -> Opened:
    """Load, read, draw what has to be there before the first step, and keep it in the run's folder."""
    loaded = loaded_for(run)
    model_hash = hash_of(run.record)
    about = {"title": run.record.title, "name": run.record.name, "path": run.record.path}
    run.folder.write(MODEL, about | {"hash": model_hash, "family": loaded.built.family})
    downscale = loaded.built.downscale
    instance = examples(contents_of(run, run.plan.pictures), run.plan, run.plan.resolution, downscale)
    _show(run, instance)
    prior: list[Example] = []
    if run.plan.with_prior_preservation:
        prior = examples(_class_contents(run, loaded), run.plan, run.plan.resolution, downscale, prior=True)
    name = _name(run)
    previews = Previews(plan=run.plan, context=run.context, kind=run.kind, name=name)
    _draw_untrained(run, previews, loaded)
    return Opened(
        run=run,
        loaded=loaded,
        name=name,
        instance=instance,
        prior=prior,
        previews=previews,
        facts=Facts(
            family=loaded.built.family,
            prediction=loaded.built.prediction,
            model_name=run.record.name,
            model_hash=model_hash,
            step=0,
            captions=tuple(one.caption for one in instance),
            data_hash=data_hash(instance),
            date="",
            resolution=(run.plan.resolution, run.plan.resolution),
        ),
    )


def _name(run: Run) -> str:
    """The name that the result is going to have; it is free now, and stays this run's through all attempts."""
    if not run.status["name"]:
        context = run.context
        run.status.say(name=results.free_name(results.file_name(run.plan), results.shelf(context, run.kind)))
    return str(run.status["name"])


def _show(run: Run, instance: Sequence[Example]) -> None:
    """Keep the pictures as they are trained on, for whoever looks at the run."""
    listed: list[dict[str, object]] = []
    for number, one in enumerate(instance):
        file = f"{number:03d}.png"
        path = run.folder.path / PICTURES / file
        if not path.exists():
            write_atomically(path, png_bytes(one.shown()))
        listed.append(
            {
                "file": f"{PICTURES}/{file}",
                "name": one.name,
                "caption": one.caption,
                "original": list(one.original),
                "size": list(one.size),
            }
        )
    run.folder.write(PICTURE_LIST, listed)
    run.folder.write(DATA, {"hash": data_hash(instance)})


def _class_contents(run: Run, loaded: Loaded) -> list[bytes]:
    plan = run.plan
    if plan.class_source == "own":
        return contents_of(run, plan.class_pictures)
    pictures = ClassPictures(plan, run.context.training, run.record)
    if pictures.missing:
        run.status.say(state="class pictures")

    def on_progress(there: int, wanted: int) -> None:
        run.doing(f"Drawing class pictures, {there} of {wanted}", there, wanted)

    pictures.draw(run.context, loaded, on_progress)
    run.status.say(state="preparing")
    return pictures.contents()


def _draw_untrained(run: Run, previews: Previews, loaded: Loaded) -> None:
    """What the model makes of the prompts before it learns; drawn once for a run."""
    folder = run.folder.previews(0)
    wanted = len(run.plan.preview_prompts)
    if not wanted or all((folder / f"{number}.png").exists() for number in range(wanted)):
        return
    run.doing("Drawing what the model draws now")
    found: list[ImageReady] = previews.untrained(loaded, _quietly(run))
    keep(folder, found)
    run.context.report(step=0, steps=run.plan.max_train_steps, doing=TRAINING, preview=jpeg_of(found))


def _quietly(run: Run) -> Callable[[float], None]:
    return lambda part: run.status.note(part=round(part, 3))
