"""Bring a database to the current schema: all steps in one transaction, a copy of the old one beforehand."""

import logging
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

from modules.core.errors import StorageFailed
from modules.storage.schema import VERSION

log = logging.getLogger(__name__)

SCRIPTS = Path(__file__).with_name("migrations")


def migrate(engine: Engine, path: Path, scripts: Path = SCRIPTS, newest: str = VERSION) -> None:
    """Run what is missing. Raises StorageFailed for a database of a version that is not ours.

    alembic is imported only when there is something to do: it would cost every start a tenth of a second.
    """
    with engine.connect() as connection:
        present = _version(connection)
    if present == newest:
        return
    if present:
        _refuse_unknown(present, path, scripts)
        _copy(engine, path.with_name(f"{path.name}.before-{newest}"))
    with engine.begin() as connection:
        _upgrade(connection, scripts, newest)


def _version(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or ""


def _refuse_unknown(present: str, path: Path, scripts: Path) -> None:
    if not any((scripts / "versions").glob(f"{present}_*.py")):
        raise StorageFailed(
            f"{path} was written by a newer Atelier (schema {present}, this one knows {VERSION}). "
            "Start the newer version, or choose another folder with --data-dir."
        )


def _copy(engine: Engine, target: Path) -> None:
    target.unlink(missing_ok=True)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("VACUUM INTO ?", (str(target),))  # not within a transaction, so not through SQLAlchemy


def _upgrade(connection: Connection, scripts: Path, newest: str) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells about its own parts at import
    log.info("the database is brought to schema %s", newest)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, newest)
