"""The tiny engine of tests/services, with pictures that carry their text and previews that are real JPEGs."""

import importlib.util
import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

from PIL import Image

from modules.core import events
from modules.prompts.infotext import write_infotext

TINY = Path(__file__).resolve().parents[2] / "services" / "tiny_engine.py"
SPEC = importlib.util.spec_from_file_location("tiny_engine", TINY)
tiny_engine = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tiny_engine)


def jpeg() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(content, "JPEG")
    return content.getvalue()


def with_text(png: bytes, text: str) -> bytes:
    """The PNG with a `parameters` chunk before its pixels."""
    chunk = b"iTXtparameters\0\0\0\0\0" + text.encode()
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:33] + framed + png[33:]


class DrawingEngine(tiny_engine.TinyEngine):
    def work(self, job):
        self.request = job.request
        return super().work(job)

    def send(self, message) -> None:
        if isinstance(message, events.Progress) and message.preview is not None:
            message = replace(message, preview=jpeg())
        if isinstance(message, events.ImageReady):
            one = self.request
            pairs = {"Steps": one.steps, "Sampler": one.sampler, "Schedule type": one.schedule}
            pairs |= {"CFG scale": one.cfg_scale, "Seed": message.seed, "Size": f"{one.width}x{one.height}"}
            text = write_infotext(one.prompt, one.negative_prompt, pairs | {"Version": "Atelier-test"})
            message = replace(message, infotext=text, png=with_text(message.png, text))
        super().send(message)


if __name__ == "__main__":
    DrawingEngine().serve()
