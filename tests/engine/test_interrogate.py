"""InterrogateRequest to words, with the starter model itself and with a small captioner of random weights."""

import io
import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from PIL import Image

from modules.core import events
from modules.core.errors import InvalidImage, InvalidModelFile, NotFound, UnknownName
from modules.core.flags import ROOT
from modules.core.requests import InterrogateRequest
from modules.engine import interrogate
from modules.families.clip_vision import fits, load_clip
from modules.families.judge import BACKGROUND, Judge, load_judge
from modules.starter.judge import world_of
from modules.starter.words import FIRST
from modules.starter.world import Spec, draw
from tests.engine.engine_process import record_of
from tests.engine.in_this_process import context_of

STARTER = ROOT / "models" / "Stable-diffusion" / "starter.safetensors"
HALF = ROOT / "models" / "starter" / "clip_vision.safetensors"
JUDGE = ROOT / "models" / "starter" / "judge.safetensors"
WORLD = world_of(load_judge(JUDGE))  # FIRST and more
COLOURS = ("red", "green", "blue")


def png(image):
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


def job_of(image=None, *, model=STARTER, interrogator="clip", content=None):
    data = png(image or Image.new("RGB", (64, 64), "red")) if content is None else content
    return events.RunJob(
        job="job",
        kind="interrogate",
        request=InterrogateRequest(picture="p", interrogator=interrogator).checked(),
        models=(record_of(Path(model)),),
        inputs=(events.InputPicture(id="p", data=data),),
    )


@cache
def models():
    return context_of(job_of())[0].models


def answer(job, folder=None):
    context, _ = context_of(job, models())
    if folder is not None:
        context = replace(context, checkpoints=folder / "Stable-diffusion")
    interrogate.run(job.request, context)
    (text,) = context.result
    return text


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    """models/BLIP as transformers writes it: a real BLIP, tiny, that has learnt nothing."""
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

    models = tmp_path_factory.mktemp("models")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "cat", "dog", "red", "of", "picture"]
    body = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {"bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    text = {**body, **special, "vocab_size": len(words), "max_position_embeddings": 64, "encoder_hidden_size": 16}
    vision = {**body, "image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, projection_dim=16))
    model.save_pretrained(models / "BLIP")
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}).save_pretrained(models / "BLIP")
    return models


# CLIP on the starter ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (Spec(subject="car", colour="yellow", place="in the city"), ("yellow", "in the city")),
        (Spec(subject="fish", colour="blue", place="in the ocean"), ("blue", "in the ocean")),
        (Spec(subject="cat", colour="red", place="in space", wear="astronaut helmet"), ("red", "in space")),
    ],
)
def test_pictures_of_the_starters_world_are_read(spec, expected):
    image, _ = draw(spec, 123_456, 128)
    text = answer(job_of(image))
    assert text.startswith(("a ", "an "))
    for words in expected:
        assert words in text
    assert any(subject in text for subject in WORLD.subjects)


def test_nearly_all_words_are_right():
    """Chance would be 3 of 18, 2 of 18 and 3 of 18."""
    specs = [
        Spec(subject=FIRST.subjects[n % 6], colour=FIRST.colours[n % 8], place=FIRST.places[(n // 2) % 6])
        for n in range(18)
    ]
    loaded = models().get(record_of(STARTER))
    read = [interrogate.described(draw(s, 900 + n, 128)[0], loaded, HALF, JUDGE) for n, s in enumerate(specs)]
    for slot in ("subject", "colour", "place"):
        assert sum(getattr(spec, slot) in text for spec, text in zip(specs, read, strict=True)) >= 16, slot


def test_any_size_and_kind_of_picture_is_read():
    for image in (Image.new("RGBA", (300, 40)), Image.new("L", (1, 1)), Image.new("P", (64, 64))):
        assert answer(job_of(image))


def test_the_colour_of_a_plain_background_is_clips(monkeypatch):
    """The judge has one answer for all of them."""
    green = Spec(subject="cat", colour="red", place="on a green background")
    judge = Judge({"subject": ("cat",), "colour": COLOURS, "place": (BACKGROUND,), "wear": ("",), "wear_colour": ("",)})
    monkeypatch.setattr(interrogate, "load_judge", lambda path: judge.eval())
    loaded = models().fresh(record_of(STARTER), half=False)
    text = interrogate.described(draw(green, 5, 128)[0], loaded, HALF, JUDGE)
    assert text.endswith(" background")
    assert text.split()[-2] in COLOURS


def test_clip_is_put_together_as_it_was_trained():
    """The checkpoint's text states were moved after the training; the encoder in use keeps them so."""
    encoder = models().get(record_of(STARTER)).built.text_encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    whole = load_clip(HALF, encoder).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    changed = []
    for name, value in before.items():
        tower = whole[name if name.startswith("text_model.") else f"text_model.{name}"]
        if not torch.equal(tower, value.float()):
            changed.append(name)
            assert torch.allclose(tower, value.float() - 0.1, atol=1e-3)
    assert [name.rpartition(".")[0].rpartition(".")[2] for name in changed] == ["final_layer_norm"]


@pytest.mark.parametrize("config", [None, "no json", "{}", '{"text_config": 3}'])
def test_a_file_that_is_no_half_of_clip_is_refused(tmp_path, config):
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path, {} if config is None else {"atelier.config": config})
    with pytest.raises(InvalidModelFile, match="picture half"):
        fits(path, None)


def test_a_half_that_lacks_layers_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    from modules.core.tensorfile import read_header

    path = tmp_path / "x.safetensors"
    tensors = load_file(HALF)
    del tensors["visual_projection.weight"]
    save_file(tensors, path, dict(read_header(HALF).metadata))
    with pytest.raises(InvalidModelFile, match="visual_projection"):
        load_clip(path, models().get(record_of(STARTER)).built.text_encoder)


# Other models -------------------------------------------------------------------------------------------------------


def test_another_model_says_what_to_do(small_file, tmp_path):
    for interrogator, model in (("clip", small_file), ("caption", STARTER)):
        with pytest.raises(NotFound, match="models/BLIP"):
            answer(job_of(model=model, interrogator=interrogator), tmp_path)


def test_a_captioner_answers_for_every_model(blip, small_file):
    for interrogator, model in (("clip", small_file), ("caption", STARTER)):
        text = answer(job_of(model=model, interrogator=interrogator), blip)
        assert set(text.split()) <= {"a", "cat", "dog", "red", "of", "picture", "[DEC]", "[UNK]", "[MASK]"}


def test_a_captioner_never_runs_code_of_its_folder(blip, tmp_path):
    """Neither a pickle in place of safetensors nor a module that the configuration names."""
    shutil.copytree(blip / "BLIP", tmp_path / "BLIP")
    config = json.loads((tmp_path / "BLIP" / "tokenizer_config.json").read_text())
    config["auto_map"] = {"AutoTokenizer": ["evil.Evil", None]}
    (tmp_path / "BLIP" / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "BLIP" / "evil.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    try:
        answer(job_of(interrogator="caption"), tmp_path)
    except InvalidModelFile as error:
        assert "BLIP" in str(error)
    assert not (tmp_path / "canary").exists()


def test_a_pickle_is_no_captioner(blip, tmp_path):
    shutil.copytree(blip / "BLIP", tmp_path / "BLIP")
    (tmp_path / "BLIP" / "model.safetensors").unlink()
    (tmp_path / "BLIP" / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(NotFound):
        answer(job_of(interrogator="caption"), tmp_path)


def test_a_broken_captioner_says_so(blip, tmp_path):
    shutil.copytree(blip / "BLIP", tmp_path / "BLIP")
    (tmp_path / "BLIP" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InvalidModelFile, match="captioner in BLIP"):
        answer(job_of(interrogator="caption"), tmp_path)


def test_what_cannot_be_asked():
    with pytest.raises(UnknownName, match="did you mean 'clip'"):
        answer(job_of(interrogator="clipp"))
    with pytest.raises(InvalidImage):
        answer(job_of(content=b"no picture"))
    job = job_of()
    with pytest.raises(InvalidImage, match="again"):
        answer(replace(job, inputs=()))


def test_in_an_engine_process(engine):
    image, _ = draw(Spec(subject="fish", colour="blue", place="in the ocean"), 5, 128)
    engine.send(job_of(image))
    finished = engine.until_over()[-1]
    assert isinstance(finished, events.Finished)
    assert "in the ocean" in finished.result
