"""A database file of its own for each test."""

from pathlib import Path

import pytest

from modules.storage.backends.sqlite import connect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "atelier.sqlite3"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def store(url: str):
    opened = connect(url)
    yield opened
    opened.close()
