"""Gradio's own routes behind our door: nothing of the disk, nothing of other hosts."""

import pytest
from web.http.serving import running


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with running(tmp_path_factory.mktemp("gradio"), page=True) as served:
        (served.studio.places.data / "config.json").write_text("{}")
        yield served


FILES = ["/etc/passwd", "app.py", "./app.py", "webui.sh", "requirements.txt", "../../etc/passwd", "/proc/self/environ"]
FILES += [
    "/work/main/app.py",
    "file:///etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "..%2f..%2fetc%2fpasswd",
    "~/.bashrc",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "route", ["/gradio_api/file=", "/gradio_api/file/", "/file=", "/gradio_api/custom_component/", "/static/"]
)
def test_no_file_of_the_disk_is_served(page, name, route):
    answer = page.client.get(route + name)
    assert answer.status_code in (307, 400, 403, 404, 405, 422), answer.text[:200]
    assert "root:" not in answer.text


def test_the_database_and_the_settings_are_not_served(page):
    places = page.studio.places
    for path in (places.database, places.settings, places.lock):
        assert path.exists()
        assert page.client.get(f"/gradio_api/file={path}").status_code == 403


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://example.com/x", "http://169.254.169.254/latest"])
def test_nothing_is_fetched_from_other_hosts(page, url):
    for route in ("/gradio_api/proxy=", "/gradio_api/file="):
        answer = page.client.get(route + url, follow_redirects=False)
        assert answer.status_code in (302, 307, 400, 403, 404, 422)


def test_an_upload_over_the_limit_is_refused(page):
    answer = page.client.post("/gradio_api/upload", files={"files": b"x" * (65 << 20)})
    assert answer.status_code == 413


def test_gradio_works_behind_all_the_layers(page):
    event = page.client.post("/gradio_api/call/echo", json={"data": ["hello"]}).json()["event_id"]
    with page.client.stream("GET", f"/gradio_api/call/echo/{event}") as answer:
        assert '["hello"]' in "".join(answer.iter_text())


@pytest.mark.parametrize("path", ["/gradio_api/runs", "/monitoring", "/gradio_api/mcp", "/gradio_api/vibe-code"])
def test_extras_of_gradio_are_off(page, path):
    assert page.client.get(path).status_code in (403, 404)
