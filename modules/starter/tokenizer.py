"""CLIP's byte-pair tokenizer, rebuilt from the merge list that OpenAI published: Radford et al. 2021, arXiv:2103.00020.

The merge list comes with the PyPI package `openai-clip` (a build-time dependency only). The result is stored in
transformers' folder form, so that nothing is looked up when Atelier runs.
"""

import gzip
import importlib.util
from pathlib import Path

from transformers import CLIPTokenizer

ENTRIES = 49408
MERGES = ENTRIES - 512 - 2  # all entries but 256 bytes, each with and without '</w>', and the two specials
LICENSE_NOTE = """\
The vocabulary and the merges in this folder are those of CLIP (file bpe_simple_vocab_16e6.txt.gz, published at
https://github.com/openai/CLIP under the MIT License), rewritten in the folder form of transformers by
`python -m modules.starter.build --stage tokenizer`.

MIT License

Copyright (c) 2021 OpenAI

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def find_merge_list() -> Path:
    """The merge list inside the installed `openai-clip`, whose code is never imported: it would need torchvision."""
    spec = importlib.util.find_spec("clip")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package `openai-clip` is not installed; pip install --no-deps openai-clip==1.0.1")
    return Path(spec.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"


def _byte_symbols() -> list[str]:
    """One printable character per byte, in the order in which CLIP (after GPT-2) numbers them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]


def read_merges(path: Path) -> list[tuple[str, str]]:
    """The first 48,894 merges; CLIP leaves out the rest of the list."""
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    pairs = [line.split() for line in lines[1 : MERGES + 1] if line]
    return [(first, second) for first, second in pairs]


def build_tokenizer(merges: list[tuple[str, str]]) -> CLIPTokenizer:
    """The tokenizer of Stable Diffusion 1.x: lower case, padded with its end token."""
    symbols = _byte_symbols()
    entries = [*symbols, *(s + "</w>" for s in symbols), *(a + b for a, b in merges)]
    vocabulary = {entry: number for number, entry in enumerate([*entries, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
    check_tokenizer(tokenizer)
    return tokenizer


def check_tokenizer(tokenizer: CLIPTokenizer) -> None:
    """Stop the build on a wrong vocabulary: transformers 5 is able to make a two-entry tokenizer without complaint."""
    if len(tokenizer) != ENTRIES:
        raise ValueError(f"the tokenizer has {len(tokenizer)} entries; CLIP's has {ENTRIES}")
    ids = tokenizer("sks").input_ids
    if ids != [49406, 48136, 49407]:
        raise ValueError(f"'sks' became {ids}; expected [49406, 48136, 49407], one token between start and end")


def write_tokenizer(folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and the licence into `folder`."""
    tokenizer = build_tokenizer(read_merges(find_merge_list()))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "LICENSE").write_text(LICENSE_NOTE, encoding="utf-8")
