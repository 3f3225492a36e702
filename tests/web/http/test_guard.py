"""No other web page can use this server: foreign Host, foreign Origin, cross-site pictures and forms, on every route."""

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from web.http.inventory import addresses
from web.http.serving import running

from modules.web.http.guard import Guard, names_this_machine, same_origin

FOREIGN = ["http://evil.com", "null", "https://127.0.0.1.evil.com", "http://localhost:1", "file://", "http://", ""]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with running(tmp_path_factory.mktemp("page"), "--api", page=True) as served:
        yield served


def test_there_are_routes_to_try(page):
    tried = addresses(page.app)
    assert len(tried) > 80
    assert {"POST /sdapi/v1/txt2img", "GET /", "POST /gradio_api/queue/join"} <= {str(one) for one in tried}


@pytest.mark.parametrize("origin", FOREIGN)
def test_no_route_answers_a_foreign_origin(page, origin):
    for one in addresses(page.app):
        answer = page.client.request(one.method, one.path, headers={"Origin": origin})
        assert answer.status_code == 403, str(one)
    assert page.jobs() == 0


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
def test_no_route_answers_another_sites_pictures_scripts_frames_and_forms(page, site, mode):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "iframe"}
    for one in addresses(page.app):
        answer = page.client.request(one.method, one.path, headers=headers)
        assert answer.status_code == 403, str(one)


def test_a_form_of_another_site_that_takes_the_window_along_is_refused_too(page):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for one in addresses(page.app):
        if one.changes:
            answer = page.client.request(one.method, one.path, headers=headers)
            assert answer.status_code == 403, str(one)


def test_a_link_from_another_site_opens_the_page(page):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert page.client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.com", "evil.com:7860", "127.0.0.1.evil.com", "192.168.1.5", "", "0.0.0.0", "a@b"]
)
def test_no_route_answers_a_foreign_host(page, host):
    for one in addresses(page.app):
        answer = page.client.request(one.method, one.path, headers={"Host": host})
        assert answer.status_code == 403, str(one)


def test_the_page_itself_may_do_everything(page):
    answer = page.client.post("/sdapi/v1/interrupt", headers={"Origin": page.address, "Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.json()) == (200, {})


def test_programs_need_no_origin(page):
    assert page.client.post("/sdapi/v1/interrupt").json() == {}


def test_with_listen_any_name_will_do_because_everything_needs_a_login(serve):
    served = serve("--listen", "--gradio-auth", "ann:secret", "--api", "--api-auth", "bob:hidden")
    known = {"Host": "studio.example", "Origin": "http://studio.example"}
    assert served.client.get("/sdapi/v1/samplers", headers=known).status_code == 401
    assert served.client.get("/sdapi/v1/samplers", headers=known, auth=("bob", "hidden")).status_code == 200
    foreign = known | {"Origin": "http://evil.com"}
    assert served.client.get("/sdapi/v1/samplers", headers=foreign, auth=("bob", "hidden")).status_code == 403


def test_a_refusal_says_what_to_do(page):
    answer = page.client.get("/", headers={"Host": "evil.com"})
    assert answer.json()["error"] == "HTTPException"
    assert "--listen" in answer.json()["detail"]


def test_a_websocket_of_another_page_is_refused_at_the_handshake():
    async def talk(socket):
        await socket.accept()
        await socket.send_text("in")
        await socket.close()

    client = TestClient(Guard(Starlette(routes=[WebSocketRoute("/ws", talk)])))
    with client.websocket_connect("ws://127.0.0.1/ws") as socket:
        assert socket.receive_text() == "in"
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://127.0.0.1/ws", headers={"Origin": "http://evil.com"}),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("app.localhost:7860", True),
        ("localhost.:7860", True),
        ("127.9.9.9", True),
        ("[::1]:7860", True),
        ("::1", False),
        ("localhost.evil.com", False),
        ("0x7f000001", False),
        ("2130706433", False),
        ("[::ffff:8.8.8.8]", False),
        ("[", False),
    ],
)
def test_names_of_this_machine(host, known):
    assert names_this_machine(host) is known


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://127.0.0.1:7860", "127.0.0.1:7860", True),
        ("https://studio.example", "studio.example:443", True),
        ("http://studio.example:80", "STUDIO.example", True),
        ("http://localhost:7860", "127.0.0.1:7860", False),
        ("http://studio.example:81", "studio.example", False),
        ("ftp://studio.example", "studio.example", False),
        ("null", "null", False),
    ],
)
def test_same_origin(origin, host, same):
    assert same_origin(origin, host) is same
