"""Names that clients choose for their jobs (`force_task_id`), so that they can ask for progress before the answer is there."""

import threading
from collections import OrderedDict

MOST = 10_000


class Tasks:
    """Task names by owner. A name may be used again and means the newest job then. Safe from any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._jobs: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = threading.Lock()

    def name(self, owner: str, task: str, job: str) -> None:
        """From now on this owner means that job by `task`."""
        with self._lock:
            self._jobs[owner, task] = job
            self._jobs.move_to_end((owner, task))
            while len(self._jobs) > self._most:
                self._jobs.popitem(last=False)

    def job(self, owner: str, task: str) -> str:
        """The job's id; a task nobody named is one itself."""
        with self._lock:
            return self._jobs.get((owner, task), task)

    def task(self, owner: str, job: str) -> str:
        """What the owner calls a job; its id when they gave it no name."""
        with self._lock:
            return next((task for (whose, task), id in self._jobs.items() if whose == owner and id == job), job)
