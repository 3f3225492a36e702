"""The engine's loop: reads what the web process asks for, does it, says how it went.

A thread reads; it sets what interrupts and ends the process as soon as the other side is gone. The main thread works.
"""

import importlib
import logging
import os
import threading
import traceback
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import psutil
import torch

from modules.core import events
from modules.core.errors import AtelierError, Cancelled, OutOfMemory
from modules.core.plugins import EXTENSIONS_FAULTS, Plugins
from modules.core.wire import BadMessage, read_message
from modules.engine.catalogue import catalogue
from modules.engine.connection import Connection, leave
from modules.engine.job import Ending, JobContext, Wishes
from modules.engine.memory import give_back, is_out_of_memory, name_of
from modules.engine.models import Loaded, Models
from modules.engine.status import Status
from modules.engine.steps import DRAWING
from modules.families.built import BuildOptions

log = logging.getLogger(__name__)


def serve(reader: BinaryIO, writer: BinaryIO, plugins: Plugins) -> None:
    """Work for the process at the other end until it says Quit. When it is gone, this process ends at once."""
    options = read_message(reader)
    assert isinstance(options, events.EngineOptions), f"the first message was {type(options).__name__}"
    Worker(options, Connection(writer), plugins).run(reader)


class Worker:
    """One device, one job at a time."""

    def __init__(self, options: events.EngineOptions, connection: Connection, plugins: Plugins) -> None:
        self._options, self._connection, self._plugins = options, connection, plugins
        self._device = torch.device(options.device)
        _set_threads(options.threads)
        _step_back(self._device)
        if options.extensions:
            plugins.add_extensions(Path(options.extensions), options.disabled)
        self._kinds = plugins.collect("register_job_kinds")
        self._status = Status(connection, self._device)
        build_options = BuildOptions(
            device=self._device, half=options.half, memory=options.memory, attention=options.attention
        )
        self._models = Models(
            plugins.collect("register_families"),
            build_options,
            self._model_loaded,
            limit=options.cached_models,
            compiled=options.compiled,
        )
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._wishes: dict[str, Wishes] = {}
        self._ending = threading.Event()

    def run(self, reader: BinaryIO) -> None:
        """Answer EngineReady, then do what comes until Quit."""
        threading.Thread(target=self._read, args=(reader,), name="reader", daemon=True).start()
        self._connection.send(
            events.EngineReady(
                pid=os.getpid(),
                device=str(self._device),
                device_name=name_of(self._device),
                catalogue=catalogue(self._plugins),
                plugins=self._plugins.reports(),
            )
        )
        self._status.say("")
        importlib.import_module("modules.families.networks")  # takes seconds; better now than with the first picture
        while not self._ending.is_set():
            self._answer(self._inbox.get())
        self._plugins.tell("stopping")

    # -- the reading thread ----------------------------------------------------------------------------------------

    def _read(self, reader: BinaryIO) -> None:
        while True:
            try:
                self._take(read_message(reader))
            except (EOFError, OSError, ValueError):
                leave(0)
            except BadMessage:
                log.exception("the web process sent what is no message")
                leave(1)

    def _take(self, message: Any) -> None:
        if isinstance(message, events.Interrupt | events.Skip):
            wishes = self._wishes.get(message.job)
            if wishes is not None:  # else it is over, or was never begun here
                (wishes.cancel if isinstance(message, events.Interrupt) else wishes.skip).set()
            return
        if isinstance(message, events.Steer):
            if (wishes := self._wishes.get(message.job)) is not None:
                wishes.steering.put(message.wish)
            return
        if isinstance(message, events.RunJob):
            self._wishes[message.job] = Wishes()
        if isinstance(message, events.Quit):
            self._ending.set()
        self._inbox.put(message)

    # -- the working thread ----------------------------------------------------------------------------------------

    def _answer(self, message: Any) -> None:
        if isinstance(message, events.RunJob):
            self._work(message)
        elif isinstance(message, events.LoadModel):
            self._load(message)
        elif isinstance(message, events.UnloadModels):
            self._models.unload()
            self._status.say("", model="")

    def _work(self, job: events.RunJob) -> None:
        self._connection.send(events.Started(job=job.job))
        self._status.say(DRAWING)
        context = JobContext(
            job=job,
            models=self._models,
            plugins=self._plugins,
            connection=self._connection,
            status=self._status,
            wishes=self._wishes[job.job],
            ending=self._ending,
            checkpoints=Path(self._options.checkpoints),
            loras=Path(self._options.loras),
            embeddings=Path(self._options.embeddings),
            training=Path(self._options.training),
            notes=list(job.notes),
        )
        try:
            self._kinds.find(job.kind).run(job.request, context)
            outcome: Any = events.Finished(
                job=job.job, note=" ".join(dict.fromkeys(context.notes)), result="\n".join(context.result)
            )
        except Ending:
            return
        except Cancelled:
            outcome = events.Finished(job=job.job, interrupted=True)
        except EXTENSIONS_FAULTS as error:
            outcome = _failed(job.job, error, self._device)
        finally:
            del self._wishes[job.job]
        self._connection.send(outcome)
        self._status.say("")

    def _load(self, message: events.LoadModel) -> None:
        held = self._models.holds(message.record)
        self._status.say(f"Loading {message.record.title}")
        try:
            loaded = self._models.get(message.record)
            if held:
                self._model_loaded(loaded)
        except EXTENSIONS_FAULTS as error:
            self._connection.send(_failed("", error, self._device))
        self._status.say("")

    def _model_loaded(self, loaded: Loaded) -> None:
        self._status.say(model=loaded.record.title)
        self._connection.send(events.ModelLoaded(record=loaded.record, family=loaded.built.family))
        self._plugins.tell("model_loaded", record=loaded.record)


def _failed(job: str, error: BaseException, device: torch.device) -> events.Failed:
    """How a failure is told: our own errors speak for themselves, others are named."""
    detail = "".join(traceback.format_exception(error))
    kind = type(error).__name__
    if is_out_of_memory(error):
        error = OutOfMemory("There is not enough memory for this; close other programs or use a smaller model.")
        kind = "OutOfMemory"
    if kind == "OutOfMemory":
        give_back(device)
    ours = isinstance(error, AtelierError)
    sentence = str(error) if ours else f"Something went wrong: {kind}: {str(error)[:500]}"
    log.log(logging.INFO if ours else logging.ERROR, "%s\n%s", sentence, detail)
    return events.Failed(job=job, sentence=sentence, kind=kind, detail=detail)


def _set_threads(asked: int) -> None:
    """One thread for each physical core that this process may use: two on one core only get in each other's way."""
    physical = psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    torch.set_num_threads(asked or max(1, min(physical, allowed)))


def _step_back(device: torch.device) -> None:
    """A CPU that draws is also the one that shows the page: a browser beside it must not starve."""
    if device.type == "cpu" and hasattr(os, "nice"):
        os.nice(5)
