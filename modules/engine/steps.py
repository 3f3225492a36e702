"""What happens after each sampling step: news, previews, and whether to go on."""

from typing import Any

import torch
from torch import Tensor

from modules.engine.job import JobContext
from modules.engine.models import Loaded
from modules.engine.pace import Pace
from modules.engine.previews import Previews, frame

DRAWING, DECODING = "Drawing", "Decoding"


class Steps:
    """The `on_step` of a job; use it with `contextlib.closing`.

    `steps`: of each batch. `batches`: of the whole job, those that an earlier attempt made included.
    """

    def __init__(self, context: JobContext, loaded: Loaded, pace: Pace, steps: int, batches: int) -> None:
        self._context, self._loaded, self._pace = context, loaded, pace
        self._before_this_pass = 0
        self._place: dict[str, Any] = {"step": 0, "steps": steps, "batch": 0, "batches": batches, "doing": DRAWING}
        self._somebody_listens = context.plugins.anyone("step_done")
        self._previews = Previews(self._send_preview) if context.job.preview_every > 0 else None
        self._before: torch.cuda.Event | None = None

    def begin(self, batch: int) -> None:
        """Batch number `batch` is about to be sampled."""
        self._place = self._place | {"batch": batch}
        self.enter(0, DRAWING)
        self._pace.begin()

    def enter(self, before: int, doing: str) -> None:
        """A pass over the batch begins, after `before` steps of it."""
        self._before_this_pass = before
        self._place = self._place | {"step": before, "doing": doing}
        self._report()

    def __call__(self, step: int, x: Tensor, denoised: Tensor, /) -> None:
        """After step number `step`: raises Cancelled or Skipped when that was asked for."""
        self._keep_up(x.device)
        self._pace.step()
        self._place = self._place | {"step": min(self._before_this_pass + step + 1, self._place["steps"])}
        if self._somebody_listens:
            self._context.plugins.tell("step_done", step=step, x=x, denoised=denoised)
        if self._previews and self._previews.wanted and (step + 1) % self._context.job.preview_every == 0:
            self._previews.show(*frame(denoised, self._loaded, self._context.job.preview))
        self._report()
        self._context.status.refresh()
        self._context.check()

    def decoding(self) -> None:
        """All steps of the batch are done; the autoencoder's part begins."""
        self._place = self._place | {"doing": DECODING}
        self._report()

    def _keep_up(self, device: torch.device) -> None:
        """A GPU works behind our back: wait until it has done the step before this one, so that what we say is true."""
        if device.type != "cuda":
            return
        if self._before is not None:
            self._before.synchronize()
        self._before = torch.cuda.Event()
        self._before.record()

    def _send_preview(self, jpeg: bytes) -> None:
        self._report(preview=jpeg)

    def _report(self, **more: Any) -> None:
        self._context.report(**self._place, eta=self._pace.eta, **more)

    def close(self) -> None:
        """End the thread of the previews."""
        if self._previews:
            self._previews.close()
