"""What the tests of the img2img tab share: pictures, strokes, and what the server was given."""

import base64
import hashlib
import re
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
from e2e.conftest import Server
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

FRESH = """async () => {
    document.querySelectorAll("dialog").forEach((one) => one.close());
    document.getElementById("at_undo")?.remove();
    localStorage.clear();
    Object.assign(atelier.viewing, { recent: [], chosen: "" });
    Object.assign(atelier.jobs, { live: null, refusal: null });
    Object.assign(atelier.edit, { resize: "to", factor: 1, sizeOf: "", transparency: 0 });
    Object.assign(atelier.tools, { tool: "brush", share: 0.12, softness: 0, colour: "#e53935", extending: false });
    atelier.edit.batch.files = [];
    atelier.edit.batch.changed();
    atelier.edit.uploaded.clear();
    atelier.sheet.replace({});
    Object.assign(atelier.sheet, { past: [], future: [] });
    document.querySelector("at-canvas")?.toggleLarge(false);
    atelier.edit.setMode("img2img");
    atelier.openTab("img2img");
    atelier.forms.clearProblems("img2img");
    atelier.forms.fill("img2img", { prompt: "", negative_prompt: "", sampler: "DPM++ 2M", schedule: "Automatic", steps: 2,
        cfg_scale: 7, width: 128, height: 128, batch_count: 1, batch_size: 1, seed: "-1", denoising_strength: 0.75,
        mask_blur_x: 4, mask_mode: "Inpaint masked", masked_content: "original", inpaint_area: "Whole picture",
        soft_inpainting: false });
    document.activeElement?.blur();
    scrollTo(0, 0);
    await atelier.keeper.save();
}"""


def fresh(page: Page) -> None:
    """The tab as if nobody had been there."""
    page.evaluate(FRESH)
    page.locator("at-canvas").wait_for()
    expect(page.locator("#img2img_steps input[type=number]")).to_have_value("2")
    expect(page.locator("#img2img_prompt .at-count")).to_have_text("0/75")


def drawn(width: int = 128, height: int = 96) -> Image.Image:
    """A picture in which every place differs from its neighbours."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([across * 255 // width, down * 255 // height, (across * 7 + down * 13) % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8), "RGB")


def file_of(folder: Path, picture: Image.Image, name: str = "picture.png") -> Path:
    path = folder / name
    picture.save(path)
    return path


def open_picture(page: Page, path: Path) -> None:
    page.locator("at-canvas .ac-empty input[type=file]").set_input_files(path)
    page.wait_for_function("atelier.sheet.picture !== null")


def choose(page: Page, mode: str) -> None:
    page.click(f"#mode_img2img [data-mode={mode}]")


def spot(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where the picture's pixel (x, y) is on the screen."""
    box = page.locator(".ac-stage").bounding_box()
    place = page.evaluate("document.querySelector('at-canvas').place")
    return box["x"] + place["x"] + x * place["scale"], box["y"] + place["y"] + y * place["scale"]


def stroke(page: Page, *points: tuple[float, float]) -> None:
    """Paint through points of the picture, with the mouse."""
    places = [spot(page, *point) for point in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def brush(page: Page, size: float, softness: float = 0) -> None:
    """`size` in pixels of the picture."""
    page.evaluate(
        f"atelier.tools.change({{ share: {size} / Math.min(atelier.sheet.width, atelier.sheet.height), softness: {softness} }})"
    )


def shown_mask(page: Page) -> np.ndarray:
    """The mask on the canvas, as the page would send it: 0 and 255 in rows and columns."""
    data = page.evaluate(
        """async () => { const blob = await atelier.sheet.maskFile();
        return btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer()))); }"""
    )
    return pixels_of(base64.b64decode(data))[..., 0]


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def words(page: Page):
    return page.locator("#img2img_progress .at-words")


def sent(page: Page, server: Server) -> dict:
    """Press Generate and look at the request that was queued."""
    before = {one["id"] for one in server.jobs()}
    page.click("#img2img_generate")
    page.wait_for_function("!atelier.edit.busy && !atelier.jobs.sendingSince && atelier.jobs.live")
    fresh_ones = [one["id"] for one in server.jobs() if one["id"] not in before]
    assert len(fresh_ones) == 1, (words(page).text_content(), problem(page).all_text_contents())
    page.wait_for_function(f"atelier.jobs.live?.id === '{fresh_ones[0]}'")  # until then the page speaks of the last one
    return request_of(server, fresh_ones[0])


def request_of(server: Server, job: str) -> dict:
    return httpx.get(f"{server.address}/api/v1/jobs/{job}", timeout=30).json()["request"]


def stored(server: Server, id: str) -> bytes:
    """A picture that the page brought along, as the server has it."""
    content = httpx.get(f"{server.address}/api/v1/inputs/{id}", timeout=30).raise_for_status().content
    assert hashlib.sha256(content).hexdigest() == id
    return content


def problem(page: Page):
    return page.locator("#img2img_problems .at-problem")


def finished(page: Page) -> None:
    page.wait_for_function("atelier.jobs.live && !['waiting', 'running'].includes(atelier.jobs.live.state)")
    expect(words(page)).to_have_text(re.compile("Done|pictures in"))


def mask_picture(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    """White in `box`, black elsewhere."""
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).rectangle(box, fill=255)
    return picture
