"""What a job gives that makes no pictures."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; jobs of before have no result."""
    op.add_column("jobs", sa.Column("result", sa.String, nullable=False, server_default=""))
