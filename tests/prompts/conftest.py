"""The tokenizer that every Stable Diffusion 1.x checkpoint uses."""

from pathlib import Path

import pytest

from modules.prompts.tokens import Tokenizer

FOLDER = Path(__file__).parents[2] / "modules" / "families" / "assets" / "clip_tokenizer"


@pytest.fixture(scope="session")
def tokenizer_folder() -> Path:
    return FOLDER


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer(FOLDER)
