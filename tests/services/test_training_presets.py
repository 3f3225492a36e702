"""Presets and what a plan's open fields become: the papers' own values, and plans that are complete."""

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.core.errors import InvalidRequest
from modules.core.events import Choice
from modules.core.requests import ModelRecord
from modules.core.training import TrainingPlan
from modules.core.training_fields import LONGEST_FILE_NAME
from modules.services.training.defaults import KNOWN_METHODS, free_name, holds
from modules.services.training.presets import PRESETS, preset_values, resolved_plan

MODEL = ModelRecord(name="m", path="m", title="m", size=0, modified=0, width=512, height=512)


def plan_with(pictures=3, **known):
    values = {"class_noun": "cat", **known}
    return TrainingPlan(pictures=tuple(f"{n:064d}" for n in range(pictures)), **values)


def done(pictures=3, **known):
    return resolved_plan(plan_with(pictures, **known), MODEL)


def of_preset(name, pictures=3, **more):
    return done(pictures, **{"class_noun": "cat", **preset_values(name), **more})


# Presets -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [one.name for one in PRESETS])
def test_a_preset_is_a_plan_and_leaves_nothing_of_another(name):
    known = {one.name for one in fields(TrainingPlan)}
    values = preset_values(name)
    assert set(values) <= known
    assert set(values) - {"class_noun"} == set(preset_values(PRESETS[0].name))
    plan = of_preset(name).checked()
    assert plan.learning_rate == values["learning_rate"] > 0
    assert resolved_plan(plan, MODEL) == plan
    assert next(one for one in PRESETS if one.name == name).note


def test_the_dreambooth_paper():
    plan = of_preset("Paper: DreamBooth 2022", 4)
    assert (plan.method, plan.learning_rate, plan.prior_loss_weight) == ("dreambooth", 1e-5, 1.0)
    assert (plan.with_prior_preservation, plan.num_class_images) == (True, 800)
    assert plan.max_train_steps == 800  # 200 epochs of 4 pictures
    assert (plan.instance_prompt, plan.class_prompt) == ("a sks cat", "a cat")
    assert plan.class_sampler == "Euler a"  # ancestral
    assert of_preset("Paper: DreamBooth 2022", 4, train_batch_size=2).max_train_steps == 400
    assert of_preset("Paper: DreamBooth 2022", 4, num_class_images=50).num_class_images == 50


@pytest.mark.parametrize(
    ("name", "method", "steps", "rate", "prior"),
    [
        ("full-high", "dreambooth", 800, 5e-6, True),
        ("full-low", "dreambooth", 1300, 1e-6, True),
        ("LoRA", "lora", 601, 1e-4, False),
        ("textual inversion", "textual_inversion", 2000, 5e-4, False),
    ],
)
def test_subject2subject(name, method, steps, rate, prior):
    plan = of_preset(f"Paper: Subject2Subject {name}", 18)
    assert (plan.method, plan.max_train_steps, plan.learning_rate) == (method, steps, rate)
    assert plan.with_prior_preservation is prior
    assert not plan.train_text_encoder
    assert plan.train_batch_size == 1  # the paper's batch of 2 is a picture and a class picture
    if method == "textual_inversion":
        assert (plan.initializer_token, plan.num_vectors) == ("cat", 1)
    else:
        assert plan.instance_prompt == "a photo of <sks-cat>"
    if prior:
        assert (plan.class_prompt, plan.num_class_images) == ("a photo of the cat", 200)
    if method == "lora":
        assert (plan.rank, plan.alpha, plan.targets) == (4, 4.0, "attention")


def test_the_blog():
    plan = of_preset("blog: 3 pictures")
    assert (plan.method, plan.max_train_steps, plan.instance_prompt) == ("dreambooth", 200, "a sks cat")
    assert not plan.with_prior_preservation
    assert not plan.train_text_encoder


def test_the_recommended_ones():
    lora = of_preset("Person or pet, LoRA", 5)
    assert (lora.rank, lora.alpha, lora.learning_rate) == (16, 16.0, 1e-4)
    assert (lora.train_text_encoder, lora.text_encoder_lr, lora.stop_text_encoder) == (True, 5e-5, 0.75)
    assert (lora.max_train_steps, lora.with_prior_preservation) == (500, False)
    full = of_preset("Best likeness, full DreamBooth")
    assert (full.learning_rate, full.num_class_images, full.prior_loss_weight) == (2e-6, 200, 1.0)
    assert (full.with_prior_preservation, full.use_ema) == (True, False)
    style = of_preset("Style")
    assert (style.instance_prompt, style.preview_prompts[1]) == ("a picture in sks style", "a house in sks style")
    small = of_preset("Small file (embedding)")
    assert (small.method, small.num_vectors, small.max_train_steps) == ("textual_inversion", 4, 2000)
    low = of_preset("Low memory (8-12 GB)")
    assert (low.optimizer, low.gradient_checkpointing, low.cache_latents) == ("AdamW 8-bit", True, True)
    tried = of_preset("Try it (starter world)")
    assert (tried.max_train_steps, tried.train_text_encoder, tried.with_prior_preservation) == (600, True, True)


def test_presets_by_name():
    assert preset_values("") == {}
    assert preset_values("STYLE")["preset"] == "Style"
    with pytest.raises(InvalidRequest, match="did you mean 'Style'"):
        preset_values("Stile")


# What is left open -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pictures", "steps"), [(1, 400), (3, 400), (5, 500), (12, 1200), (60, 2000)])
def test_steps_by_the_number_of_pictures(pictures, steps):
    plan = done(pictures)
    assert plan.max_train_steps == steps
    assert (plan.preview_every, plan.save_every) == (steps // 10, steps // 5)
    assert done(pictures, max_train_steps=7, preview_every=-1, save_every=3).max_train_steps == 7


@pytest.mark.parametrize(
    ("method", "rate", "format"),
    [
        ("lora", 1e-4, "kohya"),
        ("dreambooth", 2e-6, "checkpoint"),
        ("full", 2e-6, "checkpoint"),
        ("textual_inversion", 5e-3, "embedding"),
        ("custom_diffusion", 1e-5, "checkpoint"),
    ],
)
def test_rates_and_formats_are_the_methods(method, rate, format):
    plan = done(method=method)
    assert (plan.learning_rate, plan.text_encoder_lr, plan.formats) == (rate, rate / 2, (format,))
    assert plan.method != "full"
    told = (Choice(name="lora", options=("peft", "kohya"), value=3e-4),)
    if method == "lora":
        plan = resolved_plan(plan_with(), MODEL, told)
        assert (plan.learning_rate, plan.formats) == (3e-4, ("peft",))
        assert resolved_plan(plan_with(formats=("kohya", "kohya")), MODEL, told).formats == ("kohya",)
        with pytest.raises(InvalidRequest, match="cannot be saved as 'pt'"):
            resolved_plan(plan_with(formats=("pt",)), MODEL, told)


def test_the_methods_known_before_an_engine_are_the_engines():
    from modules.core.plugins import Plugins

    plugins = Plugins("engine")
    plugins.add_package("modules.training.methods")
    real = plugins.collect("register_training_methods").values()
    told = {one.name: (one.formats[:1], one.learning_rate) for one in real}
    assert {one.name: (one.options, one.value) for one in KNOWN_METHODS} == told


def test_prodigy_finds_its_rate():
    plan = done(optimizer="Prodigy")
    assert (plan.learning_rate, plan.text_encoder_lr) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("width", "height", "side"), [(512, 512, 512), (1024, 1024, 1024), (64, 96, 64), (4000, 4000, 2048)]
)
def test_the_resolution_is_the_checkpoints(width, height, side):
    model = replace(MODEL, width=width, height=height)
    assert resolved_plan(plan_with(), model).resolution == side
    assert resolved_plan(plan_with(resolution=256), model).resolution == 256


def test_an_unknown_method():
    with pytest.raises(InvalidRequest, match=r"did you mean 'lora'\?") as raised:
        done(method="lorra")
    assert raised.value.problems[0].field == "method"


# Words -------------------------------------------------------------------------------------------------------------------


def test_prompts_are_composed():
    plan = done(identifier=" ohwx ", class_noun="old  dog", with_prior_preservation=True)
    assert (plan.identifier, plan.class_noun) == ("ohwx", "old dog")
    assert (plan.instance_prompt, plan.class_prompt) == ("a photo of ohwx old dog", "a photo of old dog")
    assert plan.preview_prompts == (
        "a photo of ohwx old dog",
        "a photo of ohwx old dog in the snow",
        "a photo of a old dog",
    )
    assert done(class_noun="").instance_prompt == "a photo of sks"
    assert done(preview_every=-1).preview_prompts == ()
    assert done(preview_prompts=("x [identifier]",)).preview_prompts == ("x sks",)


def test_the_noun_is_read_from_the_prompt():
    plan = done(class_noun="", instance_prompt="a photo of sks dog on grass", with_prior_preservation=True)
    assert (plan.class_noun, plan.class_prompt) == ("dog", "a photo of dog")


def test_a_prompt_without_the_identifier():
    with pytest.raises(InvalidRequest, match="does not hold the identifier 'sks'; write both alike") as raised:
        done(instance_prompt="a photo of ohwx dog")
    assert raised.value.problems[0].field == "instance_prompt"
    assert done(instance_prompt="a photo of my dog", identifier="").instance_prompt == "a photo of my dog"


def test_class_pictures_need_a_class():
    with pytest.raises(InvalidRequest, match="needs to know what it is") as raised:
        done(class_noun="", with_prior_preservation=True)
    assert raised.value.problems[0].field == "class_noun"
    assert done(class_noun="", with_prior_preservation=True, class_prompt="pets").class_prompt == "pets"


def test_an_embedding_is_called_by_its_name():
    plan = done(method="ti", name="my cat", captions=("", "a photo of sks cat", "asleep", "my-cat asleep"), pictures=4)
    assert (plan.name, plan.instance_prompt, plan.initializer_token) == ("my-cat", "a photo of my-cat", "cat")
    assert plan.captions == ("", "a photo of my-cat cat", "my-cat, asleep", "my-cat asleep")
    assert done(method="ti", instance_prompt="a photo of sks cat").instance_prompt == "a photo of sks-cat cat"


def test_words_are_words():
    assert holds("Sks, cat", "sks")
    assert holds("a (sks:1.2) cat", "sks")
    assert not holds("asks", "sks")
    assert not holds("", "sks")


# Names of files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("sks cat", "sks-cat"),
        ("../../etc/passwd", "etc-passwd"),
        ("a/b\\c:d", "a-b-c-d"),
        ("CON", "CON-1"),
        ("aux.x", "aux.x-1"),
        ("...", "subject"),
        ("kätzchen 猫", "kätzchen-猫"),
        ("x" * 300, "x" * LONGEST_FILE_NAME),
    ],
)
def test_names_are_files_everywhere(wanted, name):
    assert free_name(wanted, ()) == name


def test_no_name_is_used_twice():
    assert free_name("cat", {"CAT", "cat-2"}) == "cat-3"
    plan = resolved_plan(plan_with(name="cat"), MODEL, (), {"cat"})
    assert plan.name == "cat-2"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_name_is_made_safe(wanted):
    name = free_name(wanted, ())
    assert 0 < len(name) <= LONGEST_FILE_NAME + 2
    assert not set(name) & set('/\\:*?"<>|\0 \n')
    assert name[0] not in ".-"
    assert free_name(name, ()) == name


@settings(max_examples=80, deadline=None)
@given(
    st.text(max_size=12),
    st.text(max_size=12),
    st.text(max_size=30),
    st.sampled_from(["lora", "dreambooth", "textual_inversion", "custom_diffusion"]),
    st.integers(1, 30),
)
def test_a_complete_plan_stays_as_it_is(identifier, noun, prompt, method, pictures):
    asked = plan_with(pictures, identifier=identifier, class_noun=noun, instance_prompt=prompt, method=method)
    try:
        plan = resolved_plan(asked, MODEL)
    except InvalidRequest:
        return
    assert resolved_plan(plan, MODEL) == plan
    assert plan.learning_rate > 0
    assert plan.max_train_steps > 0
    assert plan.instance_prompt
