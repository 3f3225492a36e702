"""The page as Gradio describes it to the browser: built on a real studio, before anybody looks."""

import re

import gradio as gr
import pytest
from web.http.serving import ENGINE, write_checkpoint

from modules.core.extension_points import Tab
from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.core.plugins import Plugins
from modules.services.build import open_studio
from modules.web.page import ASSETS, SCRIPTS, build_page, mount_options, page_head
from modules.web.widgets.model_choice import describe

SERVICES = ("modules.storage.backends", "modules.services.dispatch", "modules.services.setting_groups")


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_checkpoint(folder / "models" / "Stable-diffusion" / "tiny.safetensors", size="64x96")
    (folder / "models" / "Stable-diffusion" / "torn.safetensors").write_bytes(b"\0" * 64)
    plugins = Plugins("web")
    for package in SERVICES:
        plugins.add_package(package)
    flags = parse_flags(["--data-dir", str(folder), "--use-cpu", "all"], {})
    with open_studio(flags, Places.of(flags), plugins, engine_command=ENGINE) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(studio) -> gr.Blocks:
    plugins = Plugins("web")
    plugins.add_package("modules.web.tabs")
    return build_page(studio, plugins.collect("register_tabs").values())


@pytest.fixture(scope="module")
def components(page):
    return {
        one["props"]["elem_id"]: one["props"]
        for one in page.get_config_file()["components"]
        if one["props"].get("elem_id")
    }


def test_the_form_starts_with_the_models_size(components):
    assert components["txt2img_width"]["value"] == 64
    assert components["txt2img_height"]["value"] == 96


def test_models_are_listed_and_a_torn_one_is_marked(components):
    labels = [label for label, _ in components["setting_sd_model_checkpoint"]["choices"]]
    assert any(label.startswith("tiny") for label in labels)
    assert any("torn" in label and label.endswith("(cannot be used)") for label in labels)


def test_every_field_of_the_tab_has_label_and_range_of_the_request(components):
    steps = components["txt2img_steps"]
    assert (steps["label"], steps["minimum"], steps["maximum"], steps["value"]) == ("Sampling steps", 1, 150, 20)
    assert components["txt2img_batch_size"]["maximum"] == 8
    assert components["txt2img_cfg_scale"]["step"] == 0.5


def test_no_event_is_offered_as_an_api_of_gradio_and_none_waits_in_its_queue(page):
    for event in page.get_config_file()["dependencies"]:
        assert event["api_visibility"] != "public"
        assert event["queue"] is False


def test_opening_the_page_costs_few_questions(page):
    loads = [
        one for one in page.get_config_file()["dependencies"] if ("load" in str(one["targets"])) and one["backend_fn"]
    ]
    assert len(loads) <= 3


def test_tabs_are_placed_by_their_order(studio):
    placed = []
    tabs = [
        Tab(name=name, id=name, build=lambda _, name=name: placed.append(name), order=order)
        for name, order in (("b", 2), ("a", 1))
    ]
    build_page(studio, tabs)
    assert placed == ["a", "b"]


def test_the_head_holds_style_and_every_script_and_nothing_from_outside():
    head = page_head()
    assert {f"{name}.js" for name in SCRIPTS} == {path.name for path in ASSETS.glob("*.js")}
    assert "--at-accent:" in head
    assert not re.search(r"(?:src|href)=|@import|url\(['\"]?(?:https?:)?//", head)
    assert head.count("</script>") == 1
    assert head.count("</style>") == 1


def test_gradio_adds_nothing_of_its_own():
    options = mount_options()
    assert options["footer_links"] == []
    assert options["run_history"] is False
    assert (ASSETS / "icon.png").is_file()


def test_a_model_is_described_for_the_script_and_escaped(studio):
    torn = next(one for one in studio.library.models() if one.problem)
    assert torn.problem.split(",")[0].replace("'", "&#x27;") in describe(torn)
    assert "There is no model" in describe(None)
    assert "&lt;b&gt;" in describe(None, "<b>")
