"""An open database: one writer at a time, readers beside it."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from modules.core.errors import StorageFailed


class Store:
    """Transactions on one database. Safe from any thread; a block is one transaction, all or nothing.

    `notice` says what had to be done to open it (a corrupt file set aside), "" when nothing.
    """

    def __init__(self, engine: Engine, notice: str = "") -> None:
        self.notice = notice
        self._engine = engine
        self._one_writer = threading.RLock()

    @contextmanager
    def write(self, *, durable: bool = True) -> Generator[Connection, None, None]:
        """A transaction that changes something.

        `durable`: it has reached the disk when the block is left, so that it may be acknowledged; otherwise it survives
        a killed process, not a power cut. Raises StorageFailed when the database does not take it.
        """
        with self._one_writer, self._transaction(writes=True, durable=durable) as connection:
            yield connection

    @contextmanager
    def read(self) -> Generator[Connection, None, None]:
        """A transaction that sees one moment of the database. Raises StorageFailed when it cannot be read."""
        with self._transaction(writes=False, durable=False) as connection:
            yield connection

    def close(self) -> None:
        """Give the file back."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writes: bool, durable: bool) -> Generator[Connection, None, None]:
        try:
            with (
                self._engine.connect().execution_options(writes=writes, durable=durable) as connection,
                connection.begin(),
            ):
                yield connection
        except DBAPIError as error:
            raise StorageFailed(f"the database did not take it: {error.orig}; see whether the disk is full.") from error
