"""Settings and the fields they fill in agree: names, defaults, ranges, options."""

from dataclasses import fields

import pytest
from services.small_things import web_plugins

from modules.core.fields import shown_fields
from modules.core.requests import EditRequest, ImageRequest, UpscaleRequest
from modules.services.request_defaults import FIELD_OF, defaults_from, fields_from
from modules.services.settings import Settings


@pytest.fixture
def registered():
    plugins = web_plugins()
    return lambda: plugins.collect("register_settings")


@pytest.fixture
def settings(registered, places) -> Settings:
    return Settings(registered, places.settings)


def known_fields() -> dict:
    return {one.name: (one, known) for kind in (UpscaleRequest, EditRequest) for one, known in shown_fields(kind)}


@pytest.mark.parametrize("name", FIELD_OF)
def test_every_setting_is_there_and_every_field(settings, name):
    assert name in settings.registered
    there = {one.name for kind in (EditRequest, UpscaleRequest) for one in fields(kind)}
    assert FIELD_OF[name] in there


@pytest.mark.parametrize("name", FIELD_OF)
def test_a_setting_allows_what_its_field_allows(settings, name):
    if FIELD_OF[name] not in known_fields():
        return  # a field that no form shows
    setting, (field, known) = settings.registered[name], known_fields()[FIELD_OF[name]]
    assert setting.default == field.default
    assert type(setting.default) is type(field.default)
    assert set(setting.options) == set(known.options)
    lowest = known.minimum if known.lowest is None else known.lowest
    highest = known.maximum if known.highest is None else known.highest
    assert (setting.minimum, setting.maximum) == (lowest, highest)


@pytest.mark.parametrize("kind", [ImageRequest, EditRequest])
def test_untouched_settings_change_nothing(settings, kind):
    """A request made of them is the one made of nothing."""
    assert kind(**defaults_from(settings, kind)) == kind()


def test_only_fields_the_request_has(settings):
    assert "exact_steps" not in defaults_from(settings, ImageRequest)
    assert defaults_from(settings, EditRequest)["exact_steps"] is False
    assert set(defaults_from(settings, UpscaleRequest)) == {"save", "tile", "tile_overlap"}


def test_each_setting_arrives(settings):
    news = {
        "CLIP_stop_at_last_layers": 2,
        "randn_source": "NV",
        "eta_noise_seed_delta": 31337,
        "s_churn": 3,
        "s_tmax": 9.5,
        "rho": 5,
        "sgm_noise_multiplier": True,
        "always_discard_next_to_last_sigma": True,
        "use_old_scheduling": True,
        "sd_vae": "kl.safetensors",
        "fp8_storage": "Enable",
        "img2img_fix_steps": True,
        "initial_noise_multiplier": 0.9,
        "samples_save": False,
    }
    settings.set(news)
    made = EditRequest(**defaults_from(settings, EditRequest))
    assert {name: getattr(made, FIELD_OF[name]) for name in news} == news
    made_again = fields_from(news, EditRequest)
    assert made_again == {FIELD_OF[name]: value for name, value in news.items()}, "and nothing but them"


def test_edits_have_a_token_merging_ratio_of_their_own(settings):
    settings.set({"token_merging_ratio": 0.3})
    assert defaults_from(settings, EditRequest)["token_merging_ratio"] == 0.3
    settings.set({"token_merging_ratio_img2img": 0.5})
    assert defaults_from(settings, EditRequest)["token_merging_ratio"] == 0.5
    assert defaults_from(settings, ImageRequest)["token_merging_ratio"] == 0.3


def test_every_setting_explains_itself(settings):
    for setting in settings.registered.values():
        assert setting.label, setting.name
        assert setting.help.endswith("."), setting.name
        assert setting.section != "General", setting.name
        assert setting.checked(setting.default) == setting.default
        number = isinstance(setting.default, int | float) and not isinstance(setting.default, bool)
        assert not number or setting.options or None not in (setting.minimum, setting.maximum), setting.name


def test_what_is_closed_cannot_be_opened(settings):
    for name, wanted in (("api_enable_requests", True), ("api_forbid_local_requests", False), ("api_useragent", "x")):
        assert wanted not in settings.registered[name].options
