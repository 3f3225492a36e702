"""A real browser: the login form, the page under its security policy, and another site's page that tries to get in."""

import http.server
import threading
from functools import partial

import pytest

ATTACK = """<!doctype html><title>evil</title>
<form id="form" method="post" action="%(server)s/sdapi/v1/interrupt" target="frame"></form>
<iframe name="frame"></iframe><img src="%(server)s/sdapi/v1/samplers">
<script>
  const told = [];
  const attempt = (path, options) => fetch("%(server)s" + path, options).then(
    (answer) => told.push(answer.type + answer.status), () => told.push("refused"));
  window.attacked = Promise.all([
    attempt("/sdapi/v1/txt2img", { method: "POST", mode: "no-cors", body: '{"steps": 1}' }),
    attempt("/sdapi/v1/txt2img", { method: "POST", body: '{"steps": 1}', headers: { "Content-Type": "application/json" } }),
    attempt("/sdapi/v1/options"),
    new Promise((done) => {
      const stream = new EventSource("%(server)s/api/v1/jobs/x/events");
      stream.onerror = () => (stream.close(), done());
    }),
  ]).then(() => told);
  document.getElementById("form").submit();
</script>"""


@pytest.fixture
def evil_site(tmp_path):
    """A web server of somebody else: another port, and so another origin."""
    folder = tmp_path / "evil"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.mark.e2e
def test_people_log_in_and_the_page_works_under_its_policy(serve, browser):
    served = serve("--gradio-auth", "ann:secret", page=True)
    page = browser.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(served.address)
    assert page.url.endswith("/login")
    for password in ("wrong", "secret"):
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        if password == "wrong":
            assert page.get_by_role("alert").inner_text() == "Incorrect credentials."
    box = page.get_by_role("textbox")
    box.wait_for(timeout=60_000)
    assert page.evaluate("fetch('/user').then((answer) => answer.json())") == "ann"
    assert not page.evaluate("document.cookie"), "the session is out of reach of scripts"
    assert not [text for text in complaints if "Content Security Policy" in text]
    page.close()


@pytest.mark.e2e
def test_a_page_somebody_visits_cannot_use_this_server(api, browser, evil_site):
    folder, address = evil_site
    (folder / "index.html").write_text(ATTACK % {"server": api.address})
    before = api.jobs()
    page = browser.new_page()
    answers = []
    page.on("response", lambda answer: answers.append(answer) if answer.url.startswith(api.address) else None)
    page.goto(address)
    told = page.evaluate("window.attacked")
    page.wait_for_load_state("networkidle")
    assert set(told) <= {"refused", "opaque0"}
    assert answers
    assert {answer.status for answer in answers} == {403}, [(one.url, one.status) for one in answers]
    assert api.jobs() == before
    page.close()
