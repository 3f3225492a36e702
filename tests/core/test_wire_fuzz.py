"""Whatever a message holds arrives; whatever bytes come, nothing but our own errors is raised."""

import io
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from modules.core.events import Catalogue, Choice, ImageReady, Progress, RunJob
from modules.core.requests import ImageRequest, ModelRecord
from modules.core.wire import BadMessage, read_message, write_message

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
numbers = st.floats(allow_nan=False, allow_infinity=False)

requests = st.builds(
    ImageRequest,
    prompt=words,
    negative_prompt=words,
    model=words,
    cfg_scale=numbers,
    seed=st.integers(-1, 2**63 - 1),
    eta=st.none() | numbers,
    save=st.booleans(),
)
records = st.builds(
    ModelRecord, name=words, path=words, title=words, size=st.integers(0, 2**50), modified=st.integers(0, 2**62)
)
messages = st.one_of(
    st.builds(
        RunJob,
        job=words,
        kind=words,
        request=requests,
        models=st.lists(records, max_size=3).map(tuple),
        have=st.lists(st.integers(0, 9)).map(tuple),
    ),
    st.builds(
        Progress,
        job=words,
        step=st.integers(0, 150),
        steps=st.integers(0, 150),
        eta=st.none() | numbers,
        preview=st.none() | st.binary(max_size=300),
    ),
    st.builds(
        ImageReady,
        job=words,
        index=st.integers(0, 800),
        png=st.binary(max_size=300),
        infotext=words,
        seed=st.integers(0, 2**63),
        width=st.just(64),
        height=st.just(64),
    ),
    st.builds(
        Catalogue,
        samplers=st.lists(
            st.builds(Choice, name=words, aliases=st.lists(words, max_size=3).map(tuple)), max_size=4
        ).map(tuple),
        job_kinds=st.lists(words, max_size=3).map(tuple),
    ),
)


@given(st.lists(messages, max_size=5))
def test_messages_arrive_as_they_were_sent(sent):
    stream = io.BytesIO()
    for message in sent:
        write_message(stream, message)
    stream.seek(0)
    assert [read_message(stream) for _ in sent] == sent


def read_all(stream):
    """Everything up to the end, or to the first thing that is no message."""
    found = []
    try:
        while True:
            found.append(read_message(stream))
    except (EOFError, BadMessage):
        return found


@given(st.binary(max_size=400))
def test_random_bytes_are_no_message(content):
    framed = struct.pack(">I", len(content)) + content
    assert read_all(io.BytesIO(framed)) == []


@settings(max_examples=200)
@given(messages, st.data())
def test_a_damaged_message_is_refused_or_another_message(message, data):
    stream = io.BytesIO()
    write_message(stream, message)
    content = bytearray(stream.getvalue())
    place = data.draw(st.integers(4, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    for found in read_all(io.BytesIO(bytes(content))):
        assert type(found).__module__.startswith("modules.core.")
