"""Whose turn it is, without engines: a queue on a real database, and what the engines would ask."""

import pytest

from modules.core.requests import ImageRequest
from modules.core.training import EvaluationRequest, TrainingPlan
from modules.services.queue import Wanted
from modules.services.turns import DRAWING, TRAINING, Turns


@pytest.fixture
def shared():
    """A switch: whether drawing and training share the device."""
    return []


@pytest.fixture
def turns(queue, shared):
    return Turns(queue, ("cuda:0", "cuda:1"), lambda: bool(shared))


def draw(queue, owner: str = ""):
    return queue.submit("image", ImageRequest(), owner=owner)


def train(queue, owner: str = "", **fields):
    return queue.submit("train", TrainingPlan(pictures=("x",), **fields), owner=owner)


def test_kinds_of_jobs_are_handed_out_apart(queue):
    first, second = train(queue), draw(queue)
    third = queue.submit("evaluate", EvaluationRequest(run="x"))
    assert queue.next() == first
    assert queue.next(DRAWING) == second
    assert queue.claim("a", DRAWING).id == second.id
    assert queue.claim("a", DRAWING) is None
    assert [queue.claim("t", TRAINING).id for _ in range(2)] == [first.id, third.id]
    assert queue.next() is None


def test_in_turn_and_below(queue):
    first, second, third = draw(queue), train(queue), draw(queue)
    in_turn = Wanted(kinds=("train",), in_turn=True)
    assert queue.next(in_turn) is None
    assert queue.claim("a", Wanted(others=("train",), in_turn=True)).id == first.id
    assert queue.claim("a", Wanted(others=("train",), in_turn=True)) is None
    assert queue.next(in_turn).id == second.id
    assert queue.claim("a", Wanted(others=("train",), below=third.number)) is None
    assert queue.claim("a", Wanted(others=("train",), below=third.number + 1)).id == third.id


def test_owners_take_turns_over_all_kinds(queue):
    train(queue, "ann"), train(queue, "ann"), draw(queue, "bob")
    assert queue.claim("t", Wanted(kinds=("train",), in_turn=True)).owner == "ann"
    assert queue.next(Wanted(kinds=("train",), in_turn=True)) is None, "it is Bob's turn"
    assert queue.claim("e", Wanted(others=("train",), in_turn=True)).owner == "bob"
    assert queue.next(Wanted(kinds=("train",), in_turn=True)).owner == "ann"


def test_a_training_waits_until_nobody_draws_and_then_has_the_device(queue, turns):
    told = []
    turns.subscribe(lambda: told.append(1))
    draw(queue)
    assert turns.claim_drawing("e", "cuda:0")
    training = train(queue)
    behind = draw(queue)
    assert not turns.take(), "somebody draws"
    assert turns.wanted
    assert turns.claim_drawing("e", "cuda:0") is None, "and nobody begins to"
    assert turns.closed("cuda:0").id == training.id
    turns.left("e")
    assert told
    assert turns.take()
    assert turns.claim_training("t").id == training.id
    assert turns.closed("cuda:0").id == training.id
    turns.trained()
    assert turns.closed("cuda:0") is None
    assert turns.claim_drawing("e", "cuda:0").id == behind.id


def test_pictures_that_wait_at_its_end_come_before_the_next(queue, turns):
    trainings = [train(queue) for _ in range(3)]
    turns.take()
    turns.claim_training("t")
    guests = [draw(queue) for _ in range(2)]
    turns.trained()
    late = draw(queue)
    assert turns.claim_training("t") is None
    turns.leave()
    assert not turns.take()
    assert [turns.claim_drawing("e", "cuda:0").id for _ in guests] == [one.id for one in guests]
    assert turns.claim_drawing("e", "cuda:0") is None, "now it is the second training's turn"
    turns.left("e")
    assert turns.take()
    assert turns.claim_training("t").id == trainings[1].id
    turns.trained()
    assert turns.claim_drawing("e", "cuda:0").id == late.id


def test_trainings_alone_follow_each_other_in_one_process(queue, turns):
    trainings = [train(queue) for _ in range(2)]
    assert turns.take()
    for one in trainings:
        assert turns.claim_training("t").id == one.id
        turns.trained()
    assert turns.claim_training("t") is None


def test_other_devices_draw_on(queue, turns):
    train(queue), draw(queue)
    assert turns.take()
    assert turns.claim_drawing("e", "cuda:0") is None
    assert turns.claim_drawing("f", "cuda:1")
    assert turns.closed("cuda:1") is None
    assert turns.waits_for(draw(queue)) is None, "there is one that draws"


def test_a_training_on_two_devices_has_both(queue, turns):
    for _ in range(3):
        draw(queue)
    assert turns.claim_drawing("e", "cuda:0")
    assert turns.claim_drawing("f", "cuda:1")
    turns.left("e")
    training = train(queue, num_processes=2)
    assert turns.claim_drawing("e", "cuda:0")
    turns.left("e")
    assert not turns.take(), "the second still draws"
    turns.left("f")
    assert turns.take()
    assert turns.claim_drawing("f", "cuda:1") is None
    assert turns.waits_for(draw(queue)).id == training.id


def test_shared(queue, turns, shared):
    shared.append(True)
    training, picture = train(queue), draw(queue)
    assert turns.claim_drawing("e", "cuda:0").id == picture.id
    assert turns.take(), "although somebody draws"
    assert turns.claim_training("t").id == training.id
    assert turns.closed("cuda:0") is None
    draw(queue)
    assert turns.claim_drawing("e", "cuda:0")


def test_a_change_of_mind_while_it_trains(queue, turns, shared):
    train(queue), draw(queue)
    turns.take()
    turns.claim_training("t")
    assert turns.claim_drawing("e", "cuda:0") is None
    shared.append(True)
    assert turns.claim_drawing("e", "cuda:0")


def test_a_training_taken_out_opens_the_device(queue, turns):
    told = []
    turns.subscribe(lambda: told.append(1))
    training, picture = train(queue), draw(queue)
    assert turns.take()
    queue.cancel(training.id)
    assert not turns.take()
    assert told, "those who were sent away ask again"
    assert turns.claim_drawing("e", "cuda:0").id == picture.id


def test_a_training_whose_turn_passes_while_its_process_starts(queue, turns):
    training = train(queue, "ann")
    draw(queue, "bob")
    assert turns.take()
    queue.claim("f", DRAWING)  # on another device
    draw(queue, "bob")
    assert turns.claim_training("t").id == training.id
