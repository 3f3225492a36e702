"""Time as a ratio: the machine may be slow or busy, but four times the text must not take sixteen times as long."""

import gc
import time

QUADRATIC = 16
ATTEMPTS = 6


def takes_linear_time(work, text):
    """Whether `work` on a text takes about four times as long as on a quarter of it (its two ends, so that nesting stays)."""
    eighth = len(text) // 8
    quarter = text[:eighth] + text[-eighth:]
    work(quarter)  # what is made once is made before
    return any(seconds(work, text) < 0.55 * QUADRATIC * seconds(work, quarter) + 0.02 for _ in range(ATTEMPTS))


def seconds(work, text):
    """Of the processor, and without the garbage collector, whose visits depend on what else is in memory."""
    gc.disable()
    try:
        start = time.process_time()
        work(text)
        return time.process_time() - start
    finally:
        gc.enable()
