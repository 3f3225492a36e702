"""Migrations: what they make is what the schema says; all in one transaction, with a copy of the old file."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import DatabaseError

from modules.storage.backends.sqlite import _engine as engine_for
from modules.storage.migration import SCRIPTS, migrate
from modules.storage.schema import VERSION, Base

STEP = '''"""A step."""
from alembic import op

revision = "{revision}"
down_revision = {before!r}


def upgrade():
    {body}
'''


@pytest.fixture
def engine(tmp_path):
    made = engine_for(f"sqlite:///{tmp_path / 'a.sqlite3'}")
    yield made
    made.dispose()


@pytest.fixture
def scripts(tmp_path) -> Path:
    """Two migrations of a house that does not exist."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text((SCRIPTS / "env.py").read_text())
    return folder


def add_step(scripts: Path, revision: str, before: str | None, body: str) -> None:
    (scripts / "versions" / f"{revision}_step.py").write_text(STEP.format(revision=revision, before=before, body=body))


def test_the_newest_migration_is_the_schemas_version():
    assert ScriptDirectory(str(SCRIPTS)).get_current_head() == VERSION


def test_migrations_make_what_the_schema_says(engine, tmp_path):
    migrate(engine, tmp_path / "a.sqlite3")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_numbers_are_never_given_twice(engine, tmp_path):
    migrate(engine, tmp_path / "a.sqlite3")
    with engine.connect() as connection:
        made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'jobs'").scalar()
    assert "AUTOINCREMENT" in made


def test_an_older_database_is_copied_then_brought_up(engine, scripts, tmp_path):
    path = tmp_path / "a.sqlite3"
    add_step(
        scripts, "0001", None, 'op.execute("CREATE TABLE things (a)"); op.execute("INSERT INTO things VALUES (1)")'
    )
    migrate(engine, path, scripts, "0001")
    add_step(scripts, "0002", "0001", 'op.execute("ALTER TABLE things ADD COLUMN b")')
    migrate(engine, path, scripts, "0002")
    assert [column["name"] for column in inspect(engine).get_columns("things")] == ["a", "b"]
    copy = sqlite3.connect(tmp_path / "a.sqlite3.before-0002")
    assert copy.execute("SELECT * FROM things").fetchall() == [(1,)]
    copy.close()


def test_a_migration_that_fails_half_way_changes_nothing(engine, scripts, tmp_path):
    """Row 48: either old or new. The first statements of the step, and of the step before it, are taken back."""
    path = tmp_path / "a.sqlite3"
    add_step(scripts, "0001", None, 'op.execute("CREATE TABLE things (a)")')
    migrate(engine, path, scripts, "0001")
    add_step(scripts, "0002", "0001", 'op.execute("CREATE TABLE more (a)")')
    add_step(scripts, "0003", "0002", 'op.execute("CREATE TABLE most (a)"); op.execute("NO SQL")')
    with pytest.raises(DatabaseError):
        migrate(engine, path, scripts, "0003")
    with create_engine(f"sqlite:///{path}").connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version", "things"}
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "0001"


def test_running_it_again_does_nothing(engine, tmp_path):
    migrate(engine, tmp_path / "a.sqlite3")
    migrate(engine, tmp_path / "a.sqlite3")
    assert list(tmp_path.glob("*.before-*")) == []
