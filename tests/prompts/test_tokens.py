import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from modules.prompts.tokens import Tokenizer


@pytest.fixture(scope="module")
def reference(tokenizer_folder):
    return CLIPTokenizer.from_pretrained(tokenizer_folder)


def test_special_ids(tokenizer):
    assert (tokenizer.start, tokenizer.end, tokenizer.comma) == (49406, 49407, 267)


@pytest.mark.parametrize(
    "text", ["a photo of a cat", "sks dog, 8k!", "Ünïcödé 猫", "it's  two   spaces\nand a line", ""]
)
def test_ids_are_those_of_transformers(tokenizer, reference, text):
    assert tokenizer.encode(text) == reference(text, add_special_tokens=False).input_ids


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_gives_the_ids_of_transformers(tokenizer, reference, text):
    assert tokenizer.encode(text) == reference(text, add_special_tokens=False).input_ids


def test_nothing_is_cut_off(tokenizer):
    assert len(tokenizer.encode("cat " * 20_000)) == 20_000


def test_one_word_of_a_million_letters_is_no_trouble(tokenizer):
    assert tokenizer.encode("x" * 1_000_000)


def test_another_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text(
        '{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}'
    )
    with pytest.raises(ValueError, match="CLIP"):
        Tokenizer(tmp_path)
