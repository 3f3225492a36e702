"""Jobs and pictures."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "jobs",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("kind", "request", "owner", "label", "state")),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("started", sa.Double),
        sa.Column("ended", sa.Double),
        *(sa.Column(name, sa.String, nullable=False) for name in ("sentence", "detail", "note")),
        sa.Column("images", sa.Integer, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("stop", "engine")),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_state", "jobs", ["state", "owner", "number"])
    op.create_table(
        "pictures",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("job", sa.String, nullable=False),
        sa.Column("index", sa.Integer, nullable=False),
        sa.Column("path", sa.String, nullable=False, unique=True),
        *(sa.Column(name, sa.String, nullable=False) for name in ("state", "infotext")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("seed", "width", "height")),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("kept", sa.Boolean, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.UniqueConstraint("job", "index", name="one_picture_per_index"),
        sqlite_autoincrement=True,
    )
    op.create_index("pictures_by_owner", "pictures", ["owner", "number"])
