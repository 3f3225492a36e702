"""The catalogue: kept for the next start, found by every name."""

import threading

import pytest
from services.tiny_engine import CATALOGUE

from modules.core.errors import UnknownName
from modules.core.events import Catalogue
from modules.services.catalogue import CatalogueKeeper


@pytest.fixture
def file(places):
    return places.cache / "catalogue.json"


def test_empty_until_an_engine_is_up(file):
    keeper = CatalogueKeeper(file)
    assert keeper.now() == keeper.wait(0.01) == Catalogue()
    threading.Timer(0.05, keeper.learn, [CATALOGUE]).start()
    assert keeper.wait(10) == CATALOGUE


def test_the_next_start_knows_it_at_once(file):
    CatalogueKeeper(file).learn(CATALOGUE)
    keeper = CatalogueKeeper(file)
    assert keeper.now() == keeper.wait(0) == CATALOGUE


def test_the_same_again_writes_nothing(file):
    keeper = CatalogueKeeper(file)
    keeper.learn(CATALOGUE)
    file.unlink()
    keeper.learn(CATALOGUE)
    assert not file.exists()


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"is": "Nothing"}', '{"is": "Started", "job": "x"}'])
def test_a_damaged_file_is_no_matter(file, content):
    file.parent.mkdir()
    file.write_text(content)
    assert CatalogueKeeper(file).now() == Catalogue()


def test_a_folder_that_cannot_be_written_is_no_matter(file):
    file.parent.write_text("in the way")
    keeper = CatalogueKeeper(file)
    keeper.learn(CATALOGUE)
    assert keeper.now() == CATALOGUE


def test_names(file):
    keeper = CatalogueKeeper(file)
    keeper.learn(CATALOGUE)
    assert keeper.samplers().find("K_Euler").name == "Euler"
    assert keeper.schedules().find("karras").name == keeper.schedules().find("Karras").name == "Karras"
    with pytest.raises(UnknownName, match="no schedule is called 'Karas'; did you mean 'Karras'"):
        keeper.schedules().find("Karas")
