"""Textual inversion: every file form of the field, vectors in their places, nothing left behind in the encoder."""

from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from modules.core.errors import InvalidModelFile
from modules.diffusion.embeddings import embedded, fitting, inserting, load_embedding


@dataclass(frozen=True)
class Inserted:
    offset: int
    name: str


@dataclass(frozen=True)
class Chunk:
    tokens: tuple[int, ...] = (48, *(7,) * 10, *(49,) * 66)
    inserted: tuple[Inserted, ...] = field(default=())


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPTextConfig(vocab_size=50, bos_token_id=48, eos_token_id=49, **sizes)
    return CLIPTextModel(config).eval()


def vectors(count, width=768, seed=1):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


# Into the encoder


def test_the_vectors_stand_where_the_chunk_kept_places():
    z = torch.zeros(2, 77, 4)
    table = torch.arange(8.0).view(2, 4) + 1
    found = embedded(z, [Chunk(inserted=(Inserted(3, "a"), Inserted(9, "a"))), Chunk()], {"a": table})
    assert torch.equal(found[0, 3:5], table)
    assert torch.equal(found[0, 9:11], table)
    assert found[0].count_nonzero() == 16
    assert found[1].count_nonzero() == 0
    assert z.count_nonzero() == 0, "the encoder's own output is not written to"


def test_what_does_not_fit_is_cut():
    found = embedded(torch.zeros(1, 77, 4), [Chunk(inserted=(Inserted(75, "a"),))], {"a": torch.ones(5, 4)})
    assert found[0, 75:].sum() == 8
    assert found[0, :75].count_nonzero() == 0


def test_a_name_without_vectors_changes_nothing():
    z = torch.randn(1, 77, 4)
    assert torch.equal(embedded(z, [Chunk(inserted=(Inserted(3, "b"),))], {"a": torch.ones(5, 4)}), z)


def test_vectors_take_the_number_type_of_the_encoder():
    found = embedded(torch.zeros(1, 77, 4).half(), [Chunk(inserted=(Inserted(1, "a"),))], {"a": torch.ones(1, 4)})
    assert found.dtype == torch.float16


def test_a_words_own_vector_inserted_gives_what_the_word_gives(encoder):
    """The oracle: the embedding of token 5, put where token 0 stands, is the prompt with token 5."""
    table = encoder.get_input_embeddings().weight[5:6].detach().clone()
    tokens = torch.tensor([Chunk().tokens])
    wanted, kept = tokens.clone(), tokens.clone()
    wanted[0, 4], kept[0, 4] = 5, 0
    with torch.no_grad():
        expected = encoder(wanted).last_hidden_state
        before = encoder(kept).last_hidden_state
        with inserting(encoder, [Chunk(inserted=(Inserted(4, "five"),))], {"five": table}):
            found = encoder(kept).last_hidden_state
        after = encoder(kept).last_hidden_state
    assert torch.equal(found, expected)
    assert not torch.equal(found, before)
    assert torch.equal(after, before)


def test_the_encoder_is_left_as_it_was_also_after_an_error(encoder):
    layer = encoder.get_input_embeddings()

    def failing():
        with inserting(encoder, [Chunk(inserted=(Inserted(4, "a"),))], {"a": torch.ones(1, 32)}):
            assert layer._forward_hooks
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert not layer._forward_hooks


def test_nothing_to_insert_hooks_nothing(encoder):
    with inserting(encoder, [Chunk()], {"a": torch.ones(1, 32)}):
        assert not encoder.get_input_embeddings()._forward_hooks


# Files


def written(path, content):
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return path


FORMS = {
    "a1111.pt": lambda v: {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": v},
        "name": "style",
        "step": 500,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
    },
    "a1111_parameter.pt": lambda v: {"string_to_token": {"*": 265}, "string_to_param": {"*": nn.Parameter(v)}},
    "original.pt": lambda v: {
        "string_to_token": {"*": torch.tensor(265)},
        "string_to_param": nn.ParameterDict({"*": nn.Parameter(v)}),
    },
    "diffusers.bin": lambda v: {"<cat-toy>": v},
    "diffusers.safetensors": lambda v: {"<cat-toy>": v},
    "kohya.safetensors": lambda v: {"emb_params": v},
    "kohya.pt": lambda v: {"emb_params": v},
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(("width", "encoder_name"), [(768, "clip_l"), (1024, "clip_h"), (1280, "clip_g"), (32, "clip")])
def test_every_form_is_read(tmp_path, name, width, encoder_name):
    expected = vectors(3, width)
    found = load_embedding(written(tmp_path / name, FORMS[name](expected.clone())))
    assert list(found) == [encoder_name]
    assert torch.equal(found[encoder_name], expected)
    assert not found[encoder_name].requires_grad


@pytest.mark.parametrize("names", [("clip_l", "clip_g"), ("text_encoders_0", "text_encoders_1")])
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_a_pair_for_sdxl_is_read(tmp_path, names, ending):
    small, large = vectors(4, 768), vectors(4, 1280)
    path = written(tmp_path / f"pair{ending}", dict(zip(names, (small.half(), large.half()), strict=True)))
    found = load_embedding(path)
    assert torch.equal(found["clip_l"], small.half().float())
    assert torch.equal(found["clip_g"], large.half().float())


def test_one_vector_may_be_flat(tmp_path):
    path = written(tmp_path / "one.bin", {"<x>": vectors(1)[0]})
    assert load_embedding(path)["clip_l"].shape == (1, 768)


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


def test_code_in_a_pickle_is_not_run(tmp_path, capsys):
    path = tmp_path / "evil.pt"
    torch.save({"string_to_param": {"*": vectors(1)}, "more": Evil()}, path)
    with pytest.raises(InvalidModelFile, match=r"evil\.pt .* could run code"):
        load_embedding(path)
    assert "code was run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        {"a": vectors(1), "b": vectors(1)},
        {"string_to_param": {}},
        {"emb_params": vectors(1).view(1, 1, 768)},
        {"emb_params": torch.ones(2, 768, dtype=torch.long)},
        {"emb_params": vectors(1) / 0},
        {"emb_params": torch.zeros(0, 768)},
        {"emb_params": "text"},
        ["a list"],
    ],
)
def test_other_things_are_refused_with_a_sentence(tmp_path, content):
    with pytest.raises(InvalidModelFile, match=r"thing\.pt is (no textual inversion|damaged)"):
        load_embedding(written(tmp_path / "thing.pt", content))


@pytest.mark.parametrize("ending", [".pt", ".safetensors", ".bin"])
@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04 no zip", b"hello" * 100])
def test_damage_is_refused_with_a_sentence(tmp_path, ending, content):
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(InvalidModelFile, match=f"broken{ending}"):
        load_embedding(path)


# Which model


def test_tables_go_to_the_encoders_of_a_model():
    sd1, sd2 = {"clip_l": vectors(2)}, {"clip_h": vectors(2, 1024)}
    pair = {"clip_l": vectors(2), "clip_g": vectors(2, 1280)}
    assert fitting(sd1, {"text_encoder": 768})["text_encoder"] is sd1["clip_l"]
    assert fitting(sd2, {"clip_l": 1024})["clip_l"] is sd2["clip_h"]
    found = fitting(pair, {"clip_l": 768, "clip_g": 1280})
    assert found["clip_l"] is pair["clip_l"]
    assert found["clip_g"] is pair["clip_g"]
    assert list(fitting(pair, {"clip_g": 1280})) == ["clip_g"], "SDXL's refiner has the second encoder only"


def test_an_embedding_for_another_model_fits_nowhere():
    pair = {"clip_l": vectors(2), "clip_g": vectors(2, 1280)}
    assert fitting({"clip_l": vectors(2)}, {"clip_l": 1024}) == {}
    assert fitting({"clip_l": vectors(2)}, {"clip_l": 768, "clip_g": 1280}) == {}
    assert fitting(pair, {"clip_l": 768}) == {}
