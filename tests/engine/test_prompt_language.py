"""What prompts say reaches the denoiser: in a real engine process, and by reading into timelines."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from modules.core import events
from modules.core.requests import FileRecord, ImageRequest, ModelRecord
from modules.engine.embeddings import EmbeddingFiles
from modules.engine.models import Loaded
from modules.engine.reading import Reading
from modules.families.built import BuildOptions
from modules.families.kinds import sd15
from modules.prompts.infotext import parse_infotext
from modules.prompts.tokens import Tokenizer
from tests.engine.engine_process import Engine, pictures, record_of

Make = Callable[..., ImageRequest]


def pixels(heard: list[Any]) -> np.ndarray:
    assert isinstance(heard[-1], events.Finished), heard[-1]
    return np.stack([np.asarray(Image.open(io.BytesIO(one.png)).convert("RGB")).astype(int) for one in pictures(heard)])


@pytest.fixture(scope="module")
def loaded(small_file: Path) -> Loaded:
    built = sd15.build(small_file, BuildOptions(half=False))
    return Loaded(record=record_of(small_file), built=built, tokenizer=Tokenizer(built.tokenizer_folder))


@pytest.fixture(scope="module")
def embedding(tmp_path_factory: pytest.TempPathFactory, loaded: Loaded) -> FileRecord:
    """Three vectors of the small model's text encoder."""
    (width,) = loaded.built.encoder_widths.values()
    path = tmp_path_factory.mktemp("embeddings") / "my-style.safetensors"
    vectors = torch.randn(3, width, generator=torch.Generator().manual_seed(0)) * 3
    save_file({"emb_params": vectors}, path)
    stat = path.stat()
    known = {"size": stat.st_size, "modified": stat.st_mtime_ns, "short_hash": "0123456789ab"}
    return FileRecord(kind="embedding", name="my-style", path=str(path), **known)


def reading(loaded: Loaded, files: tuple[FileRecord, ...] = (), **known: Any) -> Reading:
    defaults: dict[str, Any] = {"calls": 10, "width": 64, "height": 64, "request": ImageRequest()}
    return Reading(loaded=loaded, embeddings=EmbeddingFiles(files, [], set()), **(defaults | known))


def test_parts_and_their_times(loaded: Loaded) -> None:
    first, second = reading(loaded).positive("a [cat:dog:0.5] :1.2 AND blue<lora:x:1>:-0.5")
    assert (first.weight, second.weight) == (1.2, -0.5)
    assert [end for end, _ in first.timeline] == [5, 10]
    assert [end for end, _ in second.timeline] == [10]
    plain = reading(loaded).text("a cat")
    assert torch.equal(first.timeline[0][1].states, plain.states)
    assert not torch.equal(first.timeline[1][1].states, plain.states)


def test_equal_texts_are_encoded_once(loaded: Loaded) -> None:
    (one,) = reading(loaded).positive("[a|b]")
    texts = [text for _, text in one.timeline]
    assert texts[0] is texts[2]
    assert texts[0] is not texts[1]
    assert len(one.timeline) == 10
    negative = reading(loaded).negative("a AND b")
    assert len(negative) == 1, "a negative prompt is never split"


def test_the_second_pass_goes_on_where_the_first_ended(loaded: Loaded) -> None:
    ends = [end for end, _ in reading(loaded, first_calls=10).negative("a [b:1.5] c")]
    assert ends == [5, 10]
    old = reading(loaded, first_calls=10, request=ImageRequest(old_editing=True))
    assert [end for end, _ in old.negative("a [b:0.5] c")] == [5, 10]


def test_ways_of_reading_do_not_share_an_encoding(loaded: Loaded) -> None:
    plain = reading(loaded).text("a (cat)")
    for known in ({"clip_skip": 2}, {"emphasis": "Ignore"}, {"emphasis": "None"}):
        assert not torch.equal(reading(loaded, request=ImageRequest(**known)).text("a (cat)").states, plain.states)
    assert reading(loaded, networks=("x",)).text("a (cat)") is not plain
    assert reading(loaded).text("a (cat)") is plain


def test_an_embedding_takes_the_places_of_its_name(loaded: Loaded, embedding: FileRecord) -> None:
    plain, with_style = reading(loaded).text("a My-Style cat"), reading(loaded, (embedding,)).text("a My-Style cat")
    assert plain.states.shape == with_style.states.shape
    assert not torch.allclose(plain.states, with_style.states)
    assert torch.equal(reading(loaded, (embedding,)).text("a cat").states, reading(loaded).text("a cat").states)


def test_an_embedding_in_the_engine(
    engine: Engine, record: ModelRecord, request_of: Make, embedding: FileRecord
) -> None:
    request = request_of(prompt="a my-style cat")
    plain = engine.draw(request, record)
    styled = engine.draw(request, record, files=(embedding,))
    assert (pixels(plain) != pixels(styled)).any()
    assert parse_infotext(pictures(styled)[0].infotext)["TI hashes"] == "my-style: 0123456789ab"
    assert "TI hashes" not in pictures(engine.draw(request_of(), record, files=(embedding,)))[0].infotext


def test_an_embedding_for_another_model_is_no_part_of_the_text(
    engine: Engine, record: ModelRecord, request_of: Make, tmp_path: Path
) -> None:
    path = tmp_path / "wide.safetensors"
    save_file({"emb_params": torch.zeros(2, 768)}, path)
    stat = path.stat()
    file = FileRecord(
        kind="embedding", name="wide", path=str(path), size=stat.st_size, modified=stat.st_mtime_ns, short_hash="0" * 12
    )
    heard = engine.draw(request_of(prompt="a wide cat"), record, files=(file,))
    assert "TI hashes" not in pictures(heard)[0].infotext
    assert (pixels(heard) == pixels(engine.draw(request_of(prompt="a wide cat"), record))).all()


def test_each_picture_is_drawn_from_its_own_text(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    request = request_of(
        prompt="{red|blue} cat",
        template="{red|blue} cat",
        prompts=("red cat", "blue cat, " + "big " * 90),
        batch_size=2,
    )
    heard = engine.draw(request, record)
    texts = [parse_infotext(one.infotext) for one in pictures(heard)]
    assert [one["Prompt"].split(",")[0] for one in texts] == ["red cat", "blue cat"]
    assert texts[0]["Template"] == "{red|blue} cat"
    alone = pixels(engine.draw(request_of(prompt="red cat"), record))
    assert abs(pixels(heard)[0] - alone[0]).max() <= 2, "a longer neighbour changes nothing"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a [cat:dog:0.5]", "a cat", False),
        ("a [cat:dog:1.0]", "a cat", True),
        ("[cat|dog]", "cat", False),
        ("cat AND dog", "cat", False),
        ("cat AND dog:0", "cat", True),
        ("cat:1", "cat", True),
        ("a cat <lora:nowhere:1>", "a cat ", True),
        ("a cat BREAK", "a cat", True),
    ],
)
def test_prompts_have_their_effect(
    engine: Engine, record: ModelRecord, request_of: Make, one: str, other: str, same: bool
) -> None:
    found = [pixels(engine.draw(request_of(prompt=text, steps=4), record)) for text in (one, other)]
    assert (abs(found[0] - found[1]).max() <= 1) == same


def test_a_network_that_is_not_there_is_a_remark(engine: Engine, record: ModelRecord, request_of: Make) -> None:
    note = engine.draw(request_of(prompt="a <lora:nowhere:1> <what:x>"), record)[-1].note
    assert "no lora called 'nowhere'" in note
    assert "<what:…> names no kind of network" in note


@pytest.mark.parametrize(
    "known",
    [
        {"subseed": 5, "subseed_strength": 0.5},
        {"seed_resize_from_w": 128, "seed_resize_from_h": 128},
        {"noise_source": "NV"},
        {"sigma_max": 5.0},
        {"rho": 3.0, "schedule": "Karras"},
        {"guidance": "CFG rescale"},
        {"guidance": "Dynamic thresholding", "cfg_scale": 30},
        {"cfg_end": 0.4},
        {"skip_early_cond": 0.5},
        {"s_min_uncond": 15.0, "ngms_all_steps": True},
        {"noise_schedule": "Zero Terminal SNR"},
        {"tiling": True},
        {"discard_penultimate": True},
        {"sgm_noise": True},
        {"sampler": "Euler", "s_churn": 5.0},
        {"sampler": "Euler a", "eta": 0.3},
        {"sampler": "Euler a", "ensd": 31337},
    ],
    ids=lambda known: next(iter(known)),
)
def test_every_option_changes_the_picture_and_is_in_its_text(
    engine: Engine, record: ModelRecord, request_of: Make, known: dict[str, Any]
) -> None:
    plain = {name: known[name] for name in ("sampler", "schedule") if name in known}
    without, heard = (engine.draw(request_of(**values, steps=5), record) for values in (plain, known))
    assert (pixels(without) != pixels(heard)).any()
    assert pictures(without)[0].infotext != pictures(heard)[0].infotext


def test_attention_in_pieces_draws_the_same(
    new_engine: Callable[..., Engine], engine: Engine, record: ModelRecord, request_of: Make
) -> None:
    frugal = new_engine(
        events.EngineOptions(device="cpu", name="cpu", threads=1, attention="sub-quadratic", half=False)
    )
    whole = new_engine(events.EngineOptions(device="cpu", name="cpu", threads=1, half=False))
    found = [pixels(one.draw(request_of(), record)) for one in (frugal, whole)]
    assert abs(found[0] - found[1]).max() <= 1
