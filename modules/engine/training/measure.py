"""The dry step: what a training is going to need, measured by a few of its steps. Nothing of it is kept but the numbers."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from modules.core.errors import StorageFailed
from modules.core.training import TrainingNumbers
from modules.engine.memory import give_back, is_out_of_memory
from modules.engine.models import Loaded
from modules.engine.training import results
from modules.engine.training.classes import ClassPictures
from modules.engine.training.endings import advice
from modules.engine.training.folder import MEASURE
from modules.engine.training.opening import KINDS, Opened, Run, contents_of, loaded_for
from modules.engine.training.previews import CHECKPOINT, Previews
from modules.engine.training.session import saves
from modules.training.dataset import Data, examples
from modules.training.learner import Learner
from modules.training.loop import Position, begin, train

STEPS = 5  # after one that warms up
MOST_PICTURES = 8  # are read for it
KEPT_CHECKPOINTS = 3  # two, and the one that is being written
PIXEL = 2  # bytes of a PNG, about
ROOM = 1.05  # the next step may need a little more than the last


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """Seconds: of a step, of reading one picture, of drawing one preview. `memory`: the most bytes held meanwhile.

    `epochs`: how often all pictures would be seen. `disk`: bytes that the training would write.
    """

    step: float
    reading: float
    preview: float
    memory: int
    epochs: float
    disk: int


def run(run: Run) -> None:
    """Write `measure.json`. What does not fit is no failure here: it is what was to be found out."""
    device = run.context.models.device
    available = _available(device)
    try:
        timed = _timed(run)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        timed = None
    give_back(device)
    run.folder.write(MEASURE, _facts(run, timed, available))
    run.status.say(state="done", doing="")


def _timed(run: Run) -> _Timed:
    loaded = loaded_for(run)
    if loaded.built.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(loaded.built.device)
    contents = contents_of(run, run.plan.pictures[:MOST_PICTURES])
    instance = examples(contents, run.plan, run.plan.resolution, loaded.built.downscale)
    prior = instance if run.plan.with_prior_preservation else []  # only their number counts here
    with run.method.prepare(loaded.built, run.plan) as learner:
        position = begin(learner, run.plan, loaded.built.device)
        data = Data(loaded.built, learner, run.plan, loaded.tokenizer, instance, prior)
        began = time.monotonic()
        data.prepare(lambda done, all_: run.doing(f"Reading pictures, {done} of {all_}", done, all_))
        reading = (time.monotonic() - began) / len(instance)
        numbers = _steps(run, loaded, learner, position, data)
        per_epoch = data.epoch(run.plan.max_train_steps) * len(instance) / len(run.plan.pictures)
        return _Timed(
            step=(numbers[-1].seconds - numbers[0].seconds) / max(1, len(numbers) - 1),
            reading=reading,
            preview=_preview(run, loaded, learner),
            memory=max(one.memory for one in numbers),
            epochs=per_epoch,
            disk=disk_needed(run, loaded, learner),
        )


def _steps(run: Run, loaded: Loaded, learner: Learner, position: Position, data: Data) -> list[TrainingNumbers]:
    found: list[TrainingNumbers] = []

    def on_step(numbers: TrainingNumbers, position: Position) -> bool:
        found.append(numbers)
        run.doing("Measuring", len(found), STEPS + 1)
        return len(found) > STEPS

    train(loaded.built, learner, run.plan, data, position, on_step)
    return found


def _preview(run: Run, loaded: Loaded, learner: Learner) -> float:
    if not run.plan.preview_prompts:
        return 0.0
    previews = Previews(plan=run.plan, context=run.context, kind=run.kind, name=results.file_name(run.plan))
    began = time.monotonic()
    previews.subject(loaded, learner.vectors)
    return time.monotonic() - began


def _facts(run: Run, timed: _Timed | None, available: int) -> dict[str, Any]:
    plan = run.plan
    steps, free = plan.max_train_steps, shutil.disk_usage(_existing(run.folder.path)).free
    missing = _class_pictures_missing(run)
    known: dict[str, Any] = {
        "steps": steps,
        "pictures_seen": steps * plan.train_batch_size * plan.gradient_accumulation_steps,
        "class_pictures_missing": missing,
        "memory_available": available,
        "disk_free": free,
        "device": run.context.models.device.type,
    }
    if timed is None:
        return known | {"fits": False, "advice": _too_much(run, 0, available)}
    previews = Previews(plan=plan, context=run.context, kind=run.kind, name="")
    drawn = len(plan.preview_prompts) * (1 + previews.left(0)) + 1
    class_seconds = missing * timed.preview * plan.class_steps / plan.preview_steps
    total = steps * timed.step + drawn * timed.preview + class_seconds + timed.reading * len(plan.pictures)
    fits = timed.memory * ROOM <= available
    known |= {
        "seconds_per_step": round(timed.step, 4),
        "seconds_total": round(total, 1),
        "preview_seconds": round(timed.preview, 2),
        "class_seconds": round(class_seconds, 1),
        "memory_peak": timed.memory,
        "disk_needed": timed.disk,
        "epochs": round(timed.epochs, 2),
    }
    if not fits:
        return known | {"fits": False, "advice": _too_much(run, timed.memory, available)}
    return known | {
        "fits": timed.disk <= free,
        "advice": "" if timed.disk <= free else _too_little_room(timed.disk, free),
    }


def _too_much(run: Run, needed: int, available: int) -> str:
    whose = "Your card has" if run.context.models.device.type == "cuda" else "This computer has"
    needs = f"about {_gigabytes(needed)}" if needed else "more"
    return f"{whose} {_gigabytes(available)} GB free, this needs {needs}: {advice(run.plan, run.method.whole)}."


def _too_little_room(needed: int, free: int) -> str:
    return (
        f"The disk has {_gigabytes(free)} GB free and this training needs about {_gigabytes(needed)}; make room, "
        "or save less often and keep fewer snapshots."
    )


def _gigabytes(count: int) -> str:
    size = count / (1 << 30)
    return f"{size:.0f}" if size >= 10 else f"{size:.1f}"


def _class_pictures_missing(run: Run) -> int:
    plan = run.plan
    if not plan.with_prior_preservation or plan.class_source == "own":
        return 0
    return len(ClassPictures(plan, run.context.training, run.record).missing)


def _available(device: torch.device) -> int:
    """Bytes that a training may take: what is free, and what this process holds already."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return psutil.virtual_memory().available + psutil.Process().memory_info().rss


# The disk ---------------------------------------------------------------------------------------------------------------


def disk_needed(run: Run, loaded: Loaded, learner: Learner) -> int:
    """About how many bytes a whole training writes: results, snapshots, checkpoints, pictures."""
    plan = run.plan
    number = results.NUMBERS[plan.save_precision].itemsize
    learned = sum(one.numel() for one in learner.named.values())
    everything = sum(one.numel() for network in loaded.built.networks.values() for one in network.parameters())
    sizes = [
        number * (everything if KINDS.get(format, CHECKPOINT) == CHECKPOINT else learned) for format in run.formats
    ]
    snapshots = min(plan.keep_last + 1, plan.max_train_steps // saves(plan)) * sizes[0]
    copies = 3 + plan.use_ema  # weights, two moments of Adam, the average
    pictures = len(plan.preview_prompts) * (1 + Previews(plan=plan, context=run.context, kind="", name="").left(0))
    pictures += _class_pictures_missing(run)
    return sum(sizes) + snapshots + KEPT_CHECKPOINTS * copies * 4 * learned + pictures * PIXEL * plan.resolution**2


def check_disk(ready: Opened, learner: Learner) -> None:
    """Raises StorageFailed when the disk cannot take what is going to be written."""
    path = ready.run.folder.path
    needed = disk_needed(ready.run, ready.loaded, learner) - _size(path)
    free = shutil.disk_usage(_existing(path)).free
    if needed > free:
        raise StorageFailed(_too_little_room(needed, free))


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def _existing(path: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())
