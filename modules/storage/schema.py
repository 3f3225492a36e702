"""The tables. `VERSION` is the newest migration; a test holds the two together."""

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

VERSION = "0002"


class Base(DeclarativeBase):
    """What all tables share."""


class JobRow(Base):
    """A job; `request` is JSON as `core.wire` writes it."""

    __tablename__ = "jobs"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    request: Mapped[str]
    owner: Mapped[str]
    label: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int]
    created: Mapped[float]
    started: Mapped[float | None]
    ended: Mapped[float | None]
    sentence: Mapped[str]
    detail: Mapped[str]
    note: Mapped[str]
    images: Mapped[int]
    stop: Mapped[str]
    engine: Mapped[str]
    result: Mapped[str]

    # AUTOINCREMENT: a number is never given twice, so that the order of acceptance survives deleted rows.
    __table_args__ = (Index("jobs_by_state", "state", "owner", "number"), {"sqlite_autoincrement": True})


class PictureRow(Base):
    """A picture; one per job and index, whatever happens."""

    __tablename__ = "pictures"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    job: Mapped[str]
    index: Mapped[int]
    path: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    infotext: Mapped[str]
    seed: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    created: Mapped[float]
    owner: Mapped[str]
    kept: Mapped[bool]
    bytes: Mapped[int]

    __table_args__ = (
        UniqueConstraint("job", "index", name="one_picture_per_index"),
        Index("pictures_by_owner", "owner", "number"),
        {"sqlite_autoincrement": True},
    )
