"""The live count of tokens, on the real tokenizer."""

import subprocess
import sys
import threading

import pytest

from modules.core.flags import ROOT
from modules.services.build import TOKENIZER
from modules.services.tokens import TokenCounter


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter(TOKENIZER)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 75)),
        ("a red cat", (3, 75)),
        ("(a red cat:1.3)", (3, 75)),
        ("cat " * 75, (75, 75)),
        ("cat " * 76, (76, 150)),
    ],
)
def test_count(counter, text, expected):
    assert counter.count(text) == expected


def test_the_longest_text_of_all_steps_counts(counter):
    assert counter.count("<lora:x:1>[a cat:a very red cat:15] AND dog", steps=20) == (4, 75)
    assert counter.count("[a cat:a very red cat:15]", steps=10) == (2, 75)
    assert counter.count("a AND b", positive=False) == (3, 75)


def test_embeddings_count_by_their_vectors():
    counter = TokenCounter(TOKENIZER, lambda: {"easynegative": 8})
    assert counter.count("EasyNegative, red") == (10, 75)


def test_many_threads(counter):
    counts = []
    threads = [threading.Thread(target=lambda: counts.append(counter.count("a red cat"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [(3, 75)] * 8


def test_the_web_process_needs_no_torch_for_it():
    program = (
        "import sys\n"
        "import modules.services.build as build\n"
        "build.TokenCounter(build.TOKENIZER).count('a cat')\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'transformers', 'alembic')))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
