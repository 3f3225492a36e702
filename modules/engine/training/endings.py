"""How a training ends that does not end well: its state is told, its snapshots stay, and the sentence says what to do."""

import errno
from collections.abc import Generator
from contextlib import contextmanager

from modules.core.errors import AtelierError, Cancelled, NotFinite, OutOfMemory, StorageFailed
from modules.core.training import TrainingPlan
from modules.engine.job import Ending
from modules.engine.memory import is_out_of_memory
from modules.engine.training.folder import SNAPSHOTS
from modules.engine.training.opening import Run

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told(run: Run) -> Generator[None, None, None]:
    """Inside, whatever ends the work is written into the run's status.  Raises it, memory and disk in our own words."""
    try:
        yield
    except (Cancelled, Ending):
        run.status.say(state="paused", doing="")
        raise
    except BaseException as error:
        known = _in_our_words(error, run)
        sentence = str(known) if isinstance(known, AtelierError) else f"Something went wrong: {known}"
        _say_failed(run, sentence)
        if known is not error:
            raise known from error.with_traceback(None)  # its frames hold the tensors there was no room for
        raise


def _say_failed(run: Run, sentence: str) -> None:
    try:
        run.status.say(state="failed", doing="", sentence=sentence)
    except StorageFailed:  # a full disk takes no status either; the job itself tells the sentence
        return


def _in_our_words(error: BaseException, run: Run) -> BaseException:
    kept = _kept(run)
    if is_out_of_memory(error) or isinstance(error, OutOfMemory):
        return OutOfMemory(f"There is not enough memory for this training; {advice(run.plan, run.method.whole)}.{kept}")
    if isinstance(error, NotFinite):
        return NotFinite(f"{error}{kept}")
    if isinstance(error, StorageFailed):
        return StorageFailed(f"{error} Make room on the disk, then resume.{kept}")
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return StorageFailed(f"The disk is full. Make room, then resume.{kept}")
    return error


def _kept(run: Run) -> str:
    steps = run.folder.steps_of(SNAPSHOTS)
    return f" The snapshot of step {steps[-1]} is kept." if steps else ""


def advice(plan: TrainingPlan, whole: bool) -> str:
    """What would make a training need less memory, the most first.

    >>> advice(TrainingPlan(gradient_checkpointing=True, train_batch_size=2), whole=False)
    'set the batch size to 1, or lower the resolution'
    """
    ways: list[str] = []
    if whole:
        ways.append("train a LoRA instead")
    if not plan.gradient_checkpointing:
        ways.append("switch on gradient checkpointing")
    if plan.optimizer == "AdamW" and whole:
        ways.append("use AdamW 8-bit")
    if plan.train_batch_size > 1:
        ways.append("set the batch size to 1")
    if plan.train_text_encoder:
        ways.append("leave the text encoder untrained")
    return ", ".join([*ways, "or lower the resolution"]) if ways else "lower the resolution"
