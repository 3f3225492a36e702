"""What a comparison found, as a table: one row for each figure, one column for each arm, mean ± deviation over seeds."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

NO_VALUE = "–"
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet's formula can begin
HEADINGS = ("measure", "label", "better", "arm", "method", "mean", "sd", "seeds")
OTHERS = (  # figures that no instrument measures
    ("seconds", "Training time (s)", "low"),
    ("megabytes", "File (MB)", "low"),
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """One finished run: its arm and seed, `evaluation.json`, and what else is known of it by name."""

    arm: str
    seed: int
    evaluation: Mapping[str, Any]
    others: Mapping[str, float]

    def values(self) -> dict[str, float]:
        """Every figure by name."""
        measured: dict[str, Any] = {one["name"]: one.get("value") for one in self.measures()}
        return {name: value for name, value in {**measured, **self.others}.items() if is_number(value)}

    def measures(self) -> list[Mapping[str, Any]]:
        """As the trainer wrote them."""
        found = self.evaluation.get("measures")
        rows: list[Any] = found if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType]
        return [one for one in rows if isinstance(one, dict) and isinstance(one.get("name"), str)]  # pyright: ignore


@dataclass(frozen=True, kw_only=True)
class Cell:
    """`value`: the mean over `n` seeds, None when there is none yet. `sd`: sample deviation, from two seeds on."""

    arm: str
    value: float | None = None
    sd: float | None = None
    seeds: tuple[tuple[int, float], ...] = ()
    best: bool = False

    @property
    def text(self) -> str:
        """As the table prints it."""
        if self.value is None:
            return NO_VALUE
        return brief(self.value) + (f" ± {brief(self.sd)}" if self.sd is not None else "")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure."""

    name: str
    label: str
    better: str
    group: str
    note: str
    floor: float | None
    ceiling: float | None
    cells: tuple[Cell, ...]


def rows_of(found: Sequence[Found], arms: Sequence[str]) -> list[Row]:
    """The table of what there is so far, in the order of the first evaluation."""
    described: dict[str, Mapping[str, Any]] = {}
    for one in found:
        for measure in one.measures():
            described.setdefault(measure["name"], measure)
    for name, label, better in OTHERS:
        if any(name in one.others for one in found):
            described[name] = {"name": name, "label": label, "better": better, "group": "cost"}
    return [_row(known, found, arms) for known in described.values()]


def _row(known: Mapping[str, Any], found: Sequence[Found], arms: Sequence[str]) -> Row:
    better = str(known.get("better", ""))
    cells = _with_best([_cell(known["name"], found, arm) for arm in arms], better)
    return Row(
        name=known["name"],
        label=str(known.get("label", known["name"])),
        better=better,
        group=str(known.get("group", "")),
        note=str(known.get("note", "")),
        floor=_mean(known["name"], "floor", found, known),
        ceiling=_mean(known["name"], "ceiling", found, known),
        cells=tuple(cells),
    )


def _cell(name: str, found: Sequence[Found], arm: str) -> Cell:
    seeds = tuple(sorted((one.seed, one.values()[name]) for one in found if one.arm == arm and name in one.values()))
    if not seeds:
        return Cell(arm=arm)
    values = [value for _, value in seeds]
    sd = stdev(values) if len(values) > 1 else None
    return Cell(arm=arm, value=mean(values), sd=sd, seeds=seeds)


def _with_best(cells: Sequence[Cell], better: str) -> list[Cell]:
    """The best arm is marked, unless its seeds overlap with another's: then nobody has won."""
    known = [one for one in cells if one.value is not None]
    if len(known) < 2 or better not in ("high", "low"):
        return list(cells)
    sign = 1 if better == "high" else -1
    first, second = sorted(known, key=lambda one: -sign * (one.value or 0.0))[:2]
    apart = min(sign * value for _, value in first.seeds) > max(sign * value for _, value in second.seeds)
    return [
        Cell(arm=one.arm, value=one.value, sd=one.sd, seeds=one.seeds, best=apart and one is first) for one in cells
    ]


def _mean(name: str, end: str, found: Sequence[Found], known: Mapping[str, Any]) -> float | None:
    """Of a measure's floor or ceiling, over all runs."""
    values = [
        float(measure[end])
        for one in found
        for measure in one.measures()
        if measure["name"] == name and is_number(measure.get(end))
    ]
    return mean(values) if values else None


# On paper ---------------------------------------------------------------------------------------------------------------


def as_csv(rows: Iterable[Row], labels: Mapping[str, str], seeds: Sequence[int]) -> str:
    """One line for each figure and arm."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    by_seed = [f"seed {seed}" for seed in seeds]
    writer.writerow([*HEADINGS, *by_seed, "floor", "ceiling", "note"])
    for row in rows:
        for cell in row.cells:
            known = dict(cell.seeds)
            numbers = [cell.value, cell.sd, len(cell.seeds) or None, *(known.get(seed) for seed in seeds)]
            ends = [row.floor, row.ceiling]
            said = [row.name, row.label, row.better, cell.arm, labels.get(cell.arm, cell.arm)]
            writer.writerow([*map(_safe, said), *map(_number, numbers), *map(_number, ends), _safe(row.note)])
    return text.getvalue()


def as_markdown(title: str, rows: Iterable[Row], labels: Mapping[str, str], notes: Sequence[str]) -> str:
    """A table with a column for each arm, then the caveats. Bold: better than every seed of every other arm."""
    arrows = {"high": " ↑", "low": " ↓"}
    columns = [*labels.values()]
    lines = [
        f"## {_cell_text(title)}",
        "",
        "| | " + " | ".join(map(_cell_text, columns)) + " | floor | ceiling |",
        "|---|" + "---|" * (len(columns) + 2),
    ]
    for row in rows:
        cells = [f"**{one.text}**" if one.best else one.text for one in row.cells]
        ends = [NO_VALUE if end is None else brief(end) for end in (row.floor, row.ceiling)]
        lines.append(f"| {_cell_text(row.label)}{arrows.get(row.better, '')} | " + " | ".join([*cells, *ends]) + " |")
    return "\n".join([*lines, "", *(f"- {' '.join(note.split())}" for note in notes if note), ""])


def brief(number: float) -> str:
    """
    >>> brief(30.14391), brief(0.8333), brief(1234.5), brief(0.00012)
    ('30.14', '0.833', '1234', '0.00012')
    """
    if number and abs(number) < 0.001:
        return f"{number:.2g}"
    return f"{number:.3f}" if abs(number) < 10 else f"{number:.2f}" if abs(number) < 1000 else f"{number:.0f}"


def is_number(value: object) -> bool:
    """Whether JSON gave a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(DANGEROUS) else text


def _cell_text(text: str) -> str:
    """Text that cannot break a table's row."""
    return " ".join(text.replace("|", "\\|").split())
