"""The tiny engine, that also "trains": it writes a run's folder as the real trainer does, with no arithmetic behind it.

Each step takes 20 ms and leaves a line in the log; a checkpoint is kept at every tenth. Words in the class noun:
`crash` (dies of a signal at step 12), `crash-once` (only in the first attempt), `fail`, `quick` (no time for a step).
"""

import importlib.util
import json
import os
import signal
import struct
import time
from pathlib import Path

from modules.core import events
from modules.core.files import write_atomically
from modules.core.training import TrainingPlan

SPEC = importlib.util.spec_from_file_location("tiny_engine", Path(__file__).with_name("tiny_engine.py"))
tiny_engine = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tiny_engine)

STEPS, KEEP = 30, 10


def network(path: Path) -> Path:
    """A small, sound file."""
    header = json.dumps(
        {
            "__metadata__": {"modelspec.trigger_phrase": "sks cat"},
            "lora_unet_x.lora_down.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        }
    ).encode()
    write_atomically(path, struct.pack("<Q", len(header)) + header + bytes(4))
    return path


class TinyTrainer(tiny_engine.TinyEngine):
    def work(self, job):
        if not isinstance(job.request, TrainingPlan):
            return self.measure(job) if job.kind == "evaluate" else super().work(job)
        self.root = Path(self.options.training) / (job.request.run or job.job)
        return self.train(job, job.request)

    def measure(self, job):
        folder = Path(self.options.training) / job.request.run
        measures = [{"name": "identity", "value": 0.9}]
        write_atomically(folder / "evaluation.json", json.dumps({"measures": measures}).encode())
        return events.Finished(job=job.job)

    def train(self, job, plan):
        missing = [one.path for one in job.input_files if not Path(one.path).is_file()]
        if missing or "fail" in plan.class_noun.split() or not job.models:
            return events.Failed(job=job.job, sentence="It cannot be trained.", kind="NotFinite", detail="here")
        steps = plan.max_train_steps or STEPS
        step = self.begin(plan, steps)
        while step < steps:
            if self.quitting or job.job in self.interrupted:
                self.keep(step)
                self.status("paused", step, steps)
                return events.Finished(job=job.job, interrupted=True)
            if "finish" in self.steered:
                break
            step += 1
            self.learn(job, plan, step, steps)
        return self.end(job, plan, step, steps)

    def begin(self, plan, steps: int) -> int:
        """Where it goes on."""
        kept = self.root / "checkpoint" / "step"
        step = int(kept.read_text()) if kept.exists() else 0
        self.write("plan.json", {"name": plan.name})
        self.write("pictures.json", [{"file": "000.png", "name": "one", "caption": "sks cat"}])
        write_atomically(self.root / "pictures" / "000.png", tiny_engine.png(1, 8, 8))
        log = self.root / "log.jsonl"
        lines = log.read_text().splitlines(keepends=True)[:step] if log.exists() else []
        write_atomically(log, "".join(lines).encode())
        self.preview(0)
        self.status("training", step, steps)
        return step

    def learn(self, job, plan, step: int, steps: int) -> None:
        words = plan.class_noun.split()
        if step == 12 and ("crash" in words or ("crash-once" in words and not (self.root / "crashed").exists())):
            (self.root / "crashed").touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(0 if "quick" in words else 0.02)
        line = {"step": step, "steps": steps, "epoch": step / 3, "loss": 1 / step, "instance_loss": 1 / step}
        line |= {"prior_loss": None, "learning_rate": 1e-4, "grad_norm": 1.0, "seconds": step / 50, "memory": 0}
        with (self.root / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if step % KEEP == 0:
            self.keep(step)
            self.preview(step)
            network(self.root / "snapshots" / f"{step:06d}" / f"{plan.name or 'it'}.safetensors")
        self.send(
            events.Progress(job=job.job, step=step, steps=steps, eta=(steps - step) / 50, doing=f"Training {plan.name}")
        )

    def keep(self, step: int) -> None:
        write_atomically(self.root / "checkpoint" / "step", str(step).encode())

    def preview(self, step: int) -> None:
        write_atomically(self.root / "previews" / f"{step:06d}" / "0.png", tiny_engine.png(step, 8, 8))

    def end(self, job, plan, step: int, steps: int):
        if plan.dry:
            self.write("measure.json", {"seconds_per_step": 0.02, "fits": True})
            self.status("done", step, steps)
            return events.Finished(job=job.job)
        file = network(Path(self.options.loras) / f"{plan.name or 'it'}.safetensors")
        files = [{"kind": "lora", "format": "kohya", "name": file.stem, "path": str(file), "bytes": 1, "sha256": ""}]
        self.status("stopped" if step < steps else "done", step, steps, files=files)
        return events.Finished(job=job.job, result=file.name)

    def status(self, state: str, step: int, steps: int, **more) -> None:
        self.write("status.json", {"state": state, "step": step, "steps": steps, "doing": "", **more})

    def write(self, name: str, content) -> None:
        write_atomically(self.root / name, json.dumps(content).encode())


if __name__ == "__main__":
    TinyTrainer().serve()
