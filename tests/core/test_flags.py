"""The command line: the field's flags and meanings, and sentences for what cannot be."""

from pathlib import Path

import pytest

from modules.core.errors import InvalidOption
from modules.core.flags import ROOT, logins, parse_flags
from modules.core.places import Places


def flags(*words, environment=None):
    return parse_flags(words, environment or {})


def test_without_flags_only_this_machine_is_served():
    plain = flags()
    assert (plain.port, plain.host, plain.serves_api, plain.memory) == (7860, "127.0.0.1", False, "normal")
    assert plain.data_dir == ROOT
    assert plain.models_dir == ROOT / "models"


def test_the_api_alone_has_the_fields_port():
    assert flags("--nowebui").port == 7861
    assert flags("--nowebui", "--port", "9").port == 9
    assert flags("--nowebui").serves_api


def test_commandline_args_come_first_and_the_command_line_wins():
    both = flags("--port", "2", environment={"COMMANDLINE_ARGS": "--port 1 --api --data-dir '/tmp/a b'"})
    assert (both.port, both.api, both.data_dir) == (2, True, Path("/tmp/a b"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--prot", "1"], "unknown flag '--prot'; did you mean --port?"),
        (["--gradio-auht=a:b"], "unknown flag '--gradio-auht'; did you mean --gradio-auth?"),
        (["--zzzzzz"], "./webui.sh --help lists all flags"),
        (["--listen"], "add a login with --gradio-auth"),
        (["--listen", "--gradio-auth", "a:b", "--api"], "add a login with --api-auth"),
        (["--gradio-auth", "a"], "without a name or password"),
        (["--api-auth", "a:b,:c"], "without a name or password"),
        (["--port", "70000"], "between 1 and 65535"),
        (["--port", "x"], "invalid int value"),
    ],
)
def test_what_cannot_be_is_a_sentence(words, sentence):
    with pytest.raises(InvalidOption, match=r".*") as caught:
        flags(*words)
    assert sentence in str(caught.value)


def test_listen_with_a_login_serves_the_network():
    assert flags("--listen", "--gradio-auth", "a:b").host == "0.0.0.0"
    assert flags("--listen", "--nowebui", "--api-auth", "a:b").host == "0.0.0.0"


def test_logins():
    assert logins(" ann:secret , bob:a:b") == {"ann": "secret", "bob": "a:b"}
    assert logins("") == {}


def test_memory_policy():
    assert flags("--medvram").memory == "medvram"
    assert flags("--medvram", "--lowvram").memory == "lowvram"


def test_places_follow_the_flags(tmp_path):
    places = Places.of(flags("--data-dir", str(tmp_path), "--ckpt-dir", str(tmp_path / "more")))
    assert places.outputs == tmp_path / "outputs"
    assert places.checkpoint_folders == (
        tmp_path / "models/Stable-diffusion",
        tmp_path / "more",
        ROOT / "models/Stable-diffusion",
    )
    assert places.database.parent == places.outputs


def test_use_cpu_takes_the_fields_words():
    assert flags("--use-cpu", "all").use_cpu == ("all",)


def test_folders_of_networks(tmp_path):
    given = {"vae": "--vae-dir", "lora": "--lora-dir", "embedding": "--embeddings-dir"}
    words = [word for kind, flag in given.items() for word in (flag, str(tmp_path / kind))]
    plain = Places.of(parse_flags(["--data-dir", str(tmp_path)], {}))
    places = Places.of(parse_flags(["--data-dir", str(tmp_path), *words, "--no-hashing"], {}))
    models = tmp_path / "models"
    assert plain.folders("lora") == (models / "Lora", models / "LyCORIS")
    assert places.folders("lora") == (models / "Lora", models / "LyCORIS", tmp_path / "lora")
    assert places.folders("vae") == (models / "VAE", tmp_path / "vae")
    assert plain.folders("embedding") == (tmp_path / "embeddings", models / "embeddings")
    assert places.folders("embedding") == (tmp_path / "embedding", models / "embeddings")
    assert plain.folders("upscaler")[0] == models / "ESRGAN"
    assert plain.folders("hypernetwork") == (models / "hypernetworks",)
