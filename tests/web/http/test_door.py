"""Every route x every kind of login: deny by default."""

import stat

import pytest
from web.http.inventory import addresses
from web.http.serving import running

from modules.core.flags import parse_flags
from modules.web.http.door import new_door

ANN, BOB = ("ann", "secret"), ("bob", "hidden")
WRONG = [("ann", "hidden"), ("bob", "secret"), ("", ""), ("carl", "secret")]
PUBLIC = {"GET /login", "POST /login"}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Ann may use the page, Bob the API."""
    flags = ["--gradio-auth", "ann:secret", "--api", "--api-auth", "bob:hidden"]
    with running(tmp_path_factory.mktemp("both"), *flags, page=True) as served:
        yield served


ALONE = ("openapi.json", "logout", "login_check", "user", "token", "app_id")


def is_api(address) -> bool:
    return address.path.split("/")[1] in ("sdapi", "docs", "redoc", "openapi.json")


def is_ours(address) -> bool:
    return address.path.split("/")[1] in ("sdapi", "sd_extra_networks", "docs", "redoc", "api", "internal", *ALONE)


def status(served, address, **known) -> int:
    """What a route answers; streams are left at their head."""
    with served.client.stream(address.method, address.path, **known) as answer:
        return answer.status_code


def test_without_a_login_nothing_opens(both):
    for one in addresses(both.app):
        if str(one) not in PUBLIC:
            answer = both.client.request(one.method, one.path)
            assert answer.status_code == 401, str(one)
            assert ("www-authenticate" in answer.headers) == is_api(one), str(one)


def test_with_a_wrong_password_nothing_opens(tmp_path):
    for login in WRONG:  # a new server each: too many wrong ones are a 429
        with running(
            tmp_path / login[0] / "data", "--gradio-auth", "ann:secret", "--api", "--api-auth", "bob:hidden"
        ) as one:
            answers = [one.client.request(each.method, each.path, auth=login) for each in addresses(one.app)[:8]]
            assert {answer.status_code for answer in answers} == {401}
            assert all("www-authenticate" in answer.headers for answer in answers)


def test_guessing_is_slowed_down(tmp_path):
    with running(tmp_path, "--nowebui", "--api-auth", "bob:hidden") as served:
        codes = [served.client.get("/sdapi/v1/samplers", auth=("bob", str(number))).status_code for number in range(12)]
        assert codes == [401] * 10 + [429] * 2
        answer = served.client.get("/sdapi/v1/samplers", auth=BOB)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60


def test_the_login_of_the_api_opens_our_routes_but_not_the_page(both):
    for one in addresses(both.app):
        if str(one) in PUBLIC or one.method != "GET":
            continue
        opened = status(both, one, auth=BOB) != 401
        assert opened == is_ours(one), str(one)


def test_the_login_of_the_page_does_not_open_the_api(both):
    cookies = log_in(both)
    for one in addresses(both.app):
        if is_api(one):
            assert both.client.request(one.method, one.path, auth=ANN).status_code == 401, str(one)
            assert both.client.request(one.method, one.path, cookies=cookies).status_code == 401, str(one)


def log_in(served, name="ann", password="secret"):
    answer = served.client.post("/login", data={"username": name, "password": password})
    served.client.cookies.clear()  # each request of a test brings its own
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    return dict(answer.cookies)


def test_a_session_opens_the_page_and_our_routes(both):
    cookies = log_in(both)
    for path in ("/", "/config", "/gradio_api/info", "/internal/ping", "/api/v1/engines", "/login_check"):
        assert both.client.get(path, cookies=cookies).status_code == 200, path
    assert both.client.get("/user", cookies=cookies).json() == "ann"
    assert both.client.get("/gradio_api/user", cookies=cookies).json() == "ann"


def test_the_cookie_is_strict_and_out_of_scripts_reach(both):
    answer = both.client.post("/login", data={"username": "ann", "password": "secret"})
    both.client.cookies.clear()
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie


def test_people_see_a_form_and_come_to_the_page(both):
    asked = both.client.get("/", headers={"Accept": "text/html"})
    assert (asked.status_code, asked.headers["location"]) == (303, "/login")
    form = both.client.get("/login")
    assert 'name="password"' in form.text
    assert "unsafe-inline" not in form.headers["content-security-policy"].split("style-src")[0]
    wrong = both.client.post("/login", data={"username": "<b>", "password": "x"}, headers={"Accept": "text/html"})
    assert (wrong.status_code, "Incorrect credentials" in wrong.text) == (400, True)
    right = both.client.post("/login", data={"username": "ann", "password": "secret"}, headers={"Accept": "text/html"})
    both.client.cookies.clear()
    assert (right.status_code, right.headers["location"]) == (303, "/")


def test_a_wrong_password_in_the_form_is_a_400(both):
    answer = both.client.post("/login", data={"username": "ann", "password": "guess"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "Incorrect credentials.")
    assert "set-cookie" not in answer.headers


def test_logging_out_ends_the_session(both):
    cookies = log_in(both)
    answer = both.client.post("/logout", cookies=cookies)
    assert answer.status_code == 303
    assert both.client.get("/internal/ping", cookies=cookies).status_code == 401
    assert both.client.get("/logout", cookies=log_in(both)).status_code == 405, "a link must not log anybody out"


@pytest.mark.parametrize(
    "path",
    [
        "//sdapi/v1/samplers",
        "/SDAPI/v1/samplers",
        "/sdapi/v1/samplers/",
        "/sdapi/v1/samplers;x",
        "/sdapi/v1/%73amplers",
        "/sdapi%2fv1%2fsamplers",
        "/x/../sdapi/v1/samplers",
        "/%2e%2e/sdapi/v1/samplers",
        "/sdapi/v1/samplers%00",
        "/login/../sdapi/v1/samplers",
        "/login/",
        "/login;/",
        "/LOGIN",
        "/login%2f..%2finternal%2fping",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "TRACE"])
def test_no_spelling_of_an_address_goes_round_the_door(both, path, method):
    assert both.client.request(method, path).status_code == 401


def test_without_an_own_login_the_api_asks_for_that_of_the_page(serve):
    served = serve("--api", "--gradio-auth", "ann:secret")
    assert served.client.get("/sdapi/v1/samplers").status_code == 401
    assert served.client.get("/sdapi/v1/samplers", auth=ANN).status_code == 200


def test_without_a_page_the_login_of_the_api_is_for_everything(serve):
    served = serve("--nowebui", "--api-auth", "bob:hidden")
    for one in addresses(served.app):
        if str(one) not in PUBLIC:
            assert served.client.request(one.method, one.path).status_code == 401, str(one)
    for path in ("/internal/ping", "/api/v1/engines", "/sdapi/v1/samplers"):
        assert served.client.get(path, auth=BOB).status_code == 200


def test_the_page_may_be_open_while_the_api_is_not(serve):
    served = serve("--api", "--api-auth", "bob:hidden", page=True)
    assert served.client.get("/").status_code == 200
    assert served.client.get("/api/v1/jobs").status_code == 200
    assert served.client.get("/sdapi/v1/samplers").status_code == 401
    assert served.client.get("/login").headers["location"] == "/"


def test_the_installations_key_is_its_owners_alone(tmp_path):
    flags = parse_flags(["--gradio-auth", "ann:secret", "--data-dir", str(tmp_path)], {})
    first = new_door(flags, tmp_path / "outputs", True, (), ())
    key = tmp_path / "outputs" / ".session-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    cookie = first.sessions.begin("ann")
    assert new_door(flags, tmp_path / "outputs", True, (), ()).sessions.name(cookie) == "ann"
    key.write_bytes(b"short")
    assert new_door(flags, tmp_path / "outputs", True, (), ()).sessions.name(cookie) is None
    assert len(key.read_bytes()) == 32
