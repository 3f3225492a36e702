"""The door: built-ins and real extension folders; a broken extension costs itself only."""

import types

import pytest

from modules.core.errors import UnknownName
from modules.core.extension_points import Sampler, Tab, hookimpl
from modules.core.plugins import Plugins
from modules.core.requests import ImageRequest

GOOD = """
from modules.core.extension_points import Sampler, hookimpl

@hookimpl
def register_samplers():
    return [Sampler(name="{name}", sample=lambda denoise, x, sigmas, on_step: x)]
"""


@pytest.fixture
def plugins():
    return Plugins("web")


@pytest.fixture
def extension(tmp_path):
    def write(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plugin.py").write_text(text)
        return tmp_path

    return write


def builtin(**functions):
    module = types.ModuleType("builtin")
    for name, function in functions.items():
        setattr(module, name, function)
    return module


@hookimpl
def register_samplers():
    return [Sampler(name="Euler", sample=lambda denoise, x, sigmas, on_step: x, aliases=("k_euler",))]


def problem_of(plugins, name):
    return next(report.problem for report in plugins.reports() if report.name == name)


def test_ours_and_theirs_stand_in_one_list(plugins, extension):
    plugins.add_module(builtin(register_samplers=register_samplers))
    plugins.add_extensions(extension("mine", GOOD.format(name="Mine")))
    assert list(plugins.collect("register_samplers")) == ["Euler", "Mine"]
    assert plugins.collect("register_samplers").find("K_euler").name == "Euler"
    assert [(report.name, report.problem) for report in plugins.reports()] == [("mine", "")]


def test_an_unknown_name_gets_a_suggestion(plugins):
    plugins.add_module(builtin(register_samplers=register_samplers))
    with pytest.raises(UnknownName, match="no sampler is called 'Eulr'; did you mean 'Euler'"):
        plugins.collect("register_samplers").find("Eulr")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("import a_package_nobody_has", "No module named 'a_package_nobody_has'"),
        (
            "from modules.core.extension_points import hookimpl\n@hookimpl\ndef register_smaplers(): return []",
            "no hook is called 'register_smaplers'; did you mean 'register_samplers'?",
        ),
        (GOOD.format(name="Euler"), "'Euler' is taken already"),
        (GOOD.format(name="K_EULER"), "'K_EULER' is taken already"),
        (
            GOOD.replace("return [Sampler", "return [print] or [Sampler").format(name="x"),
            "answered builtin_function_or_method",
        ),
        (GOOD.replace("return", "1/0; return").format(name="x"), "ZeroDivisionError"),
    ],
    ids=[
        "raises",
        "exits",
        "syntax",
        "import",
        "unknown hook",
        "name taken",
        "alias taken",
        "wrong type",
        "hook raises",
    ],
)
def test_a_broken_extension_costs_itself_only(plugins, extension, text, reason):
    plugins.add_module(builtin(register_samplers=register_samplers))
    extension("bad", text)
    plugins.add_extensions(extension("good", GOOD.format(name="Good")))
    assert list(plugins.collect("register_samplers")) == ["Euler", "Good"]
    assert reason in problem_of(plugins, "bad")
    assert problem_of(plugins, "good") == ""


def test_a_disabled_extension_is_not_loaded(plugins, extension):
    plugins.add_extensions(extension("off", "raise SystemExit"), disabled=["off"])
    assert plugins.reports() == ()


def test_an_error_in_ours_stops_the_start(plugins):
    @hookimpl
    def register_samplers():
        raise RuntimeError("our mistake")

    plugins.add_module(builtin(register_samplers=register_samplers))
    with pytest.raises(RuntimeError, match="our mistake"):
        plugins.collect("register_samplers")


def test_a_failing_listener_does_not_silence_the_next(plugins, extension, tmp_path):
    heard = "from modules.core.extension_points import hookimpl\n@hookimpl\ndef stopping():\n    {}\n"
    extension("a_bad", heard.format("raise ValueError('x')"))
    plugins.add_extensions(extension("b_good", heard.format(f"open({str(tmp_path / 'heard')!r}, 'w').close()")))
    plugins.tell("stopping")
    assert (tmp_path / "heard").exists()
    assert "ValueError: x" in problem_of(plugins, "a_bad")
    plugins.tell("stopping")  # the bad one is not asked again


def test_a_listener_takes_only_the_arguments_it_names(plugins):
    heard = []

    @hookimpl
    def image_saved(path):
        heard.append(path)

    plugins.add_module(builtin(image_saved=image_saved))
    plugins.tell("image_saved", path="a.png", request=ImageRequest())
    assert heard == ["a.png"]
    assert plugins.anyone("image_saved")
    assert not plugins.anyone("step_done")


def test_a_request_passes_along_the_plugins(plugins):
    @hookimpl
    def request_received(request):
        return ImageRequest(prompt=request.prompt + ", masterpiece")

    plugins.add_module(builtin(request_received=request_received))
    assert plugins.pass_along("request_received", ImageRequest(prompt="cat")).prompt == "cat, masterpiece"


def test_no_folder_of_extensions_is_no_error(plugins, tmp_path):
    plugins.add_extensions(tmp_path / "nowhere")
    assert plugins.reports() == ()


def test_an_extensions_tab_or_route_that_cannot_be_built_costs_itself_only(plugins, extension):
    text = """
from modules.core.extension_points import Routes, Tab, hookimpl

@hookimpl
def register_tabs():
    return [Tab(name="Bad", id="bad", build=lambda studio: 1 / 0)]

@hookimpl
def register_routes():
    return [Routes(name="Bad", build=lambda studio: 1 / 0)]
"""
    plugins.add_extensions(extension("bad", text))
    (tab,) = plugins.collect("register_tabs").values()
    (routes,) = plugins.collect("register_routes").values()
    assert tab.build(None) is None
    assert routes.build(None) is None
    assert "ZeroDivisionError" in problem_of(plugins, "bad")


def test_a_tab_of_ours_that_cannot_be_built_stops_the_start(plugins):
    @hookimpl
    def register_tabs():
        return [Tab(name="Ours", id="ours", build=lambda studio: 1 / 0)]

    plugins.add_module(builtin(register_tabs=register_tabs))
    with pytest.raises(ZeroDivisionError):
        plugins.collect("register_tabs")["Ours"].build(None)
