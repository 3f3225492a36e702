"""`/api/v1/inputs`: pictures sent by the page."""

import io

import pytest
from PIL import Image
from web.http.serving import running, write_checkpoint

URL = "/api/v1/inputs"


def picture(kind: str = "PNG", colour: str = "red") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (12, 8), colour).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_as_the_body_itself(api, kind):
    data = picture(kind)
    answer = api.client.post(URL, content=data, headers={"Content-Type": f"image/{kind.lower()}"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["width"], answer.json()["height"]) == (12, 8)
    file = api.client.get(f"{URL}/{answer.json()['id']}")
    assert (file.content, file.headers["content-type"]) == (data, f"image/{kind.lower()}")
    assert file.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in file.headers["cache-control"]


def test_as_a_form(api):
    data = picture(colour="blue")
    answer = api.client.post(URL, files={"picture": ("../../x.png", data, "text/html")})
    assert answer.status_code == 200
    file = api.client.get(f"{URL}/{answer.json()['id']}", params={"download": 1})
    assert (file.content, file.headers["content-type"]) == (data, "image/png")
    assert file.headers["content-disposition"].startswith("attachment")
    assert "x.png" not in file.headers["content-disposition"]


@pytest.mark.parametrize("content", [b"", b"{}", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg/>"])
def test_what_is_no_picture(api, content):
    answer = api.client.post(URL, content=content)
    assert answer.status_code == 422
    assert "picture" in answer.json()["detail"]


def test_forms_without_a_picture(api):
    assert api.client.post(URL, data={"a": "b"}, files={}).status_code == 422
    no_file = {"Content-Type": "multipart/form-data; boundary=x"}
    for content in (b"--x--\r\n", b"", b"--y", b"\0" * 100):
        assert api.client.post(URL, content=content, headers=no_file).status_code in (400, 422)
    many = [("files", (f"{place}.png", picture(), "image/png")) for place in range(3)]
    assert api.client.post(URL, files=many).status_code in (400, 422)


@pytest.mark.parametrize("id", ["0" * 64, "x", "..%2f..%2fconfig.json", "%00", "%2fetc%2fpasswd", "A" * 3000])
def test_what_is_not_there(api, id):
    assert api.client.get(f"{URL}/{id}").status_code in (400, 404)


def test_too_much(api):
    answer = api.client.post(URL, content=b"x" * (65 << 20))
    assert (answer.status_code, "64 MB" in answer.json()["detail"]) == (413, True)


def test_nobody_without_a_login(tmp_path):
    write_checkpoint(tmp_path / "models" / "Stable-diffusion" / "tiny.safetensors")
    with running(tmp_path, "--nowebui", "--api-auth", "ann:secret,bob:hidden") as served:
        assert served.client.post(URL, content=picture()).status_code == 401
        kept = served.client.post(URL, content=picture(), auth=("ann", "secret")).json()["id"]
        assert served.client.get(f"{URL}/{kept}").status_code == 401
        assert served.client.get(f"{URL}/{kept}", auth=("ann", "guess")).status_code == 401
        assert served.client.get(f"{URL}/{kept}", auth=("bob", "hidden")).status_code == 200


def test_nobody_from_another_page(api):
    answer = api.client.post(URL, content=picture(), headers={"Origin": "https://evil.com"})
    assert answer.status_code == 403
    form = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
    assert api.client.post(URL, files={"a": picture()}, headers=form).status_code == 403
