"""Cards: every model file with what is written beside it; edited, pictured, removed and brought back."""

import json
import os

import pytest
from services.small_things import write_checkpoint
from services.test_shelf import CROSS, LORA, lora, write_tensors

from modules.core.errors import InvalidModelFile, NotFound, StorageFailed
from modules.core.places import Places
from modules.services import cards_trash
from modules.services.cards import KINDS, Cards
from modules.services.library import Library
from modules.services.shelf import Shelf
from modules.services.shelf_notes import Notes


@pytest.fixture
def cards(places, monkeypatch):
    """A function that lists the folders anew; the clone's own models are left out."""
    monkeypatch.setattr(Places, "checkpoint_folders", property(lambda self: (self.models / "Stable-diffusion",)))

    def listed() -> Cards:
        return Cards(Library(places, places.cache / "hashes.json"), Shelf(places), places)

    return listed


def by_name(cards, name):
    return next(card for card in cards.all() if card.name == name)


def test_a_card_of_every_kind(places, cards):
    write_tensors(places.models / "Stable-diffusion" / "sub" / "cats.safetensors", {CROSS: (320, 768)})
    (places.models / "Stable-diffusion" / "old.ckpt").write_bytes(b"pickle")
    lora(places, "style", alias="Pretty", folder="Lora/people")
    write_tensors(places.data / "embeddings" / "neg.safetensors", {"clip_l": (2, 768), "clip_g": (2, 1280)})
    write_checkpoint(places.models / "hypernetworks" / "hyper.pt")
    write_checkpoint(places.models / "VAE" / "sharp.safetensors")
    write_checkpoint(places.models / "ESRGAN" / "4x.pth")
    found = {card.name: card for card in cards().all()}
    assert {card.kind for card in found.values()} == set(KINDS)
    assert (found["cats"].folder, found["cats"].base, found["cats"].use) == ("sub", "SD 1.x", "sub/cats.safetensors")
    assert (found["old"].convertible, found["cats"].convertible) == (True, False)
    assert (found["style"].folder, found["style"].use, found["style"].title) == ("people", "Pretty", "Pretty")
    assert found["neg"].base == "SDXL"
    assert len({card.id for card in found.values()}) == len(found)
    assert [card.kind for card in cards().all()] == sorted((card.kind for card in cards().all()), key=KINDS.index)


def test_ids_stay_and_say_nothing(places, cards):
    path = lora(places, "style")
    card = by_name(cards(), "style")
    assert cards().find(card.id) == card
    assert len(card.id) == 32
    for wrong in ("", card.id[:-1], str(path), "../" + card.id, card.id.upper() + "\0"):
        with pytest.raises(NotFound):
            cards().find(wrong)


def test_an_alias_of_two_is_not_used(places, cards):
    lora(places, "one", alias="same")
    lora(places, "two", alias="same")
    assert (by_name(cards(), "one").use, by_name(cards(), "two").use) == ("one", "two")


def test_edited_notes_are_beside_the_file(places, cards):
    path = lora(places, "style")
    listed = cards()
    notes = Notes(activation_text="red hat, cat", preferred_weight=0.8, notes="from a friend", base="SDXL")
    card = listed.edit(by_name(listed, "style").id, notes)
    assert (card.notes, card.trigger, card.base) == (notes, "red hat, cat", "SDXL")
    written = json.loads(path.with_suffix(".json").read_text())
    assert (written["activation text"], written["preferred weight"]) == ("red hat, cat", 0.8)
    assert by_name(cards(), "style").trigger == "red hat, cat"


def test_pictures(places, cards):
    lora(places, "style")
    listed = cards()
    card = by_name(listed, "style")
    assert card.preview == ""
    with pytest.raises(NotFound, match="no preview"):
        listed.picture(card.id)
    shown = listed.set_picture(card.id, b"png bytes")
    assert shown.preview
    assert listed.picture(card.id) == b"png bytes"


def test_a_picture_that_is_a_link_is_none(places, cards, tmp_path):
    """Row 34."""
    path = lora(places, "style")
    (tmp_path / "secret").write_text("secret")
    path.with_suffix(".png").symlink_to(tmp_path / "secret")
    listed = cards()
    with pytest.raises(NotFound):
        listed.picture(by_name(listed, "style").id)


def test_what_the_header_says(places, cards):
    tags = json.dumps({"10_cat": {"red hat": 5, "cat ": 30}, "5_dog": {"cat": 1, "dog": 2}})
    write_tensors(places.models / "Lora" / "style.safetensors", LORA, {"ss_tag_frequency": tags, "a" * 300: "b" * 9000})
    listed = cards()
    card = by_name(listed, "style")
    assert listed.tags(card) == ("cat", "red hat", "dog")
    metadata = listed.metadata(card)
    assert max(map(len, metadata)) == 200
    assert max(map(len, metadata.values())) == 4000


@pytest.mark.parametrize(
    "said", ["", "[", "[]", "5", '{"a": 5}', '{"a": {"b": "x"}}', '{"a": {"b": 1e999}}', "[" * 9999]
)
def test_odd_tags(places, cards, said):
    write_tensors(places.models / "Lora" / "style.safetensors", LORA, {"ss_tag_frequency": said})
    assert cards().tags(by_name(cards(), "style")) == ()


def test_of_a_pickle_nothing_is_read(places, cards):
    write_checkpoint(places.models / "Lora" / "style.pt", {"secret": "x"})
    card = by_name(cards(), "style")
    assert (cards().metadata(card), cards().tags(card)) == ({}, ())


# -- the trash ---------------------------------------------------------------------------------------------------------------


def test_removed_and_brought_back(places, cards):
    path = lora(places, "style")
    before = path.read_bytes()
    path.with_suffix(".json").write_text("{}")
    path.with_name("style.preview.png").write_bytes(b"png")
    path.with_name("style2.safetensors").write_bytes(before)
    listed = cards()
    token = listed.remove(by_name(listed, "style").id)
    assert [card.name for card in listed.all()] == ["style2"]
    assert sorted(one.name for one in path.parent.iterdir()) == [".atelier-trash", "style2.safetensors"]
    cards().restore(token)  # also after a restart
    assert path.read_bytes() == before
    assert path.with_suffix(".json").is_file()
    assert not (path.parent / ".atelier-trash").exists()
    with pytest.raises(NotFound):
        cards().restore(token)


def test_a_name_that_is_taken_by_now(places, cards):
    path = lora(places, "style")
    listed = cards()
    token = listed.remove(by_name(listed, "style").id)
    lora(places, "style", alias="new")
    new = path.read_bytes()
    with pytest.raises(StorageFailed, match="another style.safetensors"):
        listed.restore(token)
    assert path.read_bytes() == new
    path.unlink()
    listed.restore(token)


def test_a_day_later_it_is_gone(places, cards, monkeypatch):
    path = lora(places, "style")
    listed = cards()
    token = listed.remove(by_name(listed, "style").id)
    listed.refresh()
    assert list(path.parent.rglob("*.safetensors"))
    monkeypatch.setattr(cards_trash, "SECONDS", -1)
    listed.refresh()
    assert list(path.parent.iterdir()) == []
    with pytest.raises(NotFound):
        listed.restore(token)


def test_a_model_folder_goes_as_a_whole(places, cards):
    folder = places.models / "Stable-diffusion" / "diffusers"
    write_checkpoint(folder / "unet" / "x.safetensors")
    (folder / "model_index.json").write_text("{}")
    listed = cards()
    token = listed.remove(by_name(listed, "diffusers").id)
    assert (listed.all(), folder.exists()) == ((), False)
    listed.restore(token)
    assert by_name(listed, "diffusers").problem == ""


@pytest.mark.parametrize("content", ["", "[", "{}", "[1]", '[{"token": "x"}]', "null"])
def test_a_damaged_list_of_the_trash(places, cards, content):
    places.cache.mkdir(parents=True)
    (places.cache / "trash.json").write_text(content)
    lora(places, "style")
    listed = cards()
    listed.restore(listed.remove(by_name(listed, "style").id))
    assert by_name(listed, "style").problem == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written(places, cards):
    path = lora(places, "style")
    listed = cards()
    path.parent.chmod(0o500)
    with pytest.raises(StorageFailed):
        listed.remove(by_name(listed, "style").id)
    path.parent.chmod(0o700)


# -- conversion ------------------------------------------------------------------------------------------------------------------


def test_a_pickle_becomes_a_safetensors_file(places, cards):
    import torch

    folder = places.models / "Stable-diffusion"
    folder.mkdir(parents=True)
    torch.save({"state_dict": {"model.x": torch.arange(6.0)}}, folder / "old.ckpt")
    listed = cards()
    made = listed.convert(by_name(listed, "old").id)
    assert (made.path, made.problem, made.convertible) == (folder / "old.safetensors", "", False)
    assert (folder / "old.ckpt").is_file()
    with pytest.raises(InvalidModelFile, match="need not be converted"):
        listed.convert(made.id)


def test_a_pickle_that_wants_more_is_refused(places, cards, tmp_path):
    """Row 22."""
    canary = tmp_path / "canary"
    folder = places.models / "Stable-diffusion"
    folder.mkdir(parents=True)
    (folder / "bad.ckpt").write_bytes(b"cposix\nsystem\n(S'touch " + os.fsencode(canary) + b"'\ntR.")
    listed = cards()
    with pytest.raises(InvalidModelFile, match="was not converted"):
        listed.convert(by_name(listed, "bad").id)
    assert not canary.exists()
    assert [one.name for one in folder.iterdir()] == ["bad.ckpt"]
