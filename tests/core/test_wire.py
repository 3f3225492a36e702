"""Messages survive the journey between the processes, and what is no message is refused."""

import io
import json
import pickle
import struct

import pytest

from modules.core import events
from modules.core.requests import EditRequest, FileRecord, ImageRequest, MergeRequest, ModelRecord
from modules.core.wire import LONGEST_FRAME, BadMessage, from_json, known_classes, read_message, to_json, write_message

RECORD = ModelRecord(name="s", path="/m/s.safetensors", title="s.safetensors [0123456789]", size=5, modified=9)
MESSAGES = [
    events.RunJob(
        job="j", kind="image", request=ImageRequest(prompt='a "cat"\n猫 🐈', cfg_scale=7), models=(RECORD,), have=(0, 2)
    ),
    events.RunJob(
        job="j",
        kind="edit",
        request=EditRequest(init_images=("a", "b"), mask="m", outpaint=(0, 8, 0, 0), prompts=("x", "y"), batch_size=2),
        files=(FileRecord(kind="lora", name="n", path="/l", size=1, modified=2, words=("w", "v")),),
        inputs=(events.InputPicture(id="a", data=b"\x89PNG"), events.InputPicture(id="m", data=b"")),
    ),
    events.RunJob(job="j", kind="merge", request=MergeRequest(model_a="a", model_b="b")),
    events.Finished(job="j", result="a red cat"),
    events.Progress(job="j", step=3, steps=20, eta=1.5, preview=b"\xff\xd8\0\n"),
    events.ImageReady(job="j", index=1, png=b"\x89PNG" * 1000, infotext="x", seed=2**40, width=64, height=64),
    events.EngineReady(
        pid=1,
        device="cpu",
        device_name="CPU",
        catalogue=events.Catalogue(samplers=(events.Choice(name="Euler", aliases=("k_euler",)),)),
    ),
    events.Failed(job="j", sentence="no", kind="NotFinite"),
    events.EngineOptions(device="cpu", name="cpu", disabled=("a", "b")),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_equal(message):
    stream = io.BytesIO()
    write_message(stream, message)
    stream.seek(0)
    assert read_message(stream) == message


def test_messages_follow_each_other():
    stream = io.BytesIO()
    for message in MESSAGES:
        write_message(stream, message)
    stream.seek(0)
    assert [read_message(stream) for _ in MESSAGES] == MESSAGES
    with pytest.raises(EOFError):
        read_message(stream)


def test_a_request_is_kept_as_json_and_types_come_back():
    request = ImageRequest(prompt="a", cfg_scale=7, eta=0)
    kept = json.loads(json.dumps(to_json(request)))
    again = from_json(kept)
    assert again == request
    assert isinstance(again.cfg_scale, float)


def test_rows_of_other_versions_stay_readable():
    kept = to_json(ImageRequest(prompt="a"))
    del kept["clip_skip"]
    kept["from_the_future"] = 1
    assert from_json(kept) == ImageRequest(prompt="a")


def test_bytes_are_not_stored():
    with pytest.raises(TypeError):
        to_json(events.Progress(job="j", step=1, steps=2, preview=b"x"))


@pytest.mark.parametrize(
    "head", [b"{}", b'{"is": "Popen"}', b'{"is": 3}', b"[", b'{"is": "Started"}', b"\xff\xfe", b'{"bytes": 4}']
)
def test_what_is_no_message_is_refused(head):
    body = struct.pack(">I", len(head)) + head
    with pytest.raises((BadMessage, EOFError)):
        read_message(io.BytesIO(struct.pack(">I", len(body)) + body))


def test_a_pickle_is_not_opened(tmp_path):
    canary = tmp_path / "canary"

    class Bad:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    body = pickle.dumps(Bad())
    with pytest.raises(BadMessage):
        read_message(io.BytesIO(struct.pack(">I", len(body)) + body))
    assert not canary.exists()


def test_an_endless_length_is_refused_before_memory_is_taken():
    with pytest.raises(BadMessage, match="over the limit"):
        read_message(io.BytesIO(struct.pack(">I", LONGEST_FRAME + 1)))


def test_a_cut_message_is_the_end():
    stream = io.BytesIO()
    write_message(stream, MESSAGES[1])
    with pytest.raises(EOFError):
        read_message(io.BytesIO(stream.getvalue()[:-1]))


def test_only_words_of_ours_travel():
    assert {"ImageRequest", "RunJob", "Progress", "ImageReady"} <= set(known_classes())
    assert all(kind.__module__.startswith("modules.core.") for kind in known_classes().values())
