"""`/api/v1/pictures`: files by ids that tell nothing and lead nowhere else."""

import pytest
from web.http.serving import eventually

from modules.core.requests import ImageRequest


@pytest.fixture(scope="module")
def picture(api):
    job = api.studio.desk.submit(ImageRequest(prompt="a cat", steps=1))
    eventually(lambda: api.studio.queue.job(job.id).over)
    return api.studio.gallery.pictures(job=job.id)[0]


def test_the_file_is_served_for_good(api, picture):
    answer = api.client.get(f"/api/v1/pictures/{picture.id}.png")
    assert answer.content == api.studio.gallery.path(picture).read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-disposition"].startswith("inline")


def test_it_is_not_sent_again(api, picture):
    url = f"/api/v1/pictures/{picture.id}.png"
    etag = api.client.get(url).headers["etag"]
    again = api.client.get(url, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_to_save_it(api, picture):
    answer = api.client.get(f"/api/v1/pictures/{picture.id}.png?download=1")
    name = picture.path.rpartition("/")[2]
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


def test_its_head_and_a_part(api, picture):
    head = api.client.head(f"/api/v1/pictures/{picture.id}.png")
    assert (head.status_code, int(head.headers["content-length"])) == (200, picture.bytes)
    part = api.client.get(f"/api/v1/pictures/{picture.id}.png", headers={"Range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, b"\x89PNG\r\n\x1a\n")


def test_what_is_known_of_it(api, picture):
    known = api.client.get(f"/api/v1/pictures/{picture.id}").json()
    assert (known["id"], known["seed"], known["infotext"]) == (picture.id, picture.seed, picture.infotext)
    assert "path" not in known
    newest = api.client.get("/api/v1/pictures?limit=1").json()["pictures"]
    assert newest == [known]
    assert api.client.get(f"/api/v1/pictures?before={picture.id}").json()["pictures"] == []


def test_a_file_somebody_deleted(api):
    job = api.studio.desk.submit(ImageRequest(prompt="gone", steps=1))
    eventually(lambda: api.studio.queue.job(job.id).over)
    (gone,) = api.studio.gallery.pictures(job=job.id)
    api.studio.gallery.path(gone).unlink()
    answer = api.client.get(f"/api/v1/pictures/{gone.id}.png")
    assert answer.status_code == 404
    assert str(api.studio.places.data) not in answer.text


ELSEWHERE = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/config.json",
    "%252e%252e%252fconfig.json",
    "..\\..\\config.json",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:%2f%2f%2fetc%2fpasswd",
    "C:%5cWindows%5cwin.ini",
    "%5c%5cserver%5cshare",
    "~%2f.ssh%2fid_rsa",
    "%00",
    "x%00.png",
    "atelier.sqlite3",
    ".atelier.lock",
    "CON",
    "0" * 4000,
    "\u202egnp",
    "proc%2fself%2fenviron",
]


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("end", [".png", ""])
def test_no_id_leads_elsewhere(api, name, end):
    answer = api.client.get(f"/api/v1/pictures/{name}{end}")
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text
