"""The names of the field: the shapes they return, and that nothing of ours needs them."""

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import modules

ROOT = Path(__file__).resolve().parents[2]
NAMES = ROOT / "modules" / "compat" / "a1111-names"
FILES = sorted(NAMES.rglob("*.py"))
OURS = [path for path in sorted((ROOT / "modules").rglob("*.py")) if NAMES not in path.parents]


def imported(name):
    return importlib.import_module(f"modules.{name}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [["", 1.0]]),
        ("an (important) word", [["an ", 1.0], ["important", 1.1], [" word", 1.0]]),
        ("a BREAK b", [["a", 1.0], ["BREAK", -1], ["b", 1.0]]),
        ("(a:1.1.1)", [["a:1.1.1", 1.1]]),
    ],
)
def test_attention_is_a_list_of_lists(text, expected):
    assert imported("prompt_parser").parse_prompt_attention(text) == expected


def test_schedules_are_lists_of_lists():
    schedules = imported("prompt_parser").get_learned_conditioning_prompt_schedules
    assert schedules(["test", "a [b:3]"], 10) == [[[10, "test"]], [[3, "a "], [10, "a b"]]]
    assert schedules(["[a:b:1.5]"], 10, 10) == [[[5, "a"], [10, "b"]]]
    assert schedules(["[a:b:15]"], 10, hires_steps=10) == [[[5, "a"], [10, "b"]]]
    assert schedules(["[a:b:1.5]"], 10, None, True) == [[[1, "a"], [10, "b"]]]
    assert schedules(["[a:b:1.5]"], base_steps=10, hires_steps=8, use_old_scheduling=True) == [[[1, "a"], [8, "b"]]]
    assert schedules([], 10) == []


@pytest.mark.parametrize("name", ["infotext_utils", "generation_parameters_copypaste"])
def test_picture_texts_are_dictionaries(name):
    parse = imported(name).parse_generation_parameters
    text = "a cat\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 64x48"
    found = parse(text)
    assert found["Prompt"] == "a cat"
    assert (found["Size-1"], found["Clip skip"], found["Hires resize-1"]) == ("64", "1", 0)
    assert "Seed" not in parse(text, ["Seed"])
    json.dumps(found)


def test_no_name_of_theirs_hides_one_of_ours():
    theirs = {path.relative_to(NAMES).with_suffix("").parts[0] for path in FILES}
    ours = {module.name for module in pkgutil.iter_modules([str(ROOT / "modules")])}
    assert theirs
    assert not theirs & ours


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_can_be_imported_by_its_name(path):
    module = imported(path.stem)
    assert Path(module.__file__) == path
    assert all(hasattr(module, name) for name in module.__all__)


def test_none_of_ours_imports_their_names():
    theirs = {f"modules.{path.stem}" for path in FILES}
    for path in [*OURS, ROOT / "app.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            assert not theirs & set(names), f"{path.relative_to(ROOT)} imports {theirs & set(names)}"


def test_the_package_is_found_from_anywhere(tmp_path):
    program = "import modules.prompt_parser as p, sys; print(p.parse_prompt_attention('(a)'), 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[['a', 1.1]] False", done.stderr
    assert len(modules.__path__) == 2
