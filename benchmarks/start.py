"""How long a start takes: to the complete first page, and to the first picture.

    python benchmarks/start.py [--pairs 7]

Peers: a minimal Gradio page with as many components; a plain diffusers script that loads the same weights.
"""

import argparse
import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from comparing import compare, heading

ROOT = Path(__file__).resolve().parents[1]
PROMPT, STEPS, SIDE = "a red cat in space", 20, 128
REQUEST = {
    "prompt": PROMPT,
    "steps": STEPS,
    "sampler_name": "DPM++ 2M",
    "scheduler": "Karras",
    "seed": 1,
    "save_images": True,
}

MINIMAL_PAGE = """
import sys, gradio
with gradio.Blocks() as page:
    boxes = [gradio.Textbox(label=str(number)) for number in range({components})]
    gradio.Button("Go").click(lambda text: text, boxes[0], boxes[0])
page.launch(server_port={port}, quiet=True)
"""
PLAIN_SCRIPT = """
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
pipeline = StableDiffusionPipeline.from_pretrained({folder!r}, torch_dtype=torch.{dtype}, local_files_only=True)
pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
pipeline.set_progress_bar_config(disable=True)
generator = torch.Generator("cpu").manual_seed(1)
picture = pipeline({prompt!r}, num_inference_steps={steps}, width={side}, height={side}, generator=generator).images[0]
picture.save({target!r})
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(address: str) -> bytes:
    """The answer, as soon as there is one."""
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)


def until_page(command: list[str], port: int) -> float:
    """Seconds from the process's start until `GET /` is answered with the whole page."""
    began = time.perf_counter()
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = get(f"http://127.0.0.1:{port}/")
        seconds = time.perf_counter() - began
        assert b"gradio_config" in page
        return seconds
    finally:
        server.terminate()
        server.wait()


def our_server(port: int, folder: Path, *flags: str) -> list[str]:
    return [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--data-dir", str(folder), *flags]


def our_page(folder: Path) -> float:
    port = free_port()
    return until_page(our_server(port, folder), port)


def minimal_page(components: int) -> float:
    port = free_port()
    return until_page([sys.executable, "-c", MINIMAL_PAGE.format(components=components, port=port)], port)


def components_of_our_page(folder: Path) -> int:
    port = free_port()
    server = subprocess.Popen(our_server(port, folder), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = get(f"http://127.0.0.1:{port}/").decode()
        return len(re.findall(r'"type":\s*"\w+",\s*"props"', page)) or len(
            json.loads(get(f"http://127.0.0.1:{port}/config"))["components"]
        )
    finally:
        server.terminate()
        server.wait()


def our_picture(folder: Path) -> float:
    """Seconds from the process's start until the first picture lies on the disk, asked for through the API."""
    port = free_port()
    began = time.perf_counter()
    server = subprocess.Popen(
        our_server(port, folder, "--api"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        get(f"http://127.0.0.1:{port}/internal/ping")
        body = json.dumps(REQUEST).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/sdapi/v1/txt2img", body, {"Content-Type": "application/json"}
        )
        answer = json.load(urllib.request.urlopen(request, timeout=300))
        seconds = time.perf_counter() - began
        assert base64.b64decode(answer["images"][0]).startswith(b"\x89PNG")
        return seconds
    finally:
        server.terminate()
        server.wait()


def plain_picture(folder: Path, dtype: str) -> float:
    target = folder / "plain.png"
    program = PLAIN_SCRIPT.format(
        folder=str(folder), dtype=dtype, prompt=PROMPT, steps=STEPS, side=SIDE, target=str(target)
    )
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    pairs = parser.parse_args().pairs
    print(heading())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        our_picture(folder)  # the database is made, the lists of the engine are kept: a start as on every other day
        components = components_of_our_page(folder)
        page = compare(
            f"first page ({components} components)",
            1.25,
            lambda: our_page(folder),
            lambda: minimal_page(components),
            pairs,
        )
        print(page.row(), flush=True)
        from as_pipeline import save_starter_as_folder

        weights = folder / "as-folder"
        dtype = save_starter_as_folder(weights)
        print(
            compare(
                "first picture", 1.10, lambda: our_picture(folder), lambda: plain_picture(weights, dtype), pairs
            ).row()
        )
        shutil.rmtree(weights)


if __name__ == "__main__":
    main()
