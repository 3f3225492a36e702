"""The studio as a whole: opened twice, opened on a damaged folder, closed."""

import sqlite3

import psutil
import pytest
from services.small_things import TINY_ENGINE, eventually, web_plugins

from modules.core.errors import DataDirectoryInUse, StorageFailed
from modules.core.requests import ImageRequest
from modules.services.build import open_studio


def test_two_servers_on_one_folder(open_tiny, flags, places):
    """Row 49: refused before anything is touched; the first goes on."""
    studio = open_tiny()
    with (
        pytest.raises(DataDirectoryInUse, match="another server"),
        open_studio(flags, places, web_plugins(), engine_command=TINY_ENGINE),
    ):
        pass
    job = studio.desk.submit(ImageRequest(sampler="Euler"))
    assert studio.watch.wait(job.id, 30).state == "done"


def test_a_damaged_database_is_said(open_tiny, places):
    places.outputs.mkdir()
    places.database.write_bytes(b"no database" * 1000)
    studio = open_tiny()
    assert "kept as atelier.sqlite3.corrupt-" in studio.notices[0]
    assert studio.watch.wait(studio.desk.submit(ImageRequest(sampler="Euler")).id, 30).state == "done"


def test_a_start_that_fails_leaves_nothing_behind(flags, places, open_tiny):
    places.outputs.mkdir()
    with sqlite3.connect(places.database) as newer:
        newer.execute("CREATE TABLE alembic_version (version_num TEXT)")
        newer.execute("INSERT INTO alembic_version VALUES ('9999')")
    newer.close()
    children = len(psutil.Process().children())
    with pytest.raises(StorageFailed, match="newer Atelier"), open_studio(flags, places, web_plugins()):
        pass
    assert len(psutil.Process().children()) == children
    places.database.unlink()
    open_tiny()


def test_the_clones_own_files_are_not_touched(open_tiny, places):
    """Everything that is written lies below the data directory."""
    studio = open_tiny()
    studio.watch.wait(studio.desk.submit(ImageRequest(sampler="Euler")).id, 30)
    studio.settings.set({"samples_save": False})
    eventually(lambda: studio.library.find("tiny").sha256)
    found = {path.relative_to(places.data).parts[0] for path in places.data.rglob("*")}
    assert found == {"outputs", "cache", "models", "config.json"}


def test_an_engine_that_cannot_be_started(flags, places):
    """The server is up, says what is wrong, and goes on trying."""
    with open_studio(flags, places, web_plugins(), engine_command=("/no/such/program",)) as studio:
        eventually(lambda: studio.engines.states()[0].state == "failed")
        assert "could not be started" in studio.engines.states()[0].doing


def test_an_engine_that_talks_nonsense(flags, places):
    """What is no message ends the engine, not the server."""
    with open_studio(flags, places, web_plugins(), engine_command=("/bin/echo", "hello there, web process")) as studio:
        eventually(lambda: studio.engines.states()[0].state == "failed")
        assert studio.queue.jobs() == ()
