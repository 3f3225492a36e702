"""A TrainingPlan becomes weights: in execution order."""

from contextlib import closing
from dataclasses import dataclass

from modules.core.errors import AtelierError
from modules.core.requests import ImageRequest
from modules.core.training import EvaluationRequest, TrainingPlan
from modules.engine.job import JobContext
from modules.engine.memory import give_back, is_out_of_memory, name_of
from modules.engine.training import measure, results
from modules.engine.training.companions import batches_of, companions
from modules.engine.training.endings import told
from modules.engine.training.movement import Movement
from modules.engine.training.opening import TRAINING, Opened, Run, opened, run_of
from modules.engine.training.proof import proofs
from modules.engine.training.results import Written
from modules.engine.training.session import Session
from modules.training import state
from modules.training.dataset import Data
from modules.training.learner import Learner
from modules.training.loop import Position, begin, train
from modules.training.packs import pictures_of


def run(plan: TrainingPlan, context: JobContext) -> None:
    """Teach, save, check what was saved. Goes on by itself where the run's folder holds a checkpoint.

    Interrupted, it pauses: a checkpoint is written. Raises Cancelled then, InvalidRequest, NotFinite, OutOfMemory,
    StorageFailed, NothingLearned, and what reading pictures and models raises; the run's `status.json` says so too.
    """
    run = run_of(plan, context)
    with told(run):
        device = name_of(context.models.device)
        run.status.say(state="preparing", step=0, steps=run.plan.max_train_steps, sentence="", device=device)
        run.folder.keep_plan(run.plan)
        if run.plan.dry:
            measure.run(run)
            return
        learned = _learned(run)
        give_back(context.models.device)
        _check(run, learned)
        _evaluate(run)
        run.status.say(state="stopped" if learned.ended_early else "done", doing="", part=1)
        context.status.say(model="")
        context.result.extend(one.path.name for one in learned.written)


@dataclass(frozen=True, kw_only=True)
class _Learned:
    """The files, and a picture by which they are known: what `request` draws with what was learned."""

    written: list[Written]
    request: ImageRequest
    png: bytes
    ended_early: bool


def _learned(run: Run) -> _Learned:
    """Everything that needs the model in memory; it is let go with the end of this function."""
    ready = opened(run)
    with run.method.prepare(ready.loaded.built, run.plan) as learner:
        movement = Movement(learner)
        position = begin(learner, run.plan, ready.loaded.built.device)
        state.load(run.folder.checkpoint, position, learner, run.plan)
        measure.check_disk(ready, learner)
        with closing(Session(ready, learner, position, movement)) as session:
            batches = _batches(ready, learner)
            session.catch_up(position)
            with companions(ready):
                train(ready.loaded.built, learner, run.plan, batches, position, session)
            run.status.say(state="saving", doing="Saving", step=position.step, moved=movement.check())
            return _saved(ready, session, position)


def _batches(ready: Opened, learner: Learner) -> Data:
    """What the loop learns from, with everything encoded that can be encoded beforehand."""
    run = ready.run
    found = batches_of(ready.loaded, learner, run.plan, ready.instance, ready.prior)
    found.prepare(lambda done, all_: run.doing(f"Reading pictures, {done} of {all_}", done, all_))
    run.status.say(state="training", doing=TRAINING)
    return found


def _saved(ready: Opened, session: Session, position: Position) -> _Learned:
    """The files on their shelves, with their notes and the subject's last preview."""
    run = ready.run
    written = session.publish(position)
    proof = session.proof(position)
    for one in written:
        results.describe(one.path, run.plan, proof.png)
    run.status.say(files=[one.facts() for one in written])
    return _Learned(written=written, request=session.request, png=proof.png, ended_early=session.ended_early)


def _check(run: Run, learned: _Learned) -> None:
    """Load the files back and compare. A difference is told, not hidden; the files stay."""
    found = proofs(run, learned.written, learned.request, learned.png)
    run.status.say(
        verified=[one.facts() for one in found],
        matched={one.file: dict(one.matched) for one in found if one.matched},
    )
    for one in found:
        if not one.same:
            run.context.notes.append(
                f"{one.file} draws the preview differently than the model in memory did, by {one.difference:.1f} of 255; "
                "save it in fp32 if that shows."
            )


def _evaluate(run: Run) -> None:
    if not run.plan.evaluate:
        return
    from modules.engine import evaluate

    run.status.say(state="evaluating", doing="Measuring the result")
    pack = run.plan.evaluate
    request = EvaluationRequest(run=run.folder.run, pack=pack, pictures=pictures_of(pack), model=run.plan.model)
    try:
        evaluate.run(request, run.context)
    except (AtelierError, RuntimeError, MemoryError) as error:
        if not (isinstance(error, AtelierError) or is_out_of_memory(error)):
            raise
        run.context.notes.append(f"The result is saved, but was not measured: {error}")
