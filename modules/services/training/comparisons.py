"""Trainings side by side: a group of plans that differ in one thing, each with several seeds, and the table they make.

The runs are ordinary jobs of the queue that are measured at their end. What belongs together stands in
`outputs/training/comparisons/<group>.json`; everything else is read from the runs' folders, whenever somebody asks.
"""

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from modules.core.errors import AtelierError, InvalidRequest, NotFound, Problem
from modules.core.files import write_atomically
from modules.core.named import closest, folded
from modules.core.places import Places
from modules.core.training import TrainingPlan
from modules.core.wire import from_json, to_json
from modules.services.desk import Desk
from modules.services.queue import Queue
from modules.services.training.comparison_presets import COMPARISONS, Arm, Comparison, plan_of_arm
from modules.services.training.comparison_tables import Found, Row, is_number, rows_of
from modules.services.training.log import last
from modules.services.training.run_folder import RunFolder
from modules.storage.records import Job
from modules.training.packs import PACKS

FOLDER, EVALUATION = "comparisons", "evaluation.json"
GROUP = re.compile("[0-9a-f]{12}")
SEEDS = (1, 2, 3)
MOST_SEEDS, MOST_ARMS = 10, 12
MEGABYTE = 1_000_000
OF_METHODS = (
    "Subject2Subject's own table (CLIP score 24.12 / 30.14 / 30.17, FID 0.103 / 0.030 / 0.051, Inception score 1.50 / 1.78 / "
    "1.59 for textual inversion / full / LoRA) is of one seed and 18 pictures; its FID is between softmax "
    "probabilities, with the training pictures as reference. This table repeats the experiment, not the numbers."
)
ONE_SEED = "One seed: there is no deviation, and no difference in this table can be told from chance."


@dataclass(frozen=True, kw_only=True)
class Member:
    """One run of a comparison. `state`: waiting, the states of its status.json, done, failed, missing or cancelled."""

    run: str
    arm: str
    seed: int
    state: str
    sentence: str = ""
    fraction: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ("done", "failed", "cancelled", "interrupted", "missing", "unmeasured")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The first picture of a prompt, by arm: (run, path below its folder), of the first seed that is measured. `base`:
    what the untouched model draws; None when nothing is there yet."""

    prompt: str
    pictures: Mapping[str, tuple[str, str]]
    base: tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Group:
    """A comparison as it stands. `state`: waiting, running, done, or partly (some runs gave nothing)."""

    group: str
    comparison: str
    label: str
    note: str
    created: float
    pack: str
    plan: TrainingPlan
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    members: tuple[Member, ...]
    rows: tuple[Row, ...]
    grid: tuple[Shown, ...]
    notes: tuple[str, ...]

    @property
    def state(self) -> str:
        """How far it is, in a word."""
        if all(one.state == "waiting" for one in self.members):
            return "waiting"
        if not all(one.over for one in self.members):
            return "running"
        return "done" if all(one.state == "done" for one in self.members) else "partly"

    @property
    def labels(self) -> dict[str, str]:
        """The columns by arm."""
        return {one.arm: one.label for one in self.arms}


class Comparisons:
    """All groups. Safe from any thread. Others' groups are not found."""

    def __init__(self, desk: Desk, queue: Queue, places: Places) -> None:
        self._desk, self._queue = desk, queue
        self._root = places.training
        self._folder = places.training / FOLDER

    def begin(
        self,
        name: str,
        plan: TrainingPlan,
        owner: str = "",
        *,
        seeds: Sequence[int] = SEEDS,
        arms: Sequence[Arm] = (),
        pack: str = "",
    ) -> Group:
        """Queue every arm with every seed. `arms`, `pack`: own ones instead of the comparison's.

        Raises InvalidRequest, QueueFull, NoModel; then nothing of it stays in the queue.
        """
        comparison = comparison_of(name)
        if arms:
            label = " / ".join(one.label for one in arms)
            comparison = replace(comparison, arms=tuple(arms), label=label, note="", starter={})
        comparison = replace(comparison, pack=pack or comparison.pack)
        _check(comparison, seeds)
        plan = replace(plan, model=plan.model or self._desk.current_model().title)
        group = secrets.token_hex(6)
        pairs = [(arm, seed) for seed in seeds for arm in comparison.arms]
        runs = [{"run": f"{group}-{n:02d}", "arm": arm.arm, "seed": seed} for n, (arm, seed) in enumerate(pairs)]
        kept = _kept(group, comparison, plan, owner) | {"seeds": list(seeds), "runs": runs}
        path = self._folder / f"{group}.json"
        write_atomically(path, json.dumps(kept, ensure_ascii=False, indent=1).encode())
        try:
            for (arm, seed), run in zip(pairs, runs, strict=True):
                self._desk.submit(plan_of_arm(comparison, arm, plan, seed, group), owner=owner, id=str(run["run"]))
        except AtelierError:
            self._take_back(kept)
            path.unlink(missing_ok=True)
            raise
        return self.one(group, owner)

    def one(self, group: str, owner: str | None = None) -> Group:
        """How a comparison stands, with the table of what has been measured so far. Raises NotFound."""
        return self._group(self._read(group, owner))

    def every(self, owner: str | None = None) -> list[Group]:
        """All of an owner's, the newest first."""
        found: list[Group] = []
        for path in self._folder.glob("*.json") if self._folder.is_dir() else ():
            with suppress(NotFound):
                found.append(self.one(path.stem, owner))
        return sorted(found, key=lambda one: -one.created)

    def cancel(self, group: str, owner: str | None = None) -> Group:
        """Stop what still waits or runs; what was measured stays. Raises NotFound."""
        kept = self._read(group, owner)
        self._take_back(kept)
        return self._group(kept)

    def forget(self, group: str, owner: str | None = None) -> None:
        """Remove the table; its runs stay among the trainings. Raises NotFound."""
        self._read(group, owner)
        (self._folder / f"{group}.json").unlink(missing_ok=True)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _take_back(self, kept: dict[str, Any]) -> None:
        for run in kept["runs"]:
            with suppress(NotFound):
                self._queue.cancel(run["run"])

    def _read(self, group: str, owner: str | None) -> dict[str, Any]:
        kept: Any = None
        if GROUP.fullmatch(group):
            with suppress(OSError, ValueError):
                kept = json.loads((self._folder / f"{group}.json").read_bytes())
        if not isinstance(kept, dict) or (owner is not None and kept.get("owner") != owner):
            raise NotFound(f"there is no comparison {group[:80]!r}")
        return kept  # pyright: ignore[reportUnknownVariableType]

    def _group(self, kept: dict[str, Any]) -> Group:
        arms = tuple(Arm(**one) for one in kept["arms"])
        folders = [(run, RunFolder(self._root, run["run"])) for run in kept["runs"]]
        tables = {run["run"]: folder.table(EVALUATION) for run, folder in folders}
        members = tuple(self._member(run, folder) for run, folder in folders)
        found = [
            _found(run, folder)
            for (run, folder), member in zip(folders, members, strict=True)
            if member.state == "done"
        ]
        return Group(
            group=kept["group"],
            comparison=kept["preset"],
            label=kept["label"],
            note=str(kept.get("note", "")),
            created=kept["created"],
            pack=kept["pack"],
            plan=from_json(kept["plan"], TrainingPlan),
            seeds=tuple(kept["seeds"]),
            arms=arms,
            members=members,
            rows=tuple(rows_of(found, [one.arm for one in arms])),
            grid=_grid(
                [(one.run, one.arm, table) for one in members if one.state == "done" if (table := tables[one.run])]
            ),
            notes=_notes(kept, found),
        )

    def _member(self, run: dict[str, Any], folder: RunFolder) -> Member:
        known = {"run": run["run"], "arm": run["arm"], "seed": run["seed"]}
        if folder.table(EVALUATION).get("measures"):
            return Member(**known, state="done", fraction=1.0)
        status = folder.table("status.json")
        try:
            job = self._queue.job(run["run"])
        except NotFound:
            return Member(**known, state="missing", sentence="It was not queued, or its job was removed.")
        state, sentence = _state(job, status)
        return Member(**known, state=state, sentence=sentence, fraction=_fraction(status, state))


def comparison_of(name: str) -> Comparison:
    """The comparison with this name. Raises InvalidRequest."""
    found = next((one for one in COMPARISONS if folded(one.name) == folded(name)), None)
    if found is None:
        names = [one.name for one in COMPARISONS]
        meant = closest(name, names)
        hint = f"; did you mean {meant!r}?" if meant else f"; there are {', '.join(names)}."
        raise InvalidRequest(Problem(field="preset", message=f"No comparison is called {name[:80]!r}{hint}"))
    return found


def _check(comparison: Comparison, seeds: Sequence[int]) -> None:
    if not 1 <= len(seeds) <= MOST_SEEDS or len(set(seeds)) != len(seeds) or not all(0 <= one < 2**32 for one in seeds):
        message = f"Give 1 to {MOST_SEEDS} seeds, each of its own and not below 0."
        raise InvalidRequest(Problem(field="seeds", message=message))
    if comparison.pack not in PACKS:
        message = f"No prompts are called {comparison.pack[:80]!r}; there are {', '.join(PACKS)}."
        raise InvalidRequest(Problem(field="pack", message=message))
    names = [one.arm for one in comparison.arms]
    if not 2 <= len(names) <= MOST_ARMS or len(set(names)) != len(names):
        message = f"A comparison has 2 to {MOST_ARMS} arms, each with a name of its own."
        raise InvalidRequest(Problem(field="arms", message=message))


def _kept(group: str, comparison: Comparison, plan: TrainingPlan, owner: str) -> dict[str, Any]:
    arms = [
        {"arm": one.arm, "label": one.label, "preset": one.preset, "changes": one.changes} for one in comparison.arms
    ]
    return {
        "group": group,
        "preset": comparison.name,
        "label": comparison.label,
        "note": comparison.note,
        "pack": comparison.pack,
        "owner": owner,
        "created": time.time(),
        "plan": to_json(plan),
        "arms": arms,
    }


def _state(job: Job, status: dict[str, Any]) -> tuple[str, str]:
    """What to say of a run that is not measured, and why."""
    if job.state == "done":
        return "unmeasured", job.note or "It ended without being measured; measure it on its own page."
    if job.state == "failed":
        return "failed", job.sentence
    if job.state == "running":
        return str(status.get("state") or "preparing"), ""
    return job.state, job.note


def _fraction(status: dict[str, Any], state: str) -> float:
    step, steps = status.get("step"), status.get("steps")
    if state == "waiting" or not is_number(step) or not is_number(steps) or not steps:
        return 0.0
    return max(0.0, min(1.0, float(step or 0) / float(steps)))


def _found(run: dict[str, Any], folder: RunFolder) -> Found:
    others: dict[str, float] = {}
    line = last(folder.path / "log.jsonl")
    if line and is_number(line.get("seconds")):
        others["seconds"] = line["seconds"]
    files = folder.table("status.json").get("files") or []
    if files and is_number(files[0].get("bytes")):
        others["megabytes"] = files[0]["bytes"] / MEGABYTE
    return Found(arm=run["arm"], seed=run["seed"], evaluation=folder.table(EVALUATION), others=others)


def _grid(done: Sequence[tuple[str, str, Mapping[str, Any]]]) -> tuple[Shown, ...]:
    """Prompts by arms, as in Subject2Subject's figure 4; prompts are matched by their captions, which all arms share."""
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    bases: dict[str, tuple[str, str]] = {}
    for run, arm, evaluation in done:
        for one in evaluation.get("prompts", ()):
            caption, pictures, base = one.get("caption", ""), one.get("pictures"), one.get("base")
            if pictures:
                rows.setdefault(caption, {}).setdefault(arm, (run, pictures[0]))
            if base:
                bases.setdefault(caption, (run, base[0]))
    return tuple(Shown(prompt=one, pictures=pictures, base=bases.get(one)) for one, pictures in rows.items())


def _notes(kept: dict[str, Any], found: Sequence[Found]) -> tuple[str, ...]:
    """Every caveat once."""
    methods = [OF_METHODS] if kept["preset"] == "subject2subject" else []
    alone = [ONE_SEED] if len(kept["seeds"]) < 2 else []
    said = [note for one in found for note in one.evaluation.get("caveats", ()) if isinstance(note, str)]
    return tuple(dict.fromkeys(note for note in (*methods, *alone, *said) if note))
