"""Rows of the jobs table. Each function is one statement within the caller's transaction."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from modules.core.requests import ImageRequest
from modules.core.wire import BadMessage, from_json, to_json
from modules.storage.records import Job
from modules.storage.schema import JobRow

UNREADABLE = "unreadable"  # kind of a job whose row is damaged: the others must still be listed


def add(connection: Connection, **values: Any) -> Job:
    """A new waiting job, at the end of the line. Its id must be free."""
    known: dict[str, Any] = {
        "state": "waiting",
        "attempts": 0,
        "sentence": "",
        "detail": "",
        "note": "",
        "result": "",
        "stop": "",
        "engine": "",
    }
    known |= values | {"request": json.dumps(to_json(values["request"]))}
    return _job(connection.execute(insert(JobRow).values(**known).returning(JobRow.__table__)).one())


def change(connection: Connection, id: str, *, was: Sequence[str], **values: Any) -> Job | None:
    """Change a job that is in one of the states `was`; None when it is not."""
    statement = update(JobRow).where(JobRow.id == id, JobRow.state.in_(was)).values(**values)
    row = connection.execute(statement.returning(JobRow.__table__)).one_or_none()
    return _job(row) if row else None


def find(connection: Connection, id: str) -> Job | None:
    """The job with this id."""
    row = connection.execute(select(JobRow.__table__).where(JobRow.id == id)).one_or_none()
    return _job(row) if row else None


def listed(
    connection: Connection,
    *,
    states: Sequence[str],
    owner: str | None,
    limit: int,
    before: int | None,
    kinds: Sequence[str] = (),
) -> tuple[Job, ...]:
    """Jobs from the newest to the oldest; `before` is the number where the last page ended; `kinds`: only these."""
    statement = select(JobRow.__table__).order_by(JobRow.number.desc()).limit(limit)
    if states:
        statement = statement.where(JobRow.state.in_(states))
    if owner is not None:
        statement = statement.where(JobRow.owner == owner)
    if before is not None:
        statement = statement.where(JobRow.number < before)
    if kinds:
        statement = statement.where(JobRow.kind.in_(kinds))
    return tuple(_job(row) for row in connection.execute(statement))


def in_state(connection: Connection, state: str) -> tuple[Job, ...]:
    """All jobs in a state, first accepted first."""
    statement = select(JobRow.__table__).where(JobRow.state == state).order_by(JobRow.number)
    return tuple(_job(row) for row in connection.execute(statement))


def waiting_by_owner(
    connection: Connection, below: int | None = None, *, kinds: Sequence[str] = (), others: Sequence[str] = ()
) -> dict[str, tuple[int, int]]:
    """Who waits: owner -> (how many, number of the first). `below`: only jobs accepted before this number.

    `kinds`: only jobs of these kinds. `others`: only jobs of other kinds.
    """
    statement = select(JobRow.owner, func.count(), func.min(JobRow.number)).where(JobRow.state == "waiting")
    if kinds:
        statement = statement.where(JobRow.kind.in_(kinds))
    if others:
        statement = statement.where(JobRow.kind.not_in(others))
    if below is not None:
        statement = statement.where(JobRow.number < below)
    return {owner: (count, first) for owner, count, first in connection.execute(statement.group_by(JobRow.owner))}


def id_of(connection: Connection, number: int) -> str:
    """The id of the job with this number."""
    return connection.execute(select(JobRow.id).where(JobRow.number == number)).scalar_one()


def _job(row: Row[Any]) -> Job:
    values: dict[str, Any] = dict(row._mapping)  # pyright: ignore[reportPrivateUsage]
    try:
        request = from_json(json.loads(values["request"]))
    except (ValueError, TypeError, AttributeError, BadMessage, RecursionError):
        values |= {"request": ImageRequest(), "kind": UNREADABLE}
    else:
        values["request"] = request
    return Job(**values)
