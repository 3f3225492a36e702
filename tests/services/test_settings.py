"""Settings: validated, all or none, on disk; whatever is in the file."""

import json
import threading

import pytest
from services.small_things import web_plugins

from modules.core.errors import InvalidOption, StorageFailed
from modules.core.requests import ImageRequest
from modules.services.settings import Settings


@pytest.fixture
def registered():
    plugins = web_plugins()
    return lambda: plugins.collect("register_settings")


@pytest.fixture
def settings(registered, places) -> Settings:
    return Settings(registered, places.settings)


def test_defaults(settings, places):
    assert settings.get("samples_save") is True
    assert settings.get("CLIP_stop_at_last_layers") == 1
    assert settings.all()["emphasis"] == "Original"
    assert not places.settings.exists()


def test_defaults_are_those_of_a_request(settings):
    request = ImageRequest()
    assert settings.get("CLIP_stop_at_last_layers") == request.clip_skip
    assert settings.get("emphasis") == request.emphasis
    assert settings.get("comma_padding_backtrack") == request.comma_backtrack
    assert settings.get("randn_source") == request.noise_source


def test_set_is_remembered(settings, registered, places):
    settings.set({"CLIP_stop_at_last_layers": "2", "samples_save": False})
    again = Settings(registered, places.settings)
    assert (again.get("CLIP_stop_at_last_layers"), again.get("samples_save")) == (2, False)
    assert json.loads(places.settings.read_text()) == {"CLIP_stop_at_last_layers": 2, "samples_save": False}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CLIP_stop_at_last_layers", 13, "between 1 and 12"),
        ("CLIP_stop_at_last_layers", "two", "of type int"),
        ("CLIP_stop_at_last_layers", None, "of type int"),
        ("eta_ddim", float("nan"), "between 0 and 1"),
        ("emphasis", "Loud", "one of None, Ignore, Original, No norm"),
        ("samples_save", "perhaps", "of type bool"),
        ("emphasiss", "None", "did you mean 'emphasis'"),
        ("outdir_samples", "/etc", "there is no setting"),
    ],
)
def test_what_cannot_be_is_refused_as_a_whole(settings, places, name, value, sentence):
    with pytest.raises(InvalidOption, match=sentence):
        settings.set({"comma_padding_backtrack": 5, name: value})
    assert settings.get("comma_padding_backtrack") == 20
    assert not places.settings.exists()


def test_the_same_value_writes_nothing(settings, places):
    settings.set({"samples_save": False})
    before = places.settings.stat().st_mtime_ns
    settings.set({"samples_save": "false"})
    assert places.settings.stat().st_mtime_ns == before


def test_values_of_others_stay_in_the_file(registered, places):
    places.settings.write_text(json.dumps({"from_an_extension": [1, 2], "eta_ddim": 0.5}))
    Settings(registered, places.settings).set({"samples_save": False})
    assert json.loads(places.settings.read_text())["from_an_extension"] == [1, 2]


def test_a_value_spoiled_by_hand_is_the_default(registered, places):
    places.settings.write_text(json.dumps({"eta_ddim": "much", "CLIP_stop_at_last_layers": 99}))
    settings = Settings(registered, places.settings)
    assert (settings.get("eta_ddim"), settings.get("CLIP_stop_at_last_layers")) == (0.0, 1)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b"", b"[" * 100_000])
def test_a_damaged_file_is_kept_aside(registered, places, content):
    places.settings.write_bytes(content)
    settings = Settings(registered, places.settings)
    assert settings.get("eta_ddim") == 0.0
    assert places.settings.with_name("config.json.damaged").read_bytes() == content
    settings.set({"eta_ddim": 0.5})


def test_disk_full_changes_nothing(settings, places):
    places.settings.mkdir()
    with pytest.raises(StorageFailed):
        settings.set({"eta_ddim": 0.5})
    assert settings.get("eta_ddim") == 0.0


def test_many_threads(settings, registered, places):
    names = ["eta_ddim", "eta_ancestral", "samples_save", "live_previews_enable"]
    threads = [threading.Thread(target=settings.set, args=[{name: 0}]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(json.loads(places.settings.read_text())) == set(names)


def test_settings_of_extensions_that_are_loaded_later(places, tmp_path):
    plugins = web_plugins()
    settings = Settings(lambda: plugins.collect("register_settings"), places.settings)
    assert "loudness" not in settings.all()
    (tmp_path / "extensions" / "loud").mkdir(parents=True)
    (tmp_path / "extensions" / "loud" / "plugin.py").write_text(
        "from modules.core.extension_points import hookimpl\n"
        "from modules.core.settings import Setting\n\n"
        "@hookimpl\n"
        "def register_settings():\n"
        "    return [Setting(name='loudness', default=3, label='Loudness')]\n"
    )
    plugins.add_extensions(tmp_path / "extensions")
    assert settings.get("loudness") == 3
    settings.set({"loudness": 5})
    assert settings.all()["loudness"] == 5
