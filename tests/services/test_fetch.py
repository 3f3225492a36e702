"""Models from the internet: asked for, whole, checked; against a real web server that breaks off, lies and leads astray."""

import hashlib
import json
import shutil
import socket
import threading
import time
from ipaddress import ip_address

import pytest
from services.small_things import eventually, write_checkpoint
from services.web_server import Page, Server

from modules.core.errors import InvalidOption, InvalidRequest, NotFound, StorageFailed
from modules.services import fetch_net, fetch_transfer
from modules.services.fetch import Downloads
from modules.services.fetch_net import Net, Unreachable, is_public
from modules.services.fetch_sources import Offer, Sources, file_name
from modules.services.library_hashes import sha256
from modules.services.shelf_notes import notes_beside


@pytest.fixture
def web():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(fetch_transfer, "PAUSE", 0.01)
    monkeypatch.setattr(fetch_transfer, "SPARE_BYTES", 0)
    monkeypatch.setattr(fetch_transfer, "BLOCK", 1000)


@pytest.fixture
def downloads(places, web):
    """A function that opens the service; the sites it knows are the test's server."""
    opened = []

    def make(**known) -> Downloads:
        sources = Sources(net=Net(loopback=True), hub=web.address, civitai=web.address)
        opened.append(Downloads(places, sources, **({"offline": False} | known)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def model(tmp_path):
    """The bytes of a sound file of 40,000 bytes and more."""
    return write_checkpoint(tmp_path / "there" / "m.safetensors", side=10_000).read_bytes()


def digest(content):
    return hashlib.sha256(content).hexdigest()


def fetched(downloads, offer, kind="lora", state="done"):
    shown = downloads.start("source", offer, kind=kind)
    return eventually(lambda: (now := by_id(downloads, shown.id)).state == state and now, 30)


def by_id(downloads, id):
    return next(one for one in downloads.list() if one.id == id)


def parts(places):
    return [one.name for one in places.models.rglob(".*")]


def offer_of(web, content, path="/m.safetensors", **known):
    web.pages.setdefault(path, Page(body=content))
    values = {
        "url": web.address + path,
        "name": path.rpartition("/")[2],
        "size": len(content),
        "sha256": digest(content),
    }
    return Offer(**(values | known))


# -- it arrives --------------------------------------------------------------------------------------------------------------


def test_a_file_arrives_whole_and_is_announced(places, web, downloads, model):
    heard = []
    service = downloads(arrived=lambda: heard.append(1))
    done = fetched(service, offer_of(web, model))
    path = places.models / "Lora" / "m.safetensors"
    assert path.read_bytes() == model
    assert (done.done, done.size, done.name) == (len(model), len(model), "m.safetensors")
    eventually(lambda: heard)
    assert parts(places) == []
    assert json.loads((places.cache / "downloads.json").read_text()) == []


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        ("checkpoint", "models/Stable-diffusion"),
        ("embedding", "embeddings"),
        ("vae", "models/VAE"),
        ("upscaler", "models/ESRGAN"),
        ("hypernetwork", "models/hypernetworks"),
    ],
)
def test_each_kind_has_its_folder(places, web, downloads, model, kind, folder):
    fetched(downloads(), offer_of(web, model), kind)
    assert (places.data / folder / "m.safetensors").is_file()


def test_nothing_is_overwritten(places, web, downloads, model):
    mine = write_checkpoint(places.models / "Lora" / "m.safetensors")
    before = mine.read_bytes()
    assert fetched(downloads(), offer_of(web, model)).name == "m (1).safetensors"
    assert mine.read_bytes() == before


def test_one_after_the_other(web, downloads, model):
    service = downloads()
    gate = threading.Event()
    web.pages["/a.safetensors"] = Page(body=model, gate=gate)
    first = service.start("s", offer_of(web, model, "/a.safetensors"), kind="lora")
    second = service.start("s", offer_of(web, model, "/b.safetensors"), kind="lora")
    running = eventually(lambda: (one := by_id(service, first.id)).done and one)
    assert (running.state, by_id(service, second.id).state) == ("running", "waiting")
    assert 0 < running.done < len(model)
    gate.set()
    eventually(lambda: {one.state for one in service.list()} == {"done"})


# -- it breaks off -------------------------------------------------------------------------------------------------------------


def test_it_goes_on_where_it_broke_off(places, web, downloads, model):
    web.pages["/m.safetensors"] = Page(body=model, cuts=[10_000, 7, 5_000])
    fetched(downloads(), offer_of(web, model))
    assert (places.models / "Lora" / "m.safetensors").read_bytes() == model
    ranges = [headers.get("range") for _, headers in web.asked]
    assert ranges == [None, "bytes=10000-", "bytes=10007-", "bytes=15007-"]


def test_a_server_without_ranges_begins_anew(places, web, downloads, model):
    web.pages["/m.safetensors"] = Page(body=model, cuts=[10_000], ranges=False)
    fetched(downloads(), offer_of(web, model))
    assert (places.models / "Lora" / "m.safetensors").read_bytes() == model


def test_another_file_meanwhile_begins_anew(places, web, downloads, model):
    """The ETag has changed: the part is no part of the new file."""
    page = web.pages["/m.safetensors"] = Page(body=bytes(len(model)), cuts=[10_000])
    offer = offer_of(web, model)

    def change():
        eventually(lambda: not page.cuts)
        page.body, page.headers = model, {"ETag": '"two"'}

    threading.Thread(target=change).start()
    service = downloads()
    shown = service.start("s", offer, kind="lora")
    state = eventually(lambda: (one := by_id(service, shown.id)).state in ("done", "failed") and one.state)
    if state == "done":  # else the old file was asked for once more before it changed, and its hash was wrong
        assert (places.models / "Lora" / "m.safetensors").read_bytes() == model
    assert parts(places) == []


def test_after_some_tries_it_says_so_and_can_be_resumed(places, web, downloads, model):
    page = web.pages["/m.safetensors"] = Page(body=model, cuts=[10_000] + [0] * 5)
    service = downloads()
    failed = fetched(service, offer_of(web, model), state="failed")
    assert "broke off" in failed.sentence
    assert failed.done == 10_000
    page.cuts.clear()
    assert service.resume(failed.id).state in ("waiting", "running", "checking", "done")
    eventually(lambda: by_id(service, failed.id).state == "done")
    assert (places.models / "Lora" / "m.safetensors").read_bytes() == model


def test_a_restart_of_the_server_pauses_it(places, web, downloads, model):
    gate = threading.Event()
    page = web.pages["/m.safetensors"] = Page(body=model, gate=gate)
    first = downloads()
    shown = first.start("the source", offer_of(web, model), kind="lora", token="secret-token")
    eventually(lambda: by_id(first, shown.id).done)
    threading.Timer(0.2, gate.set).start()
    first.close()
    eventually(lambda: by_id(first, shown.id).state == "paused")
    assert "secret-token" not in (places.cache / "downloads.json").read_text()
    page.gate = None
    again = downloads()
    (paused,) = again.list()
    assert (paused.id, paused.state, paused.source) == (shown.id, "paused", "the source")
    again.resume(paused.id)
    eventually(lambda: by_id(again, shown.id).state == "done")
    assert (places.models / "Lora" / "m.safetensors").read_bytes() == model


@pytest.mark.parametrize("content", ["", "[", "{}", "[1]", '[{"shown": {}}]', "null"])
def test_a_damaged_list_of_downloads(places, downloads, content):
    places.cache.mkdir(parents=True)
    (places.cache / "downloads.json").write_text(content)
    assert downloads().list() == ()


def test_cancelled_leaves_nothing(places, web, downloads, model):
    gate = threading.Event()
    web.pages["/m.safetensors"] = Page(body=model, gate=gate)
    service = downloads()
    shown = service.start("s", offer_of(web, model), kind="lora")
    waiting = service.start("s", offer_of(web, model, "/b.safetensors"), kind="lora")
    eventually(lambda: by_id(service, shown.id).done)
    assert service.cancel(waiting.id).state == "cancelled"
    service.cancel(shown.id)
    gate.set()
    eventually(lambda: by_id(service, shown.id).state == "cancelled")
    eventually(lambda: not parts(places))
    assert not list(places.models.rglob("*.safetensors"))
    service.forget(shown.id)
    assert [one.id for one in service.list()] == [waiting.id]
    for call in (service.cancel, service.resume, service.forget):
        with pytest.raises(NotFound):
            call(shown.id)


# -- it is not what was announced ---------------------------------------------------------------------------------------------


def test_a_wrong_hash_is_removed(places, web, downloads, model):
    failed = fetched(downloads(), offer_of(web, model, sha256="ab" * 32), state="failed")
    assert f"begins with {digest(model)[:10]}, not ababababab" in failed.sentence
    assert list(places.models.rglob("*m.safetensors*")) == []


@pytest.mark.parametrize("content", [b"<html>log in first</html>" * 10, b"PK\x03\x04" + bytes(100), bytes(50)])
def test_what_is_no_model_is_removed(places, web, downloads, content):
    failed = fetched(downloads(), offer_of(web, content, sha256=""), state="failed")
    assert "no sound model file: m.safetensors" in failed.sentence
    assert list(places.models.rglob("*m.safetensors*")) == []


@pytest.mark.parametrize("length", ["1", "999999", "", "-5", "1e3", "0", "9" * 30])
def test_a_server_that_lies_about_the_length(web, downloads, model, length):
    web.pages["/m.safetensors"] = Page(body=model, headers={"Content-Length": length})
    service = downloads()
    if length == "999999":  # longer than the file: the connection ends early, again and again
        failed = fetched(service, offer_of(web, model, size=0), state="failed")
        assert "another part" in failed.sentence
    elif length == "1":  # one byte is announced, one is taken
        failed = fetched(service, offer_of(web, model, size=0), state="failed")
        assert "not the one announced" in failed.sentence
    else:
        with pytest.raises(InvalidRequest, match="does not say how large|does not answer|did not answer"):
            service.start("s", offer_of(web, model, size=0), kind="lora")


def test_another_size_than_the_site_said(web, downloads, model):
    failed = fetched(downloads(), offer_of(web, model, size=len(model) + 1), state="failed")
    assert "another size" in failed.sentence


@pytest.mark.parametrize("said", ["bytes 0-9/40", "bytes 5-39/*", "bits 1-2/3", "", "bytes */5"])
def test_another_part_than_asked_for(places, web, downloads, model, said):
    page = web.pages["/m.safetensors"] = Page(body=model, cuts=[10_000, 0, 0, 0, 0, 0])
    service = downloads()
    failed = fetched(service, offer_of(web, model), state="failed")
    page.cuts.clear()
    page.headers, page.status = {"Content-Range": said}, 206
    service.resume(failed.id)
    again = eventually(lambda: (one := by_id(service, failed.id)).state == "failed" and one)
    assert "another part of the file" in again.sentence


def test_a_compressed_answer_is_refused(web, downloads, model):
    web.pages["/m.safetensors"] = Page(body=model, headers={"Content-Encoding": "gzip"})
    assert "another form" in fetched(downloads(), offer_of(web, model), state="failed").sentence


def test_a_full_disk(places, web, downloads, model, monkeypatch):
    service = downloads()
    monkeypatch.setattr(fetch_transfer, "SPARE_BYTES", 1 << 60)
    with pytest.raises(StorageFailed, match="too full"):
        service.start("s", offer_of(web, model), kind="lora")
    assert (service.list(), web.asked) == ((), [])


def test_a_disk_that_fills_up_meanwhile(web, downloads, model, monkeypatch):
    service = downloads()
    web.pages["/m.safetensors"] = Page(body=model, cuts=[10_000])
    answers = iter([1 << 40, 1 << 40, 5])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": next(answers)}))
    assert "too full" in fetched(service, offer_of(web, model), state="failed").sentence


@pytest.mark.parametrize(("status", "words"), [(401, "token"), (403, "token"), (404, "nothing"), (418, "418")])
def test_refusals_say_what_to_do(web, downloads, model, status, words):
    web.pages["/m.safetensors"] = Page(body=b"no", status=status)
    with pytest.raises(InvalidRequest, match=words):
        downloads().offers(f"{web.address}/m.safetensors")


def test_a_server_that_is_busy_is_asked_again(places, web, downloads, model):
    page = web.pages["/m.safetensors"] = Page(body=model, status=503)
    service = downloads()
    shown = service.start("s", offer_of(web, model), kind="lora")
    eventually(lambda: len(web.asked) >= 2)
    page.status = 200
    eventually(lambda: by_id(service, shown.id).state == "done")


@pytest.mark.parametrize("kind", ["", "secret", "../lora", "checkpoint/.."])
def test_unknown_kinds(web, downloads, model, kind):
    with pytest.raises(InvalidRequest, match="no kind of model"):
        downloads().start("s", offer_of(web, model), kind=kind)


# -- where it may not go ---------------------------------------------------------------------------------------------------------

PRIVATE = [
    "http://127.0.0.1/x",
    "https://127.0.0.1/x",
    "https://127.1/x",
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://0177.0.0.1/x",
    "https://localhost/x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[::ffff:7f00:1]/x",
    "https://[::]/x",
    "https://[64:ff9b::7f00:1]/x",
    "https://[2002:7f00:1::]/x",
    "https://[fe80::1]/x",
    "https://[fec0::1]/x",
    "https://[fd00::1]/x",
    "https://0.0.0.0/x",
    "https://10.0.0.1/x",
    "https://172.16.0.1/x",
    "https://192.168.0.1/x",
    "https://100.64.0.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://192.0.0.8/x",
    "https://198.18.0.1/x",
    "https://224.0.0.1/x",
    "https://255.255.255.255/x",
    "file:///etc/passwd",
    "ftp://example.com/x",
    "gopher://example.com/x",
    "data:text/plain,x",
    "https://user:secret@example.com/x",
    "https://example.com:22/x",
    "http://example.com/x",
    "//example.com/x",
    "https:///x",
    "https://exa mple.com/x",
    "https://example.com/\r\nHost: evil",
    "https://éxample.com/x",
    "https://[::1/x",
    "https://example.com:99999/x",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_only_public_addresses_are_asked(url, monkeypatch):
    """Row 36: nothing is ever connected to."""
    monkeypatch.setattr(socket, "create_connection", None)  # would fail when called
    with pytest.raises((InvalidRequest, Unreachable)), Net().open(url):
        pass


LOOPBACK = ("127.", "localhost", "[::1]", "7f00:1]/", "ffff:127", "2130706433", "0x7f", "0177")


@pytest.mark.parametrize("to", ["", *(url for url in PRIVATE if not any(mark in url for mark in LOOPBACK))])
def test_redirects_lead_nowhere_private(web, to):
    """The first server may be asked, being the test's; to other than loopback addresses the usual rule holds."""
    web.redirect("/x", to or "https://")
    with pytest.raises((InvalidRequest, Unreachable)), Net(loopback=True).open(f"{web.address}/x"):
        pass
    assert [path for path, _ in web.asked] == ["/x"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433"])
def test_a_public_server_cannot_redirect_to_this_machine(web, host, monkeypatch):
    """A public address is played by the test's server: whoever connects to it gets there."""
    port = web.server.server_port
    web.redirect("/x", f"https://{host}/secret")
    real, connected = socket.create_connection, []

    def connect(address, *rest):
        connected.append(address[0])
        return real(("127.0.0.1", port), *rest)

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", resolving({"public.example": "93.184.215.14"}))
    net = Net()
    monkeypatch.setattr(net, "_context", Plain())
    with (
        pytest.raises((InvalidRequest, Unreachable), match="not a public address"),
        net.open("https://public.example/x"),
    ):
        pass
    assert connected == ["93.184.215.14"]
    assert [path for path, _ in web.asked] == ["/x"]


class Plain:
    """In place of TLS: what is tested is where it connects to."""

    def wrap_socket(self, opened, server_hostname):
        return opened


def resolving(names, real=socket.getaddrinfo):
    def resolve(host, port, *more, **known):
        if host in names:
            found = names[host]
            found = found.pop(0) if isinstance(found, list) else found
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found.split(",")]
        return real(host, port, *more, **known)

    return resolve


def test_a_name_is_resolved_once_for_each_connection(web, monkeypatch):
    """DNS rebinding: the second answer of the name server would be this machine; it is never asked for."""
    names = {"rebinding.example": ["93.184.215.14", "127.0.0.1"]}
    connected = []

    def connect(address, *rest):
        connected.append(address[0])
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", resolving(names))
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Unreachable), Net().open("https://rebinding.example/x"):
        pass
    assert connected == ["93.184.215.14"]


def test_a_name_with_one_private_address_is_refused(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", resolving({"mixed.example": "93.184.215.14,10.0.0.1"}))
    monkeypatch.setattr(socket, "create_connection", None)
    with pytest.raises(InvalidRequest, match="not a public address"), Net().open("https://mixed.example/x"):
        pass


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111"])
def test_public(address):
    assert is_public(ip_address(address))


def test_redirects_end(web):
    web.redirect("/x", "/x")
    with (
        pytest.raises(InvalidRequest, match="redirects more than 5 times"),
        Net(loopback=True).open(f"{web.address}/x"),
    ):
        pass
    assert len(web.asked) == fetch_net.MOST_HOPS + 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_stays_with_the_first_host(web, status):
    other = Server()
    other.pages["/file"] = Page(body=b"x")
    web.redirect("/start", "/next", status)
    web.redirect("/next", other.address.replace("127.0.0.1", "localhost") + "/file", status)
    with Net(loopback=True).open(f"{web.address}/start", token="secret") as answer:
        assert answer.read(10) == b"x"
    assert [headers.get("authorization") for _, headers in web.asked] == ["Bearer secret", "Bearer secret"]
    assert [headers.get("authorization") for _, headers in other.asked] == [None]
    other.stop()


def test_a_server_that_says_nothing(monkeypatch):
    monkeypatch.setattr(fetch_net, "READ_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(Unreachable), Net(loopback=True).open(f"http://127.0.0.1:{silent.getsockname()[1]}/"):
            pass
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("body", [b"", b"[", b"<html>", b"\xff", b"[" * 100_000])
def test_an_api_that_answers_no_json(web, body):
    web.pages["/api"] = Page(body=body)
    with pytest.raises(InvalidRequest, match="not JSON"):
        Net(loopback=True).json(f"{web.address}/api")


def test_an_api_that_answers_without_end(web, monkeypatch):
    monkeypatch.setattr(fetch_net, "MOST_JSON", 100)
    web.pages["/api"] = Page(body=b"1" * 1000)
    with pytest.raises(InvalidRequest, match="too much"):
        Net(loopback=True).json(f"{web.address}/api")


def test_offline_asks_nobody(places, web, downloads, model, monkeypatch):
    service = downloads(offline=True)
    monkeypatch.setattr(socket, "getaddrinfo", None)  # would fail when called
    for call in (
        lambda: service.offers(f"{web.address}/m.safetensors"),
        lambda: service.start("s", offer_of(web, model), kind="lora"),
        lambda: service.resume("x"),
    ):
        with pytest.raises(InvalidOption, match="--offline"):
            call()
    assert web.asked == []


# -- where models come from ----------------------------------------------------------------------------------------------------


def sources(web):
    return Sources(net=Net(loopback=True), hub=web.address, civitai=web.address)


VERSION = {
    "id": 67890,
    "baseModel": "SD 1.5",
    "trainedWords": ["red hat", " cat, "],
    "model": {"type": "LORA", "name": "Hats"},
    "files": [
        {"name": "other.pt", "downloadUrl": "https://x/2", "hashes": {}},
        {
            "name": "hats.safetensors",
            "primary": True,
            "sizeKB": 9.5,
            "hashes": {"SHA256": "AB" * 32},
            "downloadUrl": "https://civitai.com/api/download/models/67890",
        },
    ],
}


@pytest.mark.parametrize(
    "source",
    [
        "https://civitai.com/models/12345/hats?modelVersionId=67890",
        "https://civitai.com/api/download/models/67890",
        "https://civitai.com/models/12345",
        "https://civitai.red/models/12345/hats",
    ],
)
def test_a_page_of_civitai(web, source):
    web.json("/api/v1/model-versions/67890", VERSION)
    web.json("/api/v1/models/12345", {"type": "LORA", "modelVersions": [VERSION]})
    (offer,) = sources(web).offers(source)
    assert (offer.name, offer.kind, offer.sha256) == ("hats.safetensors", "lora", "ab" * 32)
    assert (offer.notes.activation_text, offer.notes.base) == ("red hat, cat", "SD 1.5")
    assert len(sources(web).offers(source, pickles=True)) == 2


def test_other_pages_of_civitai(web):
    with pytest.raises(InvalidRequest, match="not a model's"):
        sources(web).offers("https://civitai.com/images/5")


TREE = [
    {"type": "directory", "path": "unet"},
    {"type": "file", "path": "unet/part.safetensors", "size": 10, "lfs": {"oid": "cd" * 32, "size": 77}},
    {"type": "file", "path": "model.safetensors", "size": 10, "lfs": {"oid": "ab" * 32, "size": 4000}},
    {"type": "file", "path": "model.ckpt", "size": 10, "lfs": {"oid": "ab" * 32, "size": 4000}},
    {"type": "file", "path": "README.md", "size": 10},
]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("owner/name", ["model.safetensors", "owner-name-unet-part.safetensors"]),
        ("owner/name/model.safetensors", ["model.safetensors"]),
        ("owner/name/unet", ["owner-name-unet-part.safetensors"]),
        ("https://huggingface.co/owner/name", ["model.safetensors", "owner-name-unet-part.safetensors"]),
        ("https://huggingface.co/owner/name/blob/main/model.safetensors", ["model.safetensors"]),
        ("https://huggingface.co/owner/name/resolve/main/model.safetensors?download=true", ["model.safetensors"]),
    ],
)
def test_an_id_of_the_hub(web, source, names):
    web.json("/api/models/owner/name/tree/main", TREE)
    found = sources(web).offers(source)
    assert [one.name for one in found] == names
    assert found[0].size == {"model.safetensors": 4000}.get(names[0], 77)
    assert found[0].url.startswith(f"{web.address}/owner/name/resolve/main/")


def test_another_revision_of_the_hub(web):
    web.json("/api/models/owner/name/tree/fp16", TREE)
    assert len(sources(web).offers("https://huggingface.co/owner/name/tree/fp16")) == 2
    web.json("/api/models/owner/name/tree/refs%2Fpr%2F1", TREE)


def test_only_pickles_there(web):
    web.json("/api/models/owner/name/tree/main", TREE[3:])
    with pytest.raises(InvalidRequest, match="could run code when loaded"):
        sources(web).offers("owner/name")
    assert [one.name for one in sources(web).offers("owner/name", pickles=True)] == ["model.ckpt"]


@pytest.mark.parametrize("said", [None, [], {}, 5, "x", [None, 5, "x", {"type": "file"}], {"files": [None]}])
def test_odd_answers_of_the_sites(web, said):
    web.json("/api/models/owner/name/tree/main", said)
    web.json("/api/v1/model-versions/1", said)
    web.json("/api/v1/models/1", {"modelVersions": said})
    for source in ("owner/name", "https://civitai.com/api/download/models/1", "https://civitai.com/models/1"):
        with pytest.raises(InvalidRequest, match=r"no \.safetensors file"):
            sources(web).offers(source)


@pytest.mark.parametrize("source", ["", " ", "x" * 3000, "just words", "../../etc/passwd", "owner", "/etc/passwd"])
def test_what_is_no_source(web, source):
    with pytest.raises((InvalidRequest, Unreachable)):
        sources(web).offers(source)


@pytest.mark.parametrize("token", ["a b", "x\r\nHost: evil", "é"])
def test_odd_tokens(web, token):
    with pytest.raises(InvalidRequest, match="token"):
        sources(web).offers("owner/name", token=token)


def test_a_plain_address_says_its_name_and_size(web, downloads, model):
    said = {"Content-Disposition": 'attachment; filename="../../nice name.safetensors"'}
    web.pages["/download"] = Page(body=model, headers=said)
    web.pages["/a%20b.safetensors"] = Page(body=model)
    (offer,) = downloads().offers(f"{web.address}/download?id=5")
    assert (offer.name, offer.size, offer.kind, offer.sha256) == ("nice name.safetensors", len(model), "", "")
    (other,) = downloads().offers(f"{web.address}/a%20b.safetensors")
    assert other.name == "a b.safetensors"


def test_what_a_site_says_about_a_model_is_kept_beside_it(places, web, downloads, model):
    version = VERSION | {
        "files": [VERSION["files"][1] | {"downloadUrl": f"{web.address}/f", "hashes": {"SHA256": digest(model)}}]
    }
    web.json("/api/v1/model-versions/67890", version)
    web.pages["/f"] = Page(body=model)
    service = downloads()
    (offer,) = service.offers("https://civitai.com/api/download/models/67890")
    assert offer.size == len(model)
    fetched(service, offer, offer.kind)
    path = places.models / "Lora" / "hats.safetensors"
    assert sha256(path) == offer.sha256
    assert notes_beside(path).activation_text == "red hat, cat"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("a.safetensors", "a.safetensors"),
        ("..\\..\\a.safetensors", "a.safetensors"),
        ("/etc/passwd", ""),
        ("", ""),
        ("..", ""),
        (".safetensors", ""),
        ("a\0\n<b>.pt", "a___b_.pt"),
        ("日本.safetensors", "日本.safetensors"),
        ("é" * 300 + ".pt", "é" * 98 + ".pt"),
        ("\u202egpj.safetensors", "_gpj.safetensors"),
    ],
)
def test_names_from_elsewhere(said, name):
    assert file_name(said) == name
