"""Rows of the pictures table. Each function is one statement within the caller's transaction."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from modules.storage.records import Picture
from modules.storage.schema import PictureRow

COLUMNS = [column for column in PictureRow.__table__.columns if column.name != "number"]


def add(connection: Connection, picture: Picture) -> None:
    """A row for a picture that is about to be written."""
    connection.execute(insert(PictureRow).values(**asdict(picture)))


def mark_ready(connection: Connection, id: str) -> None:
    """Its file is whole and named."""
    connection.execute(update(PictureRow).where(PictureRow.id == id).values(state="ready"))


def remove(connection: Connection, id: str) -> None:
    """Forget a picture."""
    connection.execute(delete(PictureRow).where(PictureRow.id == id))


def find(connection: Connection, id: str) -> Picture | None:
    """The ready picture with this id."""
    statement = select(*COLUMNS).where(PictureRow.id == id, PictureRow.state == "ready")
    row = connection.execute(statement).one_or_none()
    return _picture(row) if row else None


def at(connection: Connection, job: str, index: int) -> Picture | None:
    """Picture `index` of a job, ready or not."""
    row = connection.execute(select(*COLUMNS).where(PictureRow.job == job, PictureRow.index == index)).one_or_none()
    return _picture(row) if row else None


def of_job(connection: Connection, job: str) -> tuple[Picture, ...]:
    """The ready pictures of a job, by index."""
    statement = select(*COLUMNS).where(PictureRow.job == job, PictureRow.state == "ready").order_by(PictureRow.index)
    return tuple(_picture(row) for row in connection.execute(statement))


def listed(connection: Connection, *, owner: str | None, limit: int, before: str | None) -> tuple[Picture, ...]:
    """Ready, kept pictures from the newest to the oldest; `before` is the id where the last page ended."""
    statement = select(*COLUMNS).where(PictureRow.state == "ready", PictureRow.kept)
    if owner is not None:
        statement = statement.where(PictureRow.owner == owner)
    if before is not None:
        number = select(PictureRow.number).where(PictureRow.id == before).scalar_subquery()
        statement = statement.where(PictureRow.number < number)
    rows = connection.execute(statement.order_by(PictureRow.number.desc()).limit(limit))
    return tuple(_picture(row) for row in rows)


def in_state(connection: Connection, state: str) -> tuple[Picture, ...]:
    """All pictures in a state."""
    return tuple(_picture(row) for row in connection.execute(select(*COLUMNS).where(PictureRow.state == state)))


def fleeting_before(connection: Connection, moment: float) -> tuple[Picture, ...]:
    """Pictures nobody asked to keep that are older than a moment."""
    statement = select(*COLUMNS).where(~PictureRow.kept, PictureRow.created < moment)
    return tuple(_picture(row) for row in connection.execute(statement))


def last_path_in(connection: Connection, folder: str) -> str:
    """The greatest path with a row directly in a folder, "" when there is none."""
    inside = (PictureRow.path > f"{folder}/", PictureRow.path < f"{folder}0")  # "0" is the character after "/"
    return connection.execute(select(func.max(PictureRow.path)).where(*inside)).scalar_one() or ""


def _picture(row: Row[Any]) -> Picture:
    return Picture(**row._mapping)  # pyright: ignore[reportPrivateUsage]
