"""The house rules, executable: who may import whom, what may come from outside, and no torch in the web process."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LEVELS = {
    "core": 0,
    "prompts": 1,
    "imaging": 1,
    "diffusion": 1,
    "families": 2,
    "training": 2,
    "storage": 2,
    "engine": 3,
    "services": 3,
    "web": 4,
    "compat": 4,
    "starter": 4,
}
TOP = 5
OUTSIDE = {
    "core": {"pluggy"},
    "prompts": {"tokenizers"},
    "imaging": {"PIL", "numpy", "torch", "spandrel"},  # torch: only where upscalers are
    "diffusion": {"torch", "safetensors", "xformers", "numpy"},
    "families": {"torch", "diffusers", "transformers", "accelerate", "safetensors", "numpy", "PIL", "xformers"},
    "training": {
        "torch",
        "diffusers",
        "transformers",
        "peft",
        "accelerate",
        "safetensors",
        "numpy",
        "PIL",
        "torchmetrics",
        "prodigyopt",
        "bitsandbytes",
    },
    "storage": {"sqlalchemy", "alembic"},
    "engine": {"torch", "psutil", "PIL", "numpy"},
    "services": {"psutil"},
    "web": {"gradio", "fastapi", "starlette", "pydantic", "uvicorn", "anyio", "PIL", "psutil"},
    "compat": {"gradio", "torch", "numpy", "PIL"},
    "starter": {"torch", "diffusers", "transformers", "tokenizers", "safetensors", "numpy", "PIL"},
}
SOURCES = sorted((ROOT / "modules").rglob("*.py"))


def package_of(module: str) -> str:
    """The package of ours a module belongs to; "" for bootstrap, engine_main and what stands beside them."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVELS else ""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports_of(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    package = package_of(module_name(path))
    level = LEVELS.get(package, TOP)
    for name in imports_of(path):
        if not name.startswith("modules."):
            continue
        other = package_of(name)
        allowed = level == TOP or other == package or (other and LEVELS[other] < level)
        assert allowed, f"{module_name(path)} (level {level}) imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_named_packages_come_from_outside(path):
    package = package_of(module_name(path))
    if not package:
        return
    known = OUTSIDE[package] | set(sys.stdlib_module_names) | {"modules"}
    outside = {name.split(".")[0] for name in imports_of(path)} - known
    assert not outside, f"{module_name(path)} imports {', '.join(sorted(outside))}"


def test_no_import_cycle():
    graph = {module_name(path).removesuffix(".__init__"): imports_of(path) for path in SOURCES}
    state: dict[str, int] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert state.get(module) != 1, " -> ".join((*trail, module))
        if state.get(module) == 2:
            return
        state[module] = 1
        for name in graph.get(module, []):
            if name in graph:
                visit(name, (*trail, module))
        state[module] = 2

    for module in graph:
        visit(module, ())


def test_nobody_looks_into_a_private_corner():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("modules."):
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{path.relative_to(ROOT)} imports {private} from {node.module}"


def modules_after(program: str) -> set[str]:
    """The top-level modules in memory after a program ran in a fresh interpreter."""
    code = f"{program}\nimport sys, json; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_core_is_light():
    loaded = modules_after(
        "import pkgutil, importlib, modules.core\nfor m in pkgutil.iter_modules(modules.core.__path__): importlib.import_module('modules.core.' + m.name)"
    )
    assert not loaded & {"torch", "numpy", "PIL", "gradio", "sqlalchemy", "pydantic"}


def test_the_web_process_never_imports_torch(tmp_path):
    """The whole web process is built, with its page and an engine; then its memory is looked at."""
    program = f"""
from modules.core.flags import parse_flags
from modules.bootstrap import web_application
with web_application(parse_flags(['--data-dir', {str(tmp_path)!r}, '--api'], {{}})):
    pass
"""
    loaded = modules_after(program)
    assert {"gradio", "sqlalchemy"} <= loaded
    assert not loaded & {"torch", "diffusers", "transformers", "accelerate"}


def test_an_extension_cannot_bring_torch_into_the_web_process(tmp_path):
    extension = tmp_path / "extensions" / "heavy"
    extension.mkdir(parents=True)
    (extension / "plugin.py").write_text("import torch\n")
    program = f"""
from modules.core.flags import parse_flags
from modules.bootstrap import web_application
with web_application(parse_flags(['--data-dir', {str(tmp_path)!r}], {{}})) as application:
    reports = application.studio.extensions.reports()
    assert any(r.name == 'heavy' and r.process == 'web' and 'inside the function' in r.problem for r in reports), reports
"""
    assert "torch" not in modules_after(program)
