"""The order of pictures: each epoch a permutation, worked out from the batch's number alone."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.training.order import Order, permutation, shown


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_no_picture_twice_before_all_were_seen(count, batch, seed):
    order = Order(["same"] * count, batch, seed)
    seen = [picture for number in range(3 * count) for picture in order.rows(number).pictures]
    for epoch in range(3):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert order.rows(2).before == 2 * batch
    assert order.epochs(count) == batch


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=14), st.integers(1, 4), st.integers(0, 9))
def test_like_ones_train_together(kinds, batch, seed):
    order = Order(kinds, batch, seed)
    number, before = 0, 0
    for epoch in range(2):
        seen = Counter()
        while before < (epoch + 1) * len(kinds):
            rows = order.rows(number)
            if len(set(kinds)) > 1:
                assert len({kinds[picture] for picture in rows.pictures}) == 1
                assert 1 <= len(rows.pictures) <= batch
            assert rows.before == before
            seen.update(rows.pictures)
            before += len(rows.pictures)
            number += 1
        if len(set(kinds)) > 1:
            assert seen == Counter(range(len(kinds)))
            assert order.epochs(number) == pytest.approx(epoch + 1)


def test_epochs_differ_and_seeds_differ():
    orders = {permutation(10, epoch, seed) for epoch in range(5) for seed in range(5)}
    assert len(orders) == 25
    assert permutation(10, 3, 4) == permutation(10, 3, 4)
    assert shown(10, 13, 4, 1) == [permutation(10, 1, 1)[place] for place in (3, 4, 5, 6)]


def test_any_batch_can_be_asked_for_first():
    """Resuming: nothing depends on what was asked before."""
    whole = [Order(["a", "b", "a", "b", "a"], 2, 3).rows(number) for number in range(20)]
    order = Order(["a", "b", "a", "b", "a"], 2, 3)
    assert [order.rows(number) for number in (17, 2, 9)] == [whole[number] for number in (17, 2, 9)]
