"""A real engine process with a tiny model: it draws pictures of one colour, made of the seed. It does what prompts tell it.

Words in a prompt: `slow` (20 ms a step), `crash` (dies of a signal at step 2), `crash-once` (only when its file is not
there), `fail`, `chatter` (writes a lot into the log), `deaf` (neither stops nor quits).
"""

import os
import queue
import signal
import struct
import sys
import threading
import time
import zlib
from pathlib import Path

from modules.core import events
from modules.core.events import Catalogue, Choice
from modules.core.wire import read_message, write_message

CATALOGUE = Catalogue(
    samplers=(
        Choice(name="Euler", aliases=("k_euler",)),
        Choice(name="Euler a", options=("eta", "noise")),
        Choice(name="DPM++ 2M"),
        Choice(name="DDIM", options=("eta",)),
    ),
    schedules=(Choice(name="Karras", key="karras"), Choice(name="Uniform", key="uniform")),
    guidance=(Choice(name="CFG"), Choice(name="CFG rescale")),
    upscalers=(Choice(name="None"), Choice(name="Lanczos")),
    job_kinds=("image",),
)


def png(seed: int, width: int, height: int) -> bytes:
    """A PNG of one colour; the same bytes for the same numbers."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + bytes((seed * 7 % 256, seed * 13 % 256, seed * 29 % 256)) * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(row * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


class TinyEngine:
    """Reads messages on one thread, works on another, as the real one does."""

    def __init__(self) -> None:
        self.reader, self.writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()
        self.interrupted, self.skipped, self.steered = set(), set(), []
        self.options = None
        self.quitting = False
        self.writing = threading.Lock()

    def send(self, message) -> None:
        with self.writing:
            write_message(self.writer, message)

    def read(self) -> None:
        try:
            while True:
                message = read_message(self.reader)
                if isinstance(message, events.Interrupt):
                    self.interrupted.add(message.job)
                elif isinstance(message, events.Skip):
                    self.skipped.add(message.job)
                elif isinstance(message, events.Steer):
                    self.steered.append(message.wish)
                elif isinstance(message, events.Quit):
                    self.quitting = True
                self.inbox.put(message)
        except EOFError:
            os._exit(0)

    def serve(self) -> None:
        options = self.options = read_message(self.reader)
        threading.Thread(target=self.read, daemon=True).start()
        self.send(
            events.EngineReady(
                pid=os.getpid(),
                device=options.device,
                device_name="tiny",
                catalogue=CATALOGUE,
                plugins=(events.PluginReport(name="example", process="engine", problem="does not work"),),
            )
        )
        while True:
            message = self.inbox.get()
            if isinstance(message, events.Quit):
                return
            if isinstance(message, events.LoadModel):
                self.load(message.record)
            elif isinstance(message, events.UnloadModels):
                self.send(events.EngineStatus(doing="", model=""))
            elif isinstance(message, events.RunJob):
                self.send(events.Started(job=message.job))
                self.send(self.work(message))

    def load(self, record) -> None:
        if record.size < 200:
            self.send(events.Failed(job="", sentence=f"{record.name} has no U-Net.", kind="InvalidModelFile"))
        elif "crash" in record.name:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            self.send(events.EngineStatus(doing="", model=record.title, memory_used=1, memory_total=2))
            self.send(events.ModelLoaded(record=record, family="tiny"))

    def work(self, job) -> events.Finished | events.Failed:
        request, words = job.request, job.request.prompt.split()
        if "chatter" in words:
            sys.stderr.write("chatter " * 100_000 + "\n")
        if "fail" in words:
            return events.Failed(job=job.job, sentence="It cannot be drawn.", kind="NotFinite", detail="in layer 3")
        for batch in range(request.batch_count):
            for step in range(request.steps):
                if not self.step(job, batch, step, words):
                    return events.Finished(job=job.job, interrupted=True)
                if job.job in self.skipped:
                    self.skipped.discard(job.job)
                    break
            else:
                self.deliver(job, batch)
        return events.Finished(job=job.job, note="took no time" if "note" in words else "")

    def step(self, job, batch: int, step: int, words: list[str]) -> bool:
        if step == 2 and ("crash" in words or ("crash-once" in words and not Path(words[-1]).exists())):
            if "crash-once" in words:
                Path(words[-1]).touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(0.02 if "slow" in words else 0)
        preview = b"jpeg %d" % step if job.preview_every and step % job.preview_every == 0 else None
        place = {"step": step + 1, "steps": job.request.steps, "batch": batch, "batches": job.request.batch_count}
        self.send(events.Progress(job=job.job, preview=preview, doing="sampling", eta=1.0, **place))
        return "deaf" in words or not (job.job in self.interrupted or self.quitting)

    def deliver(self, job, batch: int) -> None:
        request = job.request
        for index in range(batch * request.batch_size, (batch + 1) * request.batch_size):
            if index in job.have:
                continue
            seed = request.seed + index
            content = png(seed, request.width, request.height)
            size = {"width": request.width, "height": request.height}
            self.send(
                events.ImageReady(job=job.job, index=index, png=content, infotext=f"Seed: {seed}", seed=seed, **size)
            )


if __name__ == "__main__":
    TinyEngine().serve()
