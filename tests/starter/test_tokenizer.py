"""The tokenizer in the repository is CLIP's. Origin of the numbers: openai/CLIP's SimpleTokenizer."""

import gzip

import pytest
from tokenizers import Tokenizer
from transformers import CLIPTokenizer

from modules.families.built import TOKENIZER
from modules.starter.tokenizer import MERGES, build_tokenizer, check_tokenizer, find_merge_list, read_merges

# ids that everybody's Stable Diffusion 1.x uses
KNOWN = {
    "a photo of a cat": [320, 1125, 539, 320, 2368],
    "sks": [48136],
    "A  Red\n\tCAT": [320, 736, 2368],
    "": [],
}


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(TOKENIZER)


@pytest.mark.parametrize("text", KNOWN)
def test_known_texts_have_their_known_ids(tokenizer, text):
    wanted = [49406, *KNOWN[text], 49407]
    assert tokenizer(text).input_ids == wanted
    assert Tokenizer.from_file(str(TOKENIZER / "tokenizer.json")).encode(text).ids == wanted


def test_the_guard_accepts_ours_and_refuses_others(tokenizer):
    check_tokenizer(tokenizer)
    with pytest.raises(ValueError, match="entries"):
        check_tokenizer(CLIPTokenizer())


def test_texts_are_padded_with_the_end_token_to_77(tokenizer):
    ids = tokenizer("a cat", padding="max_length").input_ids
    assert len(ids) == 77
    assert ids[4:] == [49407] * 73


@pytest.mark.parametrize("text", ["café", "日本", "🙂", "naïve 123", "don't", "x" * 300, "<|endoftext|>"])
def test_no_text_is_unknown(tokenizer, text):
    ids = tokenizer(text).input_ids
    assert ids[0] == 49406
    assert ids[-1] == 49407
    assert all(0 <= number < 49408 for number in ids)


def test_the_licence_lies_beside_the_files():
    text = (TOKENIZER / "LICENSE").read_text()
    assert "MIT License" in text
    assert "OpenAI" in text


def test_too_short_a_merge_list_is_refused(tmp_path):
    path = tmp_path / "merges.txt.gz"
    path.write_bytes(gzip.compress(b"#version: 0.2\ni n\nt h\n"))
    with pytest.raises(ValueError, match="entries"):
        build_tokenizer(read_merges(path))


def test_the_build_needs_the_package_or_says_so():
    try:
        path = find_merge_list()
    except FileNotFoundError as error:
        assert "pip install" in str(error)
    else:
        assert len(read_merges(path)) == MERGES
