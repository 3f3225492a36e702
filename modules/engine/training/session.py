"""What happens between a training's steps: numbers, previews, snapshots, checkpoints, and what its owner wishes."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from modules.core.errors import Cancelled
from modules.core.events import ImageReady
from modules.core.requests import ImageRequest
from modules.core.training import TrainingNumbers, TrainingPlan
from modules.engine.job import Ending
from modules.engine.training.folder import SNAPSHOTS, Log
from modules.engine.training.movement import Movement
from modules.engine.training.opening import TRAINING, Opened
from modules.engine.training.previews import jpeg_of, keep
from modules.engine.training.results import Shelves, Written, free_name, link, prune
from modules.training import state
from modules.training.learner import Learner
from modules.training.loop import Position

SAVES = 5  # snapshots of a training when nobody said how often
SMOOTHED = 0.9  # of the former pace stays in the present one


class Session:
    """The loop's `on_step`; use it with `contextlib.closing`. Answers True when that is enough."""

    def __init__(self, opened: Opened, learner: Learner, position: Position, movement: Movement) -> None:
        self._opened, self._learner, self._movement = opened, learner, movement
        self._run, self._plan = opened.run, opened.run.plan
        self._log = Log(self._run.folder, position.step)
        self._every = saves(self._plan)
        self._tells = self._run.context.plugins.anyone("training_step")
        self._seconds, self._pace, self._preview_seconds = position.seconds, 0.0, 0.0
        self.pictures: list[ImageReady] = []
        self._drawn_at = -1
        self.ended_early = False
        self._shelves = Shelves(
            plan=self._plan,
            context=self._run.context,
            loaded=opened.loaded,
            learner=learner,
            name=opened.name,
            facts=opened.facts,
        )

    def __call__(self, numbers: TrainingNumbers, position: Position) -> bool:
        """After each step. Raises Cancelled and Ending, with a checkpoint written."""
        self._log.add(numbers)
        if self._tells:
            self._run.context.plugins.tell("training_step", numbers=numbers)
        self._keep_pace(numbers)
        self._report(numbers.step)
        if numbers.step == 1:
            self._run.status.say(moved=self._movement.norms())
        try:
            return self._serve(numbers.step, position)
        except (Cancelled, Ending):
            self._checkpoint(position)
            raise

    def _serve(self, step: int, position: Position) -> bool:
        context = self._run.context
        wishes = context.wishes.steered()
        context.check()
        last = step >= self._plan.max_train_steps
        if last:
            self._checkpoint(position)
        elif step % self._every == 0 or "save" in wishes:
            self._save(position)
        if "finish" in wishes and not last:
            self.ended_early = True
            return True
        if self._opened.previews.due(step) or "sample" in wishes:
            self.preview(position)
        return False

    def catch_up(self, position: Position) -> None:
        """Draw the previews that an earlier attempt was interrupted at."""
        there = self._run.folder.previews(position.step) / f"{len(self._plan.preview_prompts) - 1}.png"
        on_the_way = 0 < position.step < self._plan.max_train_steps
        if on_the_way and self._opened.previews.due(position.step) and not there.exists():
            self.preview(position)

    def preview(self, position: Position) -> list[ImageReady]:
        """Draw the previews as things stand, and keep them."""
        began = time.monotonic()
        with self._saying("Drawing previews", position), position.ema_weights():
            found = self._opened.previews.learned(self._opened.loaded, self._learner.vectors, self._quietly)
        keep(self._run.folder.previews(position.step), found)
        self._preview_seconds = time.monotonic() - began
        self.pictures, self._drawn_at = found, position.step
        self._report(position.step, preview=jpeg_of(found))
        return found

    @property
    def request(self) -> ImageRequest:
        """What the results are known by: the first preview, or a picture of the subject."""
        previews = self._opened.previews
        return previews.request(previews.prompt(0))

    def proof(self, position: Position) -> ImageReady:
        """That picture, as the model in memory draws it now."""
        if self.pictures and self._drawn_at == position.step:
            return self.pictures[0]
        if self._plan.preview_prompts:
            return self.preview(position)[0]
        with position.ema_weights():
            return self._opened.previews.subject(self._opened.loaded, self._learner.vectors)

    def publish(self, position: Position) -> list[Written]:
        """Put the results on the shelves, in every format, and beside the snapshots. Raises StorageFailed."""
        run = self._run

        def claim(path: Path) -> Path:
            """The path, or a free one beside it where somebody else's file has come to lie meanwhile."""
            claimed: list[str] = run.status["claimed"] or []
            if path.exists() and str(path) not in claimed:
                stem, ending = (path.name, "") if path.is_dir() else (path.stem, path.suffix)
                path = path.with_name(free_name(stem, path.parent) + ending)
            run.status.say(claimed=list(dict.fromkeys([*claimed, str(path)])))
            return path

        with position.ema_weights():
            written = self._shelves.publish(run.formats, position.step, claim)
        link(written[:1], run.folder.snapshot(position.step))
        return written

    def close(self) -> None:
        """The steps are over."""
        self._log.close()

    # -- keeping ---------------------------------------------------------------------------------------------------

    def _save(self, position: Position) -> None:
        """A snapshot and a checkpoint of the same moment."""
        run = self._run
        with self._saying("Saving", position):
            with position.ema_weights():
                self._shelves.keep(run.formats[0], run.folder.snapshot(position.step), position.step)
            self._checkpoint(position)
            prune(run.folder.path / SNAPSHOTS, run.folder.steps_of(SNAPSHOTS), self._plan.keep_last)

    def _checkpoint(self, position: Position) -> None:
        self._log.sync()
        state.save(self._run.folder.checkpoint, position, self._learner, self._plan)

    # -- saying ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _saying(self, doing: str, position: Position) -> Generator[None, None, None]:
        self._run.status.say(doing=doing)
        self._report(position.step, doing=doing)
        try:
            yield
        finally:
            self._run.status.say(doing=TRAINING)

    def _quietly(self, part: float) -> None:
        self._run.status.note(part=round(part, 3))

    def _keep_pace(self, numbers: TrainingNumbers) -> None:
        took, self._seconds = numbers.seconds - self._seconds, numbers.seconds
        self._pace = SMOOTHED * self._pace + (1 - SMOOTHED) * took if self._pace else took

    def _report(self, step: int, doing: str = "", preview: bytes | None = None) -> None:
        steps = self._plan.max_train_steps
        eta = (steps - step) * self._pace + self._opened.previews.left(step) * self._preview_seconds
        context = self._run.context
        context.report(step=step, steps=steps, eta=eta, doing=doing or TRAINING, preview=preview)
        context.status.refresh()
        self._run.status.note(state="training", step=step, steps=steps, eta=round(eta, 1))


def saves(plan: TrainingPlan) -> int:
    """After how many steps a snapshot is made, and again."""
    return plan.save_every or max(1, round(plan.max_train_steps / SAVES))
