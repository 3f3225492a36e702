"""Rows: what goes in comes out."""

import json

import pytest
from sqlalchemy import text

from modules.core.errors import StorageFailed
from modules.core.requests import ImageRequest
from modules.storage import jobs, pictures
from modules.storage.records import Picture


def add(store, id: str, **values):
    known = {"kind": "image", "request": ImageRequest(), "owner": "", "label": "", "created": 1.5, "images": 1}
    with store.write(durable=False) as connection:
        return jobs.add(connection, id=id, **known | values)


def picture(id: str, index: int = 0, **values) -> Picture:
    known = {"job": "j", "path": f"{id}.png", "state": "writing", "infotext": "", "seed": 2**63 - 1, "width": 8}
    known |= {"height": 8, "created": 1.0, "owner": "", "kept": True, "bytes": 3}
    return Picture(id=id, index=index, **known | values)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a 'quoted' \"one\"; DROP TABLE jobs",
        "naïve ぬこ 🐱‍🚀 \u202eright to left",
        "line\nbreak\ttab",
        "é" * 20_000,
    ],
)
def test_a_request_comes_back_as_it_was(store, prompt):
    request = ImageRequest(prompt=prompt, seed=2**63 - 1, cfg_scale=7, eta=None, width=640)
    assert add(store, "one", request=request).request == request
    with store.read() as connection:
        found = jobs.find(connection, "one")
    assert found is not None
    assert found.request == request
    assert isinstance(found.request.cfg_scale, float)


def test_a_row_of_an_older_version_is_still_read(store):
    """Fields that did not exist take their default, those that are gone are dropped."""
    add(store, "old")
    old = json.dumps({"is": "ImageRequest", "prompt": "x", "no_longer": 3})
    with store.write() as connection:
        connection.execute(text("UPDATE jobs SET request = :old"), {"old": old})
        assert jobs.find(connection, "old").request == ImageRequest(prompt="x")


def test_change_only_from_the_states_named(store):
    add(store, "one")
    with store.write() as connection:
        assert jobs.change(connection, "one", was=["running"], state="done") is None
        assert jobs.change(connection, "one", was=["waiting", "running"], state="done").state == "done"
        assert jobs.find(connection, "one").over


def test_pages_of_jobs(store):
    for number in range(7):
        add(store, f"job {number}", owner="ann" if number % 2 else "bob")
    with store.read() as connection:
        first = jobs.listed(connection, states=(), owner="bob", limit=2, before=None)
        second = jobs.listed(connection, states=("waiting",), owner="bob", limit=9, before=first[-1].number)
        waiting = jobs.waiting_by_owner(connection)
    assert [job.id for job in first + second] == ["job 6", "job 4", "job 2", "job 0"]
    assert waiting == {"bob": (4, 1), "ann": (3, 2)}


def test_one_picture_per_job_and_index(store):
    with store.write() as connection:
        pictures.add(connection, picture("a"))
    with pytest.raises(StorageFailed, match="UNIQUE"), store.write() as connection:
        pictures.add(connection, picture("b"))


def test_only_ready_pictures_are_found(store):
    with store.write() as connection:
        pictures.add(connection, picture("a"))
        assert pictures.find(connection, "a") is None
        assert pictures.of_job(connection, "j") == ()
        assert pictures.at(connection, "j", 0) == picture("a")
        pictures.mark_ready(connection, "a")
        assert pictures.find(connection, "a") == picture("a", state="ready")


def test_pages_of_pictures_leave_fleeting_ones_out(store):
    with store.write() as connection:
        for number in range(5):
            pictures.add(connection, picture(f"p{number}", number, state="ready", kept=number != 2))
        first = pictures.listed(connection, owner="", limit=2, before=None)
        second = pictures.listed(connection, owner="", limit=9, before=first[-1].id)
        assert [one.id for one in first + second] == ["p4", "p3", "p1", "p0"]
        assert [one.id for one in pictures.fleeting_before(connection, 2.0)] == ["p2"]


def test_the_last_path_of_a_folder(store):
    with store.write() as connection:
        for number, path in enumerate(("d/1/00001-5.png", "d/1/00002-1.png", "d/10/00009-1.png", "d/2/x.png")):
            pictures.add(connection, picture(f"p{number}", number, path=path))
        assert pictures.last_path_in(connection, "d/1") == "d/1/00002-1.png"
        assert pictures.last_path_in(connection, "d/3") == ""


def test_a_damaged_row_does_not_hide_the_others(store):
    for id in ("good", "bad", "worse"):
        add(store, id)
    with store.write() as connection:
        connection.execute(text("UPDATE jobs SET request = '{\"is\": \"No such thing\"}' WHERE id = 'bad'"))
        connection.execute(text("UPDATE jobs SET request = CAST(X'FFFE41' AS TEXT) WHERE id = 'worse'"))
        found = {job.id: job.kind for job in jobs.in_state(connection, "waiting")}
    assert found == {"good": "image", "bad": jobs.UNREADABLE, "worse": jobs.UNREADABLE}
