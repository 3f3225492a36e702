"""A training as it goes on, for server-sent events: new numbers, new previews, and the whole view when it changes."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from modules.core.errors import NotFound
from modules.services.studio import Studio
from modules.services.training.log import Follower
from modules.services.training.runs import Run
from modules.web.http.streams import HEARTBEAT, News
from modules.web.http.training_views import preview_view, run_view

LOOK_SECONDS = 0.5
TIRING = ("numbers", "preview_number", "preview", "eta", "status", "previews")  # they change at each look


async def training_news(studio: Studio, run: str, owner: str, after: int) -> AsyncGenerator[News, None]:
    """Until the training is over; then the last view as `end`. Looks at the run's files twice a second."""
    watch = _Watcher(studio, run, owner, after)
    quiet = time.monotonic()
    while True:
        try:
            news, over = await asyncio.to_thread(watch.look)
        except NotFound:  # somebody has deleted it
            return
        for one in news:
            yield one
        if over:
            return
        if news:
            quiet = time.monotonic()
        elif time.monotonic() - quiet > HEARTBEAT:
            quiet = time.monotonic()
            yield None
        await asyncio.sleep(LOOK_SECONDS)


class _Watcher:
    """What one reader has been told already."""

    def __init__(self, studio: Studio, run: str, owner: str, after: int) -> None:
        self._studio, self._run, self._owner = studio, run, owner
        self._log = Follower(studio.trainings.one(run, owner).folder.log, after)
        self._told: dict[str, Any] = {}
        self._shown: dict[int, int] | None = None  # previews by step: how many pictures

    def look(self) -> tuple[list[News], bool]:
        """The news since the last look, and whether they are the last."""
        run = self._studio.trainings.one(self._run, self._owner)  # before the files: at the end they are complete
        view = run_view(self._studio, run)
        news: list[News] = [*self._status(view), *self._previews(run), *self._numbers()]
        if run.over:
            news.append(("end", view))
        return news, run.over

    def _numbers(self) -> list[News]:
        after, lines = self._log.read()
        return [("numbers", {"after": after, "numbers": lines}, lines[-1]["step"])] if lines else []

    def _previews(self, run: Run) -> list[News]:
        found = run.folder.previews()
        new = [one for one in found if self._shown is not None and self._shown.get(one.step) != len(one.files)]
        self._shown = {one.step: len(one.files) for one in found}
        return [("preview", preview_view(run.id, one)) for one in new]

    def _status(self, view: dict[str, Any]) -> list[News]:
        """Not at each step: the numbers tell those."""
        steady = {name: value for name, value in view.items() if name not in (*TIRING, "step", "fraction")}
        if steady == self._told:
            return []
        self._told = steady
        return [("status", view)]
