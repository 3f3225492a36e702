"""A job's context as the worker makes it, in the test's own process: real plugins, real messages, read back."""

import io
import threading
from typing import Any

import torch

from modules.core import events
from modules.core.plugins import Plugins
from modules.core.wire import read_message
from modules.engine.connection import Connection
from modules.engine.job import JobContext, Wishes
from modules.engine.models import Models
from modules.engine.status import Status
from modules.engine_main import PLUGIN_PACKAGES
from modules.families.built import BuildOptions


class Listening(Connection):
    """Keeps what is sent; `on_message` may act on it."""

    def __init__(self) -> None:
        self.written = io.BytesIO()
        super().__init__(self.written)
        self.on_message = lambda message: None

    def send(self, message: Any) -> None:
        super().send(message)
        self.on_message(message)

    def heard(self) -> list[Any]:
        self.written.seek(0)
        found = []
        while True:
            try:
                found.append(read_message(self.written))
            except EOFError:
                return found


def context_of(job: events.RunJob, models: Models | None = None) -> tuple[JobContext, Listening]:
    plugins = Plugins("engine")
    for package in PLUGIN_PACKAGES:
        plugins.add_package(package)
    connection = Listening()
    context = JobContext(
        job=job,
        models=models
        or Models(plugins.collect("register_families"), BuildOptions(device=torch.device("cpu")), limit=2),
        plugins=plugins,
        connection=connection,
        status=Status(connection, torch.device("cpu")),
        wishes=Wishes(),
        ending=threading.Event(),
    )
    return context, connection
