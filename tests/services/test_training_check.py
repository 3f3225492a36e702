"""A plan looked at before it starts: each warning where it belongs, and each fix mends what it promises."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from modules.core.errors import NoModel, UnknownName
from modules.core.events import Choice
from modules.core.requests import ModelRecord
from modules.core.training import TrainingPlan
from modules.prompts.tokens import Tokenizer
from modules.services.build import TOKENIZER
from modules.services.inputs import Inputs
from modules.services.training.answer import as_json
from modules.services.training.check import Checker
from modules.services.training.class_pictures import ClassSet
from modules.services.training.presets import resolved_plan

MODEL = ModelRecord(
    name="m", path="m", title="m.safetensors [0123456789]", size=2_000_000, modified=0, width=64, height=64
)
METHODS = (
    Choice(name="lora", options=("kohya", "peft"), value=1e-4),
    Choice(name="dreambooth", options=("checkpoint",), value=2e-6),
    Choice(name="textual_inversion", aliases=("ti",), options=("embedding",), value=5e-3),
)


def picture(seed, width=96, height=96):
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize((width, height))
    grain = rng.integers(-20, 20, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(rough, dtype=int) + grain, 0, 255).astype(np.uint8))


def file_of(image, format="PNG", **known):
    written = io.BytesIO()
    image.save(written, format, **known)
    return written.getvalue()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return Inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def four(inputs):
    return tuple(inputs.keep(file_of(picture(n))) for n in range(4))


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(TOKENIZER)


def model_called(name):
    if name == "none":
        raise NoModel("There is no model yet: put one into models/Stable-diffusion.")
    if name not in ("", "m"):
        raise UnknownName("model", name)
    return MODEL


@pytest.fixture(scope="module")
def checker(inputs):
    return Checker(model_called, lambda: METHODS, inputs)


@pytest.fixture
def check(checker, four, tokenizer, tmp_path):
    """A function: plan fields to the answer."""

    def checked(**known):
        values = {"pictures": four, "class_noun": "cat", "identifier": "ohwx", **known}
        return as_json(checker.checked(TrainingPlan(**values), tokenizer, tmp_path / "not" / "there"))

    return checked


def of_field(answer, field):
    return [one for one in answer["problems"] if one["field"] == field]


def mended(check, answer, known, field):
    """The answer after the first fix of a field was applied."""
    (problem, *_) = of_field(answer, field)
    return check(**{**known, **{name: _tupled(value) for name, value in problem["fix"]["changes"].items()}})


def _tupled(value):
    return tuple(value) if isinstance(value, list) else value


def test_a_good_plan_is_green(check):
    answer = check()
    assert (answer["level"], answer["problems"]) == ("green", [])
    assert answer["plan"]["steps"] == 400
    assert answer["plan"]["epochs"] == 100
    assert answer["plan"]["pictures_seen"] == 400
    assert (answer["plan"]["resolution"], answer["plan"]["learning_rate"]) == (64, 1e-4)
    assert answer["plan"]["instance_prompt"] == "a photo of ohwx cat"
    assert answer["plan"]["formats"] == ("kohya",)
    assert answer["plan"]["model"] == MODEL.title
    assert answer["plan"]["class_pictures_needed"] == 0
    assert 0 < answer["plan"]["disk"] < answer["plan"]["disk_free"]
    assert answer["plan"]["memory"] > MODEL.size
    assert answer["captions"] == {"txt": 0, "caption": 0, "filename": 0, "none": 4}
    assert answer["token"] == {"text": "ohwx", "pieces": ["ohwx"], "ids": [47993], "rare": True, "warnings": []}
    one = answer["pictures"][0]
    assert (one["width"], one["height"], one["level"], one["crop"]) == (96, 96, "green", [0.0, 0.0, 1.0, 1.0])
    assert (one["caption"], one["caption_source"], one["name"]) == ("a photo of ohwx cat", "none", "Picture 1")


def test_an_empty_form_is_red_and_says_why(check):
    answer = check(pictures=(), class_noun="")
    assert answer["level"] == "red"
    assert [one["level"] for one in answer["problems"]] == ["red", "amber"]
    assert "no pictures to learn from; add 3 to 20" in of_field(answer, "pictures")[0]["message"]
    assert "Without a class noun" in of_field(answer, "class_noun")[0]["message"]
    assert answer["plan"]["steps"] == 400


# Pictures ----------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_named_and_removed(check, four, inputs, tmp_path):
    gone = "0" * 64
    known = {"pictures": (four[0], gone, four[1], four[2]), "names": ("a.png", "b.png", "c.png", "d.png")}
    answer = check(**known)
    (problem,) = of_field(answer, "pictures")
    assert (problem["level"], problem["message"]) == ("red", "b.png cannot be read.")
    assert answer["pictures"][1]["remarks"] == ["It is not stored here any more; add it again."]
    assert problem["fix"]["changes"] == {
        "pictures": [four[0], four[1], four[2]],
        "names": ["a.png", "c.png", "d.png"],
    }
    assert mended(check, answer, known, "pictures")["level"] == "green"


def test_copies_are_found_and_removed(check, four, inputs):
    copy = inputs.keep(file_of(picture(0).resize((90, 90)), "JPEG", quality=90))
    known = {"pictures": (*four, copy), "names": ("a", "b", "c", "d", "e"), "captions": ("", "", "", "", "x ohwx cat")}
    answer = check(**known)
    assert answer["level"] == "amber"
    assert answer["pictures"][4]["duplicate_of"] == four[0]
    assert answer["pictures"][4]["remarks"] == ["Nearly the same as a."]
    after = mended(check, answer, known, "pictures")
    assert after["level"] == "green"
    assert len(after["pictures"]) == 4


def test_the_same_picture_twice_is_meant(check, four):
    answer = check(pictures=(*four, four[0]))
    assert answer["level"] == "green"
    assert "counts more" in answer["pictures"][4]["remarks"][0]


def test_small_blurred_turned_and_flat(check, four, inputs):
    small = inputs.keep(file_of(picture(5, 30, 30)))
    soft = inputs.keep(file_of(picture(6).filter(ImageFilter.GaussianBlur(6))))
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = inputs.keep(file_of(picture(7), "JPEG", exif=exif, quality=95))
    holes = picture(8).convert("RGBA")
    holes.putalpha(Image.new("L", holes.size, 128))
    clear = inputs.keep(file_of(holes))
    answer = check(pictures=(*four, small, soft, turned, clear))
    levels = [one["level"] for one in answer["pictures"]]
    assert levels[:5] == ["green"] * 4 + ["amber"]
    assert levels[5] == "amber"
    assert levels[6:] == ["green", "green"]
    remarks = [one["remarks"] for one in answer["pictures"]]
    assert remarks[4][-1] == "30x30 is less than half of the 64 pixels it is trained at; it will be enlarged."
    assert remarks[5] == ["It looks blurred; the subject will be learned blurred."]
    assert remarks[6] == ["Turned upright as its camera says."]
    assert remarks[7] == ["What is transparent becomes white."]
    assert "Picture 5 is too small" in answer["problems"][0]["message"]


def test_shapes_and_crops(check, four, inputs):
    wide, stripe = (inputs.keep(file_of(picture(9, *size))) for size in ((200, 100), (1300, 70)))
    known = {"pictures": (*four, wide)}
    answer = check(**known)
    assert answer["pictures"][4]["remarks"] == ["Its sides are 2.0 to 1: 50 % of it is cut off."]
    assert answer["pictures"][4]["crop"] == [0.25, 0.0, 0.75, 1.0]
    after = mended(check, answer, known, "pictures")
    assert after["level"] == "green"
    assert after["pictures"][4]["crop"] == [0.0, 0.0455, 1.0, 0.9545]  # 88x40: the nearest shape
    assert check(**known, crop="random")["pictures"][4]["crop"] == [0.0, 0.0, 1.0, 1.0]
    left, top, right, bottom = check(**known, crop="focal")["pictures"][4]["crop"]
    assert (top, bottom, round(right - left, 3)) == (0.0, 1.0, 0.5)
    crops = ((0.0,) * 4,) * 4 + ((0.0, 0.0, 0.5, 1.0),)
    cropped = check(**known, crops=crops)
    assert (cropped["level"], cropped["pictures"][4]["crop"]) == ("green", [0.0, 0.0, 0.5, 1.0])
    broken = check(**known, crops=(*crops[:4], (0.9, 0.0, 0.5, 1.0)))
    assert (broken["level"], of_field(broken, "crops")[0]["fix"]["changes"]) == ("red", {"crops": []})
    red = check(pictures=(*four, stripe))
    assert red["level"] == "red"
    assert "is a stripe; crop it." in of_field(red, "pictures")[0]["message"]


@pytest.mark.parametrize("known", [{"crop": "focal"}, {"crop": "focal", "buckets": True}, {"crop": "center"}])
@pytest.mark.parametrize("size", [(200, 100), (90, 170)])
def test_what_is_shown_is_what_is_trained_on(check, inputs, size, known):
    from modules.training.pictures import examples

    ground = Image.new("RGB", size, (90, 120, 90))
    ground.paste(picture(3, 40, 40), (15, 20))
    content = file_of(ground)
    left, top, _, _ = check(pictures=(inputs.keep(content),), **known)["pictures"][0]["crop"]
    (trained,) = examples([content], TrainingPlan(pictures=("a",), **known), 64, 8)
    scale = max(trained.size[0] / size[0], trained.size[1] / size[1])
    assert abs(trained.crop[0] - left * size[0] * scale) <= 1
    assert abs(trained.crop[1] - top * size[1] * scale) <= 1


def test_pictures_are_looked_at_once(checker, four, tokenizer, tmp_path, monkeypatch):
    plan = TrainingPlan(pictures=four, class_noun="cat")
    checker.checked(plan, tokenizer, tmp_path)
    monkeypatch.setattr("modules.services.training.pictures.look", None)  # would raise
    assert len(checker.checked(plan, tokenizer, tmp_path).pictures) == 4


@pytest.mark.parametrize(("count", "said"), [(1, "is one picture"), (2, "are two pictures")])
def test_few_pictures(check, four, count, said):
    (problem,) = of_field(check(pictures=four[:count]), "pictures")
    assert said in problem["message"]


# Words -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "said"),
    [("special", "common word"), ("blue", "is a colour"), ("xxy5syt00", "falls into 7 pieces"), ("unique", "common")],
)
def test_identifiers_that_do_badly(check, identifier, said, four):
    known = {"identifier": identifier, "captions": (f"a {identifier} cat asleep", "", "", "")}
    answer = check(**known)
    (problem,) = of_field(answer, "identifier")
    assert said in problem["message"]
    assert said in answer["token"]["warnings"][0]
    after = mended(check, answer, known, "identifier")
    assert after["level"] == "green"
    assert after["token"]["rare"]
    assert after["pictures"][0]["caption"] == f"a {after['token']['text']} cat asleep"


def test_prompt_and_identifier_must_agree(check):
    known = {"instance_prompt": "a photo of sks cat"}
    answer = check(**known)
    assert answer["level"] == "red"
    after = mended(check, answer, known, "instance_prompt")
    assert (after["level"], after["plan"]["instance_prompt"]) == ("green", "a photo of ohwx cat")
    (problem,) = of_field(check(instance_prompt="a photo of ohwx"), "instance_prompt")
    assert problem["message"] == "The instance prompt 'a photo of ohwx' does not say 'cat'."


def test_captions_without_the_identifier(check):
    known = {"captions": ("a cat on grass", "ohwx cat asleep", "", "a dog")}
    answer = check(**known)
    assert answer["captions"] == {"txt": 0, "caption": 3, "filename": 0, "none": 1}
    amber, green = of_field(answer, "captions")
    assert amber["message"] == "2 of 3 captions do not hold 'ohwx', e.g. 'a cat on grass'."
    assert (green["level"], "do they show something else?" in green["message"]) == ("green", True)
    after = mended(check, answer, known, "captions")
    assert [one["caption"] for one in after["pictures"]] == [
        "ohwx cat, a cat on grass",
        "ohwx cat asleep",
        "a photo of ohwx cat",
        "ohwx cat, a dog",
    ]
    assert after["level"] == "green"


def test_captions_that_are_cut_or_come_from_names(check):
    long = "ohwx cat, " + "on grass, " * 40
    answer = check(captions=(long, "ohwx cat at night", "", ""), names=("a.png", "ohwx_cat_at_night (2).png", "", ""))
    assert "more than 75 tokens" in of_field(answer, "captions")[0]["message"]
    assert answer["captions"] == {"txt": 0, "caption": 1, "filename": 1, "none": 2}


def test_several_folders(check):
    answer = check(names=("10_cat/a.png", "10_cat/b.png", "5_dog/a.png", "5_dog/b.png"))
    assert "one training teaches one subject" in of_field(answer, "pictures")[0]["message"]


def test_an_embedding_needs_neither_identifier_nor_class(check):
    answer = check(method="ti", identifier="blue", class_noun="", name="my-cat")
    assert answer["level"] == "green"
    assert answer["plan"]["instance_prompt"] == "a photo of my-cat"
    assert answer["token"]["text"] == "my-cat"
    known = {"method": "ti", "name": "cat"}
    assert "common word" in of_field(check(**known), "name")[0]["message"]
    prior = {"method": "ti", "with_prior_preservation": True}
    assert mended(check, check(**prior), prior, "with_prior_preservation")["level"] == "green"


# Numbers -----------------------------------------------------------------------------------------------------------------

MENDED = [
    ({"lr_scheduler": "cosine", "lr_warmup_steps": 150}, "lr_warmup_steps", "rises over 150 of 400 steps"),
    ({"method": "dreambooth"}, "with_prior_preservation", "every picture of the class becomes your subject"),
    ({"learning_rate": 2e-3}, "learning_rate", "is high: the model may fall apart; 0.0001 is usual"),
    ({"learning_rate": 1e-6}, "learning_rate", "is low: it may learn nothing"),
    ({"optimizer": "Prodigy", "learning_rate": 1e-4}, "learning_rate", "should be 1, not 0.0001"),
    ({"rank": 64, "alpha": 1.0}, "alpha", "Alpha / rank is 0.0156"),
    ({"max_train_steps": 2000}, "max_train_steps", "Each picture is seen 500 times"),
    ({"resolution": 512}, "resolution", "trained at 64 pixels; at 512 it draws badly"),
    (
        {"with_prior_preservation": True, "class_prompt": "a photo of ohwx cat"},
        "class_prompt",
        "class pictures should not show your subject",
    ),
]


@pytest.mark.parametrize(("known", "field", "said"), MENDED, ids=[f"{one[1]}{n}" for n, one in enumerate(MENDED)])
def test_numbers_far_from_the_usual(check, known, field, said):
    answer = check(**known)
    (problem,) = of_field(answer, field)
    assert (problem["level"], said in problem["message"]) == ("amber", True)
    assert not of_field(mended(check, answer, known, field), field)


def test_usual_numbers_are_not_remarked(check):
    for rate in (1e-4, 1e-3, 1.1e-5):
        assert not of_field(check(learning_rate=rate), "learning_rate")
    assert check(lr_scheduler="constant", lr_warmup_steps=1000)["level"] == "green"  # no rise at all
    answer = check(method="dreambooth", with_prior_preservation=True, num_class_images=7)
    assert (answer["level"], answer["plan"]["class_pictures_needed"]) == ("green", 7)


def test_class_pictures_that_are_there(four, inputs, tokenizer, tmp_path):
    about = {"prompt": "a photo of cat", "sampler": "Euler a", "steps": 20, "cfg_scale": 7.0, "width": 64, "height": 64}
    there = ClassSet(key="abcd", about={**about, "name": "m"}, seeds=(1, 2, 3, 5), bytes=9)
    other = ClassSet(key="efgh", about={**about, "name": "n"}, seeds=tuple(range(50)), bytes=9)
    checker = Checker(model_called, lambda: METHODS, inputs, lambda: [other, there])

    def missing(**known):
        plan = TrainingPlan(pictures=four, class_noun="cat", identifier="ohwx", **known)
        return as_json(checker.checked(plan, tokenizer, tmp_path))["plan"]["class_pictures_missing"]

    assert missing(with_prior_preservation=True, num_class_images=6) == 2
    assert missing(with_prior_preservation=True, num_class_images=4) == 0
    assert missing(with_prior_preservation=True, num_class_images=6, class_steps=30) == 6
    assert missing(with_prior_preservation=True, num_class_images=6, class_seed=100) == 6
    assert missing(num_class_images=6) == 0


def test_own_class_pictures(check, four):
    known = {"with_prior_preservation": True, "class_source": "own"}
    answer = check(**known)
    assert mended(check, answer, known, "class_pictures")["level"] == "green"
    bad = {**known, "class_pictures": (four[0], "f" * 64)}
    assert "1 class pictures cannot be read" in of_field(check(**bad), "class_pictures")[0]["message"]
    assert mended(check, check(**bad), bad, "class_pictures")["level"] == "green"


def test_a_disk_that_is_too_small(check, monkeypatch):
    monkeypatch.setattr("modules.services.training.estimates.shutil.disk_usage", lambda path: Disk(free=1000))
    answer = check()
    (problem,) = of_field(answer, "keep_last")
    assert problem["level"] == "red"
    assert "on the disk, where 1 kB are free" in problem["message"]
    assert problem["fix"]["changes"] == {"keep_last": 1}
    assert "fix" not in of_field(check(keep_last=1), "keep_last")[0]


class Disk:
    def __init__(self, free):
        self.free = free


@pytest.mark.parametrize(
    ("known", "field"),
    [
        ({"model": "missing"}, "model"),
        ({"model": "none"}, "model"),
        ({"method": "lorra"}, "method"),
        ({"formats": ("pt",)}, "formats"),
        ({"rank": 0}, "rank"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"captions": ("a",)}, "captions"),
        ({"names": ("a",) * 9}, "names"),
        ({"class_noun": "", "with_prior_preservation": True}, "class_noun"),
        ({"pictures": ("0" * 64,) * 2001}, "pictures"),
        ({"name": "a\0b"}, "name"),
        ({"max_train_steps": 10**500}, "max_train_steps"),
    ],
)
def test_what_cannot_be_started_is_red_and_never_an_error(check, known, field):
    answer = check(**known)
    assert answer["level"] == "red"
    assert [one["level"] for one in of_field(answer, field)] == ["red"]
    assert answer["problems"][0]["level"] == "red"
    assert answer["plan"]["steps"] > 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "method": st.sampled_from(["lora", "dreambooth", "ti", "x"]),
            "identifier": st.text(max_size=8),
            "class_noun": st.text(max_size=8),
            "instance_prompt": st.text(max_size=20),
            "learning_rate": st.floats(),
            "max_train_steps": st.integers(),
            "train_batch_size": st.integers(),
            "rank": st.integers(),
            "alpha": st.floats(),
            "resolution": st.integers(),
            "captions": st.lists(st.text(max_size=9), max_size=5).map(tuple),
            "crops": st.lists(st.tuples(*[st.floats()] * 4), max_size=5).map(tuple),
            "keep_last": st.integers(),
            "save_precision": st.text(max_size=5),
            "with_prior_preservation": st.booleans(),
        },
    )
)
def test_any_plan_is_answered(check, known):
    answer = check(**known)
    assert answer["level"] in ("green", "amber", "red")
    assert all(one["message"] and one["field"] in vars(TrainingPlan()) for one in answer["problems"])


def test_what_is_not_red_can_be_completed(check, four):
    plan = TrainingPlan(pictures=four, class_noun="cat", identifier="ohwx")
    assert check()["level"] != "red"
    assert resolved_plan(replace(plan), MODEL, METHODS).checked()
