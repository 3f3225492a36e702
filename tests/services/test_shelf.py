"""The files beside the checkpoints: listed by header, found as prompts write them, hashed, seen without a restart."""

import hashlib
import json
import os
import struct

import pytest
from services.small_things import eventually, write_checkpoint

from modules.core.errors import UnknownName
from modules.core.flags import parse_flags
from modules.core.places import Places
from modules.services import library_watch
from modules.services import shelf as shelf_module
from modules.services.library import Library
from modules.services.library_watch import HotReload
from modules.services.shelf import Shelf
from modules.services.shelf_base import base_of, native_side
from modules.services.shelf_notes import Notes, notes_beside, preview_of, write_notes, write_preview


def write_tensors(path, shapes, metadata=None):
    """A sound safetensors file of zeros with these shapes."""
    table, at = {"__metadata__": metadata} if metadata else {}, 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        table[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(table).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(at))
    return path


LORA = {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768)}


def lora(places, name, alias="", folder="Lora"):
    return write_tensors(
        places.models / folder / f"{name}.safetensors", LORA, {"ss_output_name": alias} if alias else None
    )


@pytest.fixture
def shelf(places):
    made = Shelf(places)
    yield made
    made.close()


def test_each_kind_has_its_folders_and_endings(places, shelf):
    wanted = {
        "lora": ["models/Lora/sub/a.safetensors", "models/LyCORIS/b.pt"],
        "embedding": ["embeddings/c.pt", "models/embeddings/d.safetensors"],
        "hypernetwork": ["models/hypernetworks/e.pt"],
        "vae": ["models/VAE/f.safetensors", "models/Stable-diffusion/my.vae.safetensors"],
        "upscaler": ["models/ESRGAN/g.pth", "models/SwinIR/h.pth", "models/DAT/i.safetensors"],
    }
    for paths in wanted.values():
        for path in paths:
            write_checkpoint(places.data / path)
    for noise in ("models/Lora/readme.txt", "models/Lora/.hidden.safetensors", "embeddings/picture.png"):
        write_checkpoint(places.data / noise)
    for kind, paths in wanted.items():
        assert sorted(one.path for one in shelf.files(kind)) == sorted(str(places.data / path) for path in paths), kind
        assert {one.kind for one in shelf.files(kind)} == {kind}
    assert shelf.files("nothing") == ()


def test_folders_of_the_command_line(tmp_path, places):
    write_checkpoint(tmp_path / "elsewhere" / "x.safetensors")
    flags = parse_flags(["--data-dir", str(places.data), "--lora-dir", str(tmp_path / "elsewhere")], {})
    assert Shelf(Places.of(flags)).find("lora", "x").problem == ""


def test_found_by_file_name_then_alias_then_whatever_the_case(places, shelf):
    lora(places, "file_one", alias="Pretty")
    lora(places, "Pretty2", alias="file_one")
    by = {name: shelf.find("lora", name).name for name in ("file_one", "Pretty", "pretty2", "file_one.safetensors")}
    assert by == {
        "file_one": "file_one",
        "Pretty": "file_one",
        "pretty2": "Pretty2",
        "file_one.safetensors": "file_one",
    }
    with pytest.raises(UnknownName, match="did you mean 'Pretty2'"):
        shelf.find("lora", "Pretti2")


def test_an_alias_of_two_files_is_nobodys(places, shelf):
    lora(places, "one", alias="same")
    lora(places, "two", alias="same", folder="LyCORIS")
    with pytest.raises(UnknownName):
        shelf.find("lora", "same")
    assert shelf.find("lora", "two").alias == "same"


def test_words_in_prompts(places, shelf):
    lora(places, "one", alias="pretty")
    write_checkpoint(places.models / "hypernetworks" / "hyper.pt")
    assert shelf.network("lora", "pretty").name == "one"
    assert shelf.network("lyco", "one").name == "one"
    assert shelf.network("hypernet", "hyper").kind == "hypernetwork"
    assert shelf.network("hypernet", "one") is None
    assert shelf.network("other", "one") is None
    assert shelf.network("lora", "none") is None


@pytest.mark.parametrize("name", ["", "../one", "/etc/passwd", "one\0", "%2e%2e/one", "..\\one", "x" * 100_000])
def test_no_name_leads_elsewhere(places, shelf, name):
    """Row 33: a name is only ever compared with those of listed files."""
    lora(places, "one")
    with pytest.raises(UnknownName):
        shelf.find("lora", name)


def test_a_vae_beside_a_checkpoint_belongs_to_it_and_is_no_checkpoint(places, shelf):
    folder = places.models / "Stable-diffusion"
    write_checkpoint(folder / "my.safetensors")
    write_checkpoint(folder / "my.vae.safetensors")
    write_checkpoint(folder / "other.safetensors")
    library = Library(places, places.cache / "hashes.json")
    names = {one.name for one in library.models()}
    assert {"my", "other"} <= names
    assert "my.vae" not in names
    assert shelf.beside(library.find("my")).name == "my.vae"
    assert shelf.beside(library.find("other")) is None


def test_hashes_as_picture_texts_have_them(places, shelf):
    path = lora(places, "one")
    renamed = lora(places, "two", alias="another header")
    pickle = places.data / "embeddings" / "easyneg.pt"
    pickle.parent.mkdir(parents=True)
    pickle.write_bytes(b"\x80 not opened")
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    tensors = hashlib.sha256(content[8 + length :]).hexdigest()[:12]
    assert shelf.with_hash(shelf.find("lora", "one")).short_hash == tensors
    assert shelf.with_hash(shelf.find("lora", "two")).short_hash == tensors
    assert renamed.read_bytes() != content
    hashed = shelf.with_hash(shelf.find("embedding", "easyneg"))
    assert hashed.sha256 == hashlib.sha256(b"\x80 not opened").hexdigest()
    assert hashed.short_hash == hashed.sha256[:12]
    write_checkpoint(places.models / "VAE" / "v.safetensors")
    again = Shelf(places)
    assert len(again.with_hash(again.find("vae", "v")).short_hash) == 10


def test_hashes_are_found_in_the_background_and_kept(places, monkeypatch):
    lora(places, "one")
    first = Shelf(places)
    first.start_hashing()
    eventually(lambda: first.find("lora", "one").short_hash)
    first.close()
    monkeypatch.setattr(shelf_module, "lora_hash", None)  # would fail when called
    assert Shelf(places).find("lora", "one").short_hash == first.find("lora", "one").short_hash


def test_a_replaced_file_is_hashed_anew(places, shelf):
    """Row 24."""
    path = lora(places, "one")
    old = shelf.with_hash(shelf.find("lora", "one"))
    path.unlink()
    assert shelf.with_hash(shelf.find("lora", "one")).short_hash == old.short_hash
    write_tensors(path, {"other": (3, 3)})
    shelf.refresh()
    assert shelf.find("lora", "one").short_hash == ""
    assert shelf.with_hash(shelf.find("lora", "one")).short_hash not in ("", old.short_hash)


def test_headers_are_read_once(places, shelf, monkeypatch):
    lora(places, "one")
    assert shelf.files("lora")
    monkeypatch.setattr(shelf_module, "read_header", None)  # would fail when called
    shelf.refresh()
    assert shelf.find("lora", "one").problem == ""


def test_a_pickle_is_listed_and_never_opened(places, shelf):
    """Row 22: the web process does not even read it."""
    canary = places.data / "canary"
    for kind, path in (("lora", "models/Lora/a.pt"), ("embedding", "embeddings/b.pt"), ("vae", "models/VAE/c.ckpt")):
        file = places.data / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"cposix\nsystem\n(S'touch " + os.fsencode(canary) + b"'\ntR.")
        file.chmod(0)
        shelf.refresh()
        (record,) = shelf.files(kind)
        assert (record.problem, shelf.header(record), shelf.base(record)) == ("", None, "")
    assert not canary.exists()


def test_damaged_files_say_why(places, shelf):
    """Row 21."""
    folder = places.models / "Lora"
    good = lora(places, "good").read_bytes()
    (folder / "cut.safetensors").write_bytes(good[:-1])
    (folder / "empty.safetensors").touch()
    (folder / "zip.safetensors").write_bytes(b"PK\x03\x04" + bytes(100))
    problems = {one.name: one.problem for one in shelf.files("lora")}
    assert problems.pop("good") == ""
    assert all(problem.endswith(".") for problem in problems.values())
    assert len(problems) == 3


def test_links_are_listed_once_and_dangling_ones_not(places, shelf):
    path = lora(places, "one")
    path.with_name("link.safetensors").symlink_to(path)
    path.with_name("dangling.safetensors").symlink_to(path.with_name("nothing"))
    path.with_name("folder.safetensors").mkdir()
    assert len(shelf.files("lora")) == 1


@pytest.mark.parametrize("name", ["日本語", "🐱‍🚀", "new\nline", "<img src=x onerror=alert(1)>", "a..b", "a" * 243])
def test_odd_names(places, shelf, name):
    """Row 25."""
    lora(places, name)
    assert shelf.find("lora", name).name == name


def test_vectors_of_embeddings(places, shelf):
    write_tensors(places.data / "embeddings" / "three.safetensors", {"emb_params": (3, 768)})
    write_tensors(places.data / "embeddings" / "pair.safetensors", {"clip_l": (2, 768), "clip_g": (2, 1280)})
    write_checkpoint(places.data / "embeddings" / "unknown.pt")
    assert shelf.vectors() == {"three": 3, "pair": 2}
    assert shelf.base(shelf.find("embedding", "pair")) == "SDXL"


def test_trigger_words_come_from_the_file_beside(places, shelf):
    path = lora(places, "one")
    path.with_suffix(".json").write_text('{"activation text": "red hat,  1girl ,, "}')
    assert shelf.find("lora", "one").words == ("red hat", "1girl")


def test_else_they_come_from_the_header(places, shelf):
    path = write_tensors(places.models / "Lora" / "one.safetensors", LORA, {"modelspec.trigger_phrase": "hat, cat"})
    assert shelf.find("lora", "one").words == ("hat", "cat")
    path.with_suffix(".json").write_text('{"activation text": "mine"}')
    shelf.refresh()
    assert shelf.find("lora", "one").words == ("mine",)


# -- which base model -----------------------------------------------------------------------------------------------------

CROSS = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
START = "model.diffusion_model.input_blocks.0.0.weight"


@pytest.mark.parametrize(
    ("shapes", "metadata", "base"),
    [
        ({CROSS: (320, 768)}, {}, "SD 1.x"),
        ({CROSS: (320, 1024), START: (320, 9, 3, 3)}, {}, "SD 2.x inpainting"),
        ({CROSS: (320, 768), START: (320, 8, 3, 3)}, {}, "SD 1.x editing"),
        ({CROSS: (640, 2048)}, {}, "SDXL"),
        ({CROSS: (640, 1280)}, {}, "SDXL refiner"),
        (LORA, {}, "SD 1.x"),
        ({"unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (4, 2048)}, {}, "SDXL"),
        ({"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v.hada_w1_b": (4, 2048)}, {}, "SDXL"),
        ({}, {"modelspec.architecture": "stable-diffusion-v1/lora"}, "SD 1.x"),
        ({}, {"modelspec.architecture": "stable-diffusion-xl-v1-base"}, "SDXL"),
        ({}, {"ss_base_model_version": "sd_v2_768_v"}, "SD 2.x"),
        ({"conv_first.weight": (64, 3, 3, 3)}, {}, ""),
        ({CROSS: (1, 5)}, {}, ""),
        ({"clip_l": ()}, {}, ""),
    ],
)
def test_base_models(shapes, metadata, base):
    assert base_of(shapes, metadata) == base


def test_native_sides():
    assert [native_side(one) for one in ("SD 1.x", "SD 2.x", "SDXL inpainting", "")] == [512, 768, 1024, 512]


# -- files beside ----------------------------------------------------------------------------------------------------------


def test_notes_are_written_whole_and_keep_what_others_wrote(tmp_path):
    model = tmp_path / "a.b.safetensors"
    (tmp_path / "a.b.json").write_text('{"mine": [1, 2], "notes": "old"}')
    notes = Notes(activation_text="cat, hat", preferred_weight=0.75, notes="nice «»\n", base="SD1", description="d")
    write_notes(model, notes)
    assert notes_beside(model) == notes
    assert json.loads((tmp_path / "a.b.json").read_text())["mine"] == [1, 2]
    assert [one.name for one in tmp_path.iterdir()] == ["a.b.json"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", "null", '{"notes": 5, "preferred weight": "x"}', '{"preferred weight": 1e999}', "[" * 100_000],
)
def test_notes_that_are_none(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    assert notes_beside(tmp_path / "a.safetensors") == Notes()


def test_side_files_are_never_links(tmp_path):
    """Row 34."""
    secret = tmp_path / "secret"
    secret.write_text('{"notes": "secret"}')
    (tmp_path / "a.json").symlink_to(secret)
    (tmp_path / "a.png").symlink_to(secret)
    os.mkfifo(tmp_path / "b.json")
    assert notes_beside(tmp_path / "a.safetensors") == Notes()
    assert notes_beside(tmp_path / "b.safetensors") == Notes()
    assert preview_of(tmp_path / "a.safetensors") is None


def test_the_preview_that_is_set_comes_first(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"old")
    assert preview_of(tmp_path / "a.safetensors").name == "a.jpg"
    write_preview(tmp_path / "a.safetensors", b"new")
    assert preview_of(tmp_path / "a.safetensors").read_bytes() == b"new"
    assert (tmp_path / "a.jpg").read_bytes() == b"old"


# -- without a restart -----------------------------------------------------------------------------------------------------


def test_new_changed_and_removed_files_are_seen(places, monkeypatch):
    monkeypatch.setattr(library_watch, "SECONDS", 0.02)
    shelf, library = Shelf(places), Library(places, places.cache / "hashes.json")
    known = len(library.models())
    path = lora(places, "before")
    assert [one.name for one in shelf.files("lora")] == ["before"]
    heard = []
    watch = HotReload((library, shelf), lambda: heard.append(1))
    watch.start()
    lora(places, "sub/after")
    write_checkpoint(places.models / "Stable-diffusion" / "new.safetensors")
    eventually(lambda: {one.name for one in shelf.files("lora")} == {"before", "after"})
    eventually(lambda: len(library.models()) == known + 1)
    path.with_suffix(".json").write_text('{"activation text": "hat"}')
    eventually(lambda: shelf.find("lora", "before").words == ("hat",))
    path.write_bytes(b"short")
    eventually(lambda: shelf.find("lora", "before").problem)
    path.unlink()
    eventually(lambda: len(shelf.files("lora")) == 1)
    watch.close()
    assert heard


def test_a_folder_that_goes_away_is_no_matter(places, monkeypatch):
    monkeypatch.setattr(library_watch, "SECONDS", 0.02)
    path = lora(places, "one")
    shelf = Shelf(places)
    assert shelf.files("lora")
    watch = HotReload((shelf,))
    watch.start()
    path.unlink()
    path.parent.rmdir()
    eventually(lambda: not shelf.files("lora"))
    watch.close()


def test_a_model_in_a_diffusers_folder_is_one_model(places):
    folder = places.models / "Stable-diffusion" / "my diffusers.v1"
    write_checkpoint(folder / "unet" / "diffusion_pytorch_model.safetensors")
    write_checkpoint(folder / "vae" / "diffusion_pytorch_model.safetensors", side=30)
    (folder / "model_index.json").write_text("{}")
    library = Library(places, places.cache / "hashes.json")
    record = library.find("my diffusers.v1")
    assert (record.path, record.problem) == (str(folder), "")
    assert record.size >= sum(one.stat().st_size for one in folder.rglob("*.safetensors"))
    assert not [one for one in library.models() if "diffusion_pytorch_model" in one.name]
    hashed = library.with_hash(record)
    assert hashed.title == f"my diffusers.v1 [{hashed.sha256[:10]}]"
    (folder / "unet" / "more.json").write_text("{}")
    library.refresh()
    assert library.find("my diffusers.v1").sha256 == ""
