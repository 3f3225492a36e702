"""Names that clients choose for their jobs (`force_task_id`), so that they can ask for progress before the answer is there."""

import threading
from collections import OrderedDict

MOST = 10_000


class Tasks:
    """Task names by owner. A name may be used again and means the newest job then. Safe from any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._jobs: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._names: dict[str, str] = {}  # the other way round, by the jobs' ids
        self._lock = threading.Lock()

    def name(self, owner: str, task: str, job: str) -> None:
        """From now on this owner means that job by `task`."""
        with self._lock:
            self._names.pop(self._jobs.pop((owner, task), ""), None)
            self._jobs[owner, task] = job
            self._names[job] = task
            while len(self._jobs) > self._most:
                self._names.pop(self._jobs.popitem(last=False)[1], None)

    def job(self, owner: str, task: str) -> str:
        """The job's id; a task nobody named is one itself."""
        with self._lock:
            return self._jobs.get((owner, task), task)

    def task(self, job: str) -> str:
        """What its owner calls a job; its id when they gave it no name."""
        with self._lock:
            return self._names.get(job, job)
