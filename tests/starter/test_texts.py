"""Captions as token ids, made before the training."""

import torch
from torch import Generator

from modules.starter.clip import CONTEXT, END, START, chosen, shortened, tokens_of
from modules.starter.pictures import Gallery, cut
from modules.starter.texts import captions_of, open_texts
from modules.starter.world import FULL

GALLERY = Gallery(words=FULL, count=3, size=64)


def test_every_picture_is_said_in_several_ways(tmp_path):
    texts = open_texts(GALLERY, 4, tmp_path, 1)
    assert texts.shape == (3, 4, CONTEXT)
    assert texts.dtype == torch.int32
    assert (texts[..., 0] == START).all()
    assert (texts[..., -1] == END).all()
    assert len({tuple(row.tolist()) for row in texts[0]}) > 1


def test_the_ids_are_those_of_the_captions(tmp_path, tiny):
    texts = open_texts(GALLERY, 2, tmp_path, 1)
    for number in range(3):
        assert torch.equal(tokens_of(tiny.tokenizer, captions_of(GALLERY, number, 2)), texts[number].long())


def test_they_are_written_once(tmp_path, monkeypatch):
    first = open_texts(GALLERY, 2, tmp_path, 1)
    monkeypatch.setattr("modules.starter.texts.ProcessPoolExecutor", None)
    assert torch.equal(open_texts(GALLERY, 2, tmp_path, 1), first)


def test_one_of_them_is_chosen_for_each_picture():
    texts = torch.arange(2 * 3 * CONTEXT, dtype=torch.int32).view(2, 3, CONTEXT)
    rows = chosen(texts, torch.tensor([1, 0, 1]), Generator().manual_seed(1))
    assert rows.dtype == torch.int64
    assert [int(row[0]) // (3 * CONTEXT) for row in rows] == [1, 0, 1]


def test_padding_is_left_out_as_far_as_all_have_it():
    ids = torch.full((2, CONTEXT), END)
    ids[:, 0] = START
    ids[1, 1:4] = 320
    assert shortened(ids).shape == (2, 5)


def test_squares_are_cut_where_they_are_asked_for():
    pictures = torch.arange(2 * 6 * 6).view(2, 6, 6, 1)
    found = cut(pictures, torch.tensor([1, 0]), torch.tensor([2, 0]), torch.tensor([3, 1]), 3)
    assert torch.equal(found[0], pictures[1, 2:5, 3:6])
    assert torch.equal(found[1], pictures[0, 0:3, 1:4])
