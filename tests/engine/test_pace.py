"""How long it will take, with a clock of the test's own."""

from modules.engine.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run_batch(pace: Pace, clock: Clock, steps: int, per_step: float, ending: float) -> list[float | None]:
    pace.begin()
    etas = []
    for _ in range(steps):
        clock.now += per_step
        pace.step()
        etas.append(pace.eta)
    clock.now += ending
    pace.end()
    return etas


def test_nothing_is_known_before_the_first_step() -> None:
    assert Pace(10, 1, Clock()).eta is None


def test_even_steps_are_foretold_exactly() -> None:
    clock = Clock()
    pace = Pace(4, 1, clock)
    assert run_batch(pace, clock, 4, 2.0, 0.0) == [6.0, 4.0, 2.0, 0.0]


def test_later_batches_count_their_endings_too() -> None:
    clock = Clock()
    pace = Pace(2, 3, clock)
    run_batch(pace, clock, 2, 1.0, 5.0)
    assert pace.eta == 2 * (2 * 1.0 + 5.0)
    assert run_batch(pace, clock, 2, 1.0, 5.0) == [1 + 5 + 2 + 5, 5 + 2 + 5]


def test_the_first_step_which_warms_up_is_forgotten() -> None:
    clock = Clock()
    pace = Pace(10, 1, clock)
    pace.begin()
    for took in (30.0, 1.0):
        clock.now += took
        pace.step()
    assert pace.eta == 8.0


def test_it_follows_a_machine_that_becomes_slower() -> None:
    clock = Clock()
    pace = Pace(100, 1, clock)
    run_batch_part = [1.0] * 5 + [3.0] * 20
    pace.begin()
    for took in run_batch_part:
        clock.now += took
        pace.step()
    assert pace.eta is not None
    assert 0.98 * 75 * 3 < pace.eta <= 75 * 3


def test_a_skipped_batch_does_not_count_as_an_ending() -> None:
    clock = Clock()
    pace = Pace(5, 2, clock)
    pace.begin()
    clock.now += 1.0
    pace.step()
    clock.now += 50.0
    pace.end()
    pace.begin()
    assert pace.eta == 5.0
