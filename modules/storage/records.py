"""What is remembered, as the rest of the house sees it: frozen, without a database behind it."""

from dataclasses import dataclass
from typing import Literal

from modules.core.requests import Request

State = Literal["waiting", "running", "done", "interrupted", "failed", "cancelled"]
OVER: tuple[State, ...] = ("done", "interrupted", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One accepted request and what became of it.

    `number` is the order of acceptance. `images`: pictures asked for. `attempts`: how often an engine has begun it.
    `stop`: "" or the state its owner asked for ("interrupted", "cancelled") while it runs. Times are Unix seconds.
    `sentence` says why it failed, `detail` folds out below it, `note` is a remark ("the engine ended; trying again").
    `result`: what a job gives that makes no pictures.
    """

    id: str
    number: int
    kind: str
    request: Request
    owner: str
    label: str
    state: State
    attempts: int
    created: float
    started: float | None
    ended: float | None
    sentence: str
    detail: str
    note: str
    images: int
    stop: str = ""
    engine: str = ""
    result: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in OVER


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Picture `index` (0-based) of a job. `path` is below the outputs folder, with `/`.

    `state`: "writing" until the file is whole and named, then "ready"; only ready ones are ever shown.
    `kept` is False for pictures that an API client fetches within a day and nobody asked to keep. `bytes`: file size.
    """

    id: str
    job: str
    index: int
    path: str
    state: str
    infotext: str
    seed: int
    width: int
    height: int
    created: float
    owner: str
    kept: bool
    bytes: int
