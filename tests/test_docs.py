"""What the documents say is true: links lead somewhere, flags exist, Python examples run, shell commands parse."""

import re
import subprocess
from pathlib import Path

import pytest

from modules.core.flags import parse_flags
from modules.core.plugins import Plugins

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "modules/README.md",
    ROOT / "models/README.md",
    ROOT / "extensions/README.md",
]
EVERY = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


PLACES = ("--data-dir", "--models-dir", "--ckpt-dir", "--ckpt", "--vae-dir", "--lora-dir", "--embeddings-dir")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


@EVERY
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if not target.startswith(("http:", "https:")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@EVERY
def test_python_examples_run(path):
    for example in blocks(path, "python"):
        exec(compile(example, str(path), "exec"), {})


@EVERY
def test_shell_commands_parse(path):
    for commands in blocks(path, "bash"):
        subprocess.run(["bash", "-n"], input=commands, text=True, check=True)
        for script in re.findall(r"^(?:\w+=\S+ )*(\./\S+)", commands, re.MULTILINE):
            assert (ROOT / script).exists(), f"{path.name} calls {script}"


def test_the_readmes_flags_exist():
    for flags in re.findall(r"^\| (`--.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE):
        words = [word for part in re.findall(r"`([^`]+)`", flags) for word in part.split()]
        words = [part for word in words for part in ([word, "x"] if word in PLACES else [word])]
        extra = ["--gradio-auth", "a:b"] if "--listen" in words else []
        assert parse_flags([*words, *extra], {})


def test_the_example_extension_loads(tmp_path):
    text = (ROOT / "extensions/README.md").read_text()
    example = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    (tmp_path / "example").mkdir()
    (tmp_path / "example/plugin.py").write_text(re.sub(r"^( +)\.\.\.$", r"\1pass", example, flags=re.MULTILINE))
    plugins = Plugins("web")
    plugins.add_extensions(tmp_path)
    assert list(plugins.collect("register_samplers")) == ["Mine"]
    assert [report.problem for report in plugins.reports()] == [""]


def test_no_document_is_empty():
    assert all(len(path.read_text()) > 200 for path in DOCUMENTS)
