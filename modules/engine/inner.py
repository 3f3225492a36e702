"""Pictures for whoever works in this process: drawn as txt2img draws them, with a model that is being changed.

A training looks at what it has learned by the very code that will draw with its result, so "good in the preview" and
"good in txt2img" are the same thing.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from modules.core.events import ImageReady, Progress
from modules.core.requests import FileRecord, ImageRequest
from modules.engine import generate
from modules.engine.connection import Connection
from modules.engine.job import JobContext, Wishes
from modules.engine.models import Loaded

OnProgress = Callable[[float], None]


def drawn(
    request: ImageRequest,
    context: JobContext,
    loaded: Loaded,
    *,
    files: Sequence[FileRecord] = (),
    notes: list[str] | None = None,
    on_progress: OnProgress | None = None,
) -> list[ImageReady]:
    """The pictures of a request, drawn by this model object as it is now; nothing of its texts is remembered.

    files: networks and embeddings that the prompts may name; autoencoders are the job's.  notes: where remarks go.
    on_progress: told which part is done, 0 to 1.  Raises Cancelled and Ending as the job does, and as `generate.run`.
    """
    caught = _Caught(on_progress or (lambda _: None))
    lent = replace(loaded, texts=type(loaded.texts)(), fitted_colours=None)
    vaes = tuple(one for one in context.job.files if one.kind == "vae")
    job = replace(
        context.job, request=request, models=(loaded.record,), files=(*vaes, *files), have=(), preview_every=0
    )
    inner = replace(
        context,
        job=job,
        models=context.models.lending(lent),
        connection=caught,
        wishes=Wishes(cancel=context.wishes.cancel, skip=threading.Event()),  # a skipped batch is a matter of txt2img
        notes=[] if notes is None else notes,
        left_out=set(),
        result=[],
    )
    with _at_rest(loaded):
        generate.run(request, inner)
    return sorted(caught.pictures, key=lambda one: one.index)


class _Caught(Connection):
    """Keeps pictures instead of sending them."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.pictures: list[ImageReady] = []
        self._on_progress = on_progress

    def send(self, message: Any) -> None:
        """Take one message of the drawing job."""
        if isinstance(message, ImageReady):
            self.pictures.append(message)
        elif isinstance(message, Progress):
            self._on_progress(message.fraction)


@contextmanager
def _at_rest(loaded: Loaded) -> Generator[None, None, None]:
    """Inside, the networks draw and do not learn: evaluation mode, no autocast of the training's."""
    networks: list[nn.Module] = list(loaded.built.networks.values())
    learning = [part for network in networks for part in network.modules() if part.training]
    for network in networks:
        network.eval()
    try:
        with torch.autocast(loaded.built.device.type, enabled=False):
            yield
    finally:
        for part in learning:
            part.training = True
