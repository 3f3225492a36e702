"""Keeps one engine alive and feeds it: one thread that starts it, hands it jobs, stores what comes back, starts it again."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, TypeVar

from modules.core import errors, events
from modules.core.errors import AtelierError, EngineLost, StorageFailed
from modules.core.requests import ModelRecord
from modules.services.connection import EngineConnection, Gone
from modules.services.equipment import equipped
from modules.services.needs import Needs
from modules.services.turns import Turns
from modules.storage.records import Job

log = logging.getLogger(__name__)

RESTART_DELAYS = (0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds, by deaths without a job done in between
FAILED_AFTER = 5  # deaths until the page says that the engine cannot be started
LONG_LIFE = 60.0  # an engine that lived this long does not die of its start
RETRY_SECONDS = 0.5
ATTENTION = {"sdp": "sdpa", "xformers": "xformers", "sub-quadratic": "sub-quadratic"}  # setting: what engines know
ROOM_SECONDS = 5.0  # from one look at a full disk to the next
SAME_CLASS = {one.__name__: one for one in (errors.InvalidModelFile, errors.OutOfMemory, errors.NotFinite)}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class EngineState:
    """One engine. `state`: starting, ready, busy, restarting or failed; of the trainer also off: nothing is to be trained.

    `role`: drawing or training. Memory in bytes of the device. `job`: an id.
    """

    name: str
    device: str
    device_name: str = ""
    state: str = "starting"
    doing: str = ""
    model: str = ""
    memory_used: int = 0
    memory_total: int = 0
    pid: int = 0
    job: str = ""
    role: str = "drawing"


@dataclass(frozen=True)
class _Do:
    """Something another thread wants done by the supervising thread, with the engine at hand."""

    action: Callable[[EngineConnection], None] = field(repr=False)


class Supervisor(threading.Thread):
    """The thread of one engine. Its public methods may be called from any other thread and return at once."""

    role = "drawing"

    def __init__(self, name: str, device: str, needs: Needs, turns: Turns | None = None) -> None:
        super().__init__(name=f"engine {name}", daemon=True)
        self.state = EngineState(name=name, device=device, role=self.role)
        self.plugin_reports: tuple[events.PluginReport, ...] = ()
        self._needs = needs
        self._turns = turns or Turns(needs.queue)
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._stopping = threading.Event()
        self._connection: EngineConnection | None = None
        self._job: Job | None = None
        self._failure = ""  # why the current job cannot succeed any more, although its engine works on it
        self._over = threading.Event()
        self._loads_lock = threading.Lock()
        self._loads: list[tuple[ModelRecord, Future[None]]] = []  # who waits for a model
        self._deaths = 0
        self._again: threading.Timer | None = None
        self._handlers: dict[type, Callable[[EngineConnection, Any], None]] = {
            events.EngineReady: self._is_ready,
            events.EngineStatus: self._status,
            events.Progress: self._progress,
            events.ImageReady: self._picture,
            events.ModelLoaded: self._loaded,
            events.Finished: self._finished,
            events.Failed: self._failed,
            _Do: lambda connection, do: do.action(connection),
        }
        needs.queue.subscribe(self._job_changed)
        self._turns.subscribe(self.poke)

    # -- from other threads ------------------------------------------------------------------------------------------

    def skip(self, job_id: str) -> None:
        """Skip the current batch of this job, if it runs here."""
        self._do(lambda engine: self._runs(job_id) and engine.send(events.Skip(job=job_id)))

    def steer(self, job_id: str, wish: str) -> None:
        """Ask this training for something, if it runs here."""
        self._do(lambda engine: self._runs(job_id) and engine.send(events.Steer(job=job_id, wish=wish)))

    def poke(self) -> None:
        """Look for a job."""
        self._do(self._begin_next)

    def load(self, record: ModelRecord) -> Future[None]:
        """Have a model in memory; the future says when it is, or why it is not."""
        done: Future[None] = Future()
        with self._loads_lock:
            self._loads.append((record, done))
        self._do(lambda engine: engine.send(events.LoadModel(record=record)))
        if self._over.is_set():
            self._refuse_loads("the server is stopping")
        return done

    def unload(self) -> None:
        """Give the memory of all models back."""
        self._do(lambda engine: engine.send(events.UnloadModels()))

    def ask_to_quit(self) -> None:
        """End the engine after its current step, and this thread with it."""
        self._stopping.set()
        self._do(lambda engine: engine.send(events.Quit()))

    def kill(self) -> None:
        """End the engine at once."""
        if self._connection:
            self._connection.kill()

    def _do(self, action: Callable[[EngineConnection], object]) -> None:
        self._inbox.put(_Do(action=lambda engine: (action(engine), None)[1]))

    def _job_changed(self, job: Job) -> None:
        if job.state == "waiting":
            self._do(self._begin_next)
        elif job.state == "running" and job.stop:
            self._do(lambda engine: self._runs(job.id) and engine.send(events.Interrupt(job=job.id)))

    # -- the engine's life -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start the engine again and again, until asked to quit."""
        while self._wait_until_needed():
            born = time.monotonic()
            reason = self._live_once()
            if time.monotonic() - born > LONG_LIFE:
                self._deaths = 0
            self._bury(reason)
            self._stopping.wait(RESTART_DELAYS[min(max(1, self._deaths), len(RESTART_DELAYS)) - 1])
        self._over.set()
        self._refuse_loads("the server is stopping")

    def _wait_until_needed(self) -> bool:
        """Whether a process is to be started: always, until asked to quit."""
        return not self._stopping.is_set()

    def _live_once(self) -> str:
        """From the start of a process to its end; answers how it ended."""
        try:
            engine = EngineConnection(self.state.name, self._inbox.put, self._needs.command)
        except OSError as error:
            return f"the engine could not be started ({error.strerror})"
        self._connection = engine
        self._show(pid=engine.pid)
        mistake = ""
        try:
            engine.send(self._options())
            while not isinstance(item := self._inbox.get(), Gone):
                self._handlers.get(type(item), _unexpected)(engine, item)
        except Exception as error:  # a mistake of ours or of an extension: the engine is replaced, the server goes on
            log.exception("engine %s is started again after an error", self.state.name)
            mistake = f"an error in the server ({error})"
            engine.kill()
            _drain(self._inbox)
        ended = engine.ended()
        self._connection = None  # its number may become another's
        return mistake or ended

    def _bury(self, reason: str) -> None:
        """Its job waits again, who waits for a model is told."""
        self._deaths += 1
        if not self._stopping.is_set():
            log.warning("engine %s: %s", self.state.name, reason)
        job, self._job = self._job, None
        if job:
            blame = self._blames(job)
            failure = self._failure
            self._stored(
                lambda: (
                    self._needs.queue.fail(job.id, failure)
                    if failure
                    else self._needs.queue.give_back(job.id, reason, blame=blame)
                )
            )
        self._let_go()
        self._refuse_loads(f"{reason} while it loaded the model")
        state = "failed" if self._deaths >= FAILED_AFTER else "restarting"
        self._show(state=state, doing=reason, model="", memory_used=0, pid=0, job="")

    def _blames(self, job: Job) -> bool:
        """Whether the engine's end may be the job's fault."""
        return not self._stopping.is_set()

    def _refuse_loads(self, reason: str) -> None:
        sentence = f"{reason[:1].upper()}{reason[1:]}."
        for _, done in self._take_loads(lambda entry: True):
            done.set_exception(EngineLost(sentence))

    def _take_loads(self, wanted: Callable[[tuple[ModelRecord, Future[None]]], bool]) -> list[Any]:
        """Those who wait for a model and are about to be answered."""
        with self._loads_lock:
            taken = [entry for entry in self._loads if wanted(entry)]
            self._loads = [entry for entry in self._loads if entry not in taken]
        return taken

    def _options(self) -> events.EngineOptions:
        flags, settings = self._needs.flags, self._needs.settings
        return events.EngineOptions(
            device=self.state.device,
            name=self.state.name,
            extensions=str(self._needs.places.extensions),
            checkpoints=str(self._needs.places.models / "Stable-diffusion"),
            loras=str(self._needs.places.folders("lora")[0]),
            embeddings=str(self._needs.places.folders("embedding")[0]),
            training=str(self._needs.places.training),
            half=not flags.no_half,
            memory=flags.memory,
            attention=ATTENTION.get(str(settings.get("cross_attention_optimization")), "")
            or ("xformers" if flags.xformers else "sdpa"),
            compiled=bool(settings.get("torch_compile")),
            cached_models=int(settings.get("sd_checkpoints_limit")),
        )

    # -- what the engine says ----------------------------------------------------------------------------------------

    def _is_ready(self, engine: EngineConnection, ready: events.EngineReady) -> None:
        self.plugin_reports = ready.plugins
        self._needs.catalogue.learn(ready.catalogue)
        self._show(state="ready", doing="", device=ready.device, device_name=ready.device_name)
        log.info("engine %s is ready on %s (%s)", self.state.name, ready.device, ready.device_name)
        self._begin_next(engine)

    def _status(self, engine: EngineConnection, status: events.EngineStatus) -> None:
        self._show(
            doing=status.doing,
            model=status.model,
            memory_used=status.memory_used,
            memory_total=status.memory_total,
        )
        if self._job:
            self._needs.watch.engine_does(self._job.id, status.doing)

    def _progress(self, engine: EngineConnection, progress: events.Progress) -> None:
        if self._runs(progress.job):
            self._needs.watch.progressed(progress)
            self._needs.plugins.tell("job_progressed", progress=progress)

    def _picture(self, engine: EngineConnection, picture: events.ImageReady) -> None:
        job = self._job
        if job is None or job.id != picture.job or self._failure:
            return
        try:
            kept = self._needs.gallery.keep(picture, job)
        except StorageFailed as error:
            self._failure = str(error)
            engine.send(events.Interrupt(job=job.id))
            return
        self._needs.watch.picture_kept(job.id)
        if kept.kept:
            self._needs.plugins.tell(
                "image_saved", path=str(self._needs.places.outputs / kept.path), request=job.request
            )

    def _loaded(self, engine: EngineConnection, loaded: events.ModelLoaded) -> None:
        self._show(model=loaded.record.title)
        for _, done in self._take_loads(lambda entry: entry[0].path == loaded.record.path):
            done.set_result(None)

    def _finished(self, engine: EngineConnection, finished: events.Finished) -> None:
        queue, id, note = self._needs.queue, finished.job, finished.note
        if self._failure:
            failure = self._failure
            self._end(engine, id, lambda: queue.fail(id, failure))
        elif finished.interrupted and self._stopping.is_set():
            self._end(engine, id, lambda: queue.give_back(id, "the server was stopped", blame=False))
        elif finished.interrupted:
            self._end(engine, id, lambda: queue.interrupt(id, note))
        else:
            if finished.result:
                self._list_anew()
            self._end(engine, id, lambda: queue.finish(id, note, finished.result))

    def _list_anew(self) -> None:
        """A merge leaves a checkpoint, a training perhaps a network: whoever hears of the end finds it."""
        with suppress(OSError):  # a disk that went away: what was listed stays
            self._needs.library.refresh()
            self._needs.shelf.refresh()

    def _failed(self, engine: EngineConnection, failed: events.Failed) -> None:
        if failed.job:
            sentence = self._failure or failed.sentence
            self._end(engine, failed.job, lambda: self._needs.queue.fail(failed.job, sentence, failed.detail))
            return
        kind, loads = SAME_CLASS.get(failed.kind, AtelierError), self._loads[:1]  # they are answered in order
        for _, done in self._take_loads(lambda entry: entry in loads):
            done.set_exception(kind(failed.sentence))

    # -- jobs --------------------------------------------------------------------------------------------------------

    def _begin_next(self, engine: EngineConnection) -> None:
        """Give the idle engine the next job that can be begun."""
        while self.state.state == "ready" and not self._stopping.is_set() and self._has_room():
            job = self._stored(self._claim)
            if job is None:
                self._rest(engine)
                return
            try:
                message = equipped(job, self._needs)
            except AtelierError as error:
                sentence = str(error)
                self._stored(lambda failed=job, why=sentence: self._needs.queue.fail(failed.id, why))
                self._let_go()
                continue
            self._job, self._failure = job, ""
            self._show(state="busy", job=job.id)
            engine.send(message)

    def _claim(self) -> Job | None:
        """The next job for this engine."""
        return self._turns.claim_drawing(self.state.name, self.state.device)

    def _let_go(self) -> None:
        """It has no job any more."""
        self._turns.left(self.state.name)

    def _rest(self, engine: EngineConnection) -> None:
        """There is nothing to do; where a training has the device, a setting may end that at any time."""
        if self._turns.closed(self.state.device):
            self._look_again()

    def _look_again(self) -> None:
        """In a while; one such look at a time."""
        if self._again is None or not self._again.is_alive():
            self._again = threading.Timer(ROOM_SECONDS, self.poke)
            self._again.daemon = True
            self._again.start()

    def _has_room(self) -> bool:
        """Whether pictures can be kept; when not, nothing is begun until they can."""
        try:
            self._needs.gallery.check_room()
        except StorageFailed as error:
            self._show(doing=str(error))
            self._look_again()
            return False
        return True

    def _end(self, engine: EngineConnection, job_id: str, end: Callable[[], Job]) -> None:
        if not self._runs(job_id):
            return
        self._stored(end)
        self._job, self._failure, self._deaths = None, "", 0
        self._show(state="ready", doing="", job="")
        self._let_go()
        self._begin_next(engine)

    def _runs(self, job_id: str) -> bool:
        return self._job is not None and self._job.id == job_id

    def _stored(self, action: Callable[[], T]) -> T | None:
        """Do something with the queue; when the database does not take it, try until it does. None: it cannot be done."""
        while True:
            try:
                return action()
            except StorageFailed as error:
                log.error("engine %s waits for the database: %s", self.state.name, error)
                if self._stopping.wait(RETRY_SECONDS):
                    return None
            except AtelierError as error:  # somebody has removed the job's row
                log.error("engine %s: %s", self.state.name, error)
                return None

    def _show(self, **news: Any) -> None:
        self.state = replace(self.state, **news)


def _unexpected(engine: EngineConnection, message: Any) -> None:
    if not isinstance(message, events.Started):
        log.warning("engine %s sent %s, which only we send", engine.pid, type(message).__name__)


def _drain(inbox: SimpleQueue[Any]) -> None:
    """Drop everything up to the end of a connection."""
    while not isinstance(inbox.get(), Gone):
        pass
