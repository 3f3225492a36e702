"""Every exception of Atelier, on one page.

A message says what is wrong with the value, what was expected and what to do. Whoever catches an `AtelierError`
may show `str(error)` to a user as it is; any other exception is a bug of ours or of an extension.
"""

from dataclasses import dataclass


class AtelierError(Exception):
    """Base of all: its text is a sentence for the person who asked."""


# What somebody asked for cannot be done -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with one field of a request. `field` is the dataclass field's name."""

    field: str
    message: str


class InvalidRequest(AtelierError):
    """A request whose values cannot be used. Nothing has been queued."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(" ".join(problem.message for problem in problems))


class UnknownName(AtelierError):
    """A name nobody claimed: a sampler, a schedule, a model, a job kind."""

    def __init__(self, kind: str, name: str, suggestion: str | None = None) -> None:
        self.kind, self.name, self.suggestion = kind, name, suggestion
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"no {kind} is called {name[:80]!r}{hint}")


class InvalidImage(AtelierError):
    """Bytes that are no picture we read, or one over the size limit."""


class InvalidOption(AtelierError):
    """A command-line flag or a setting with a value it cannot have."""


class NotFound(AtelierError):
    """A job, picture or model with this id does not exist, or belongs to somebody else."""


class QueueFull(AtelierError):
    """Too many jobs are waiting; try again later."""


# Models --------------------------------------------------------------------------------------------------------------


class InvalidModelFile(AtelierError):
    """A file that is truncated, corrupt, of another kind, or could run code when loaded."""


class NoModel(AtelierError):
    """There is no checkpoint to make a picture with."""


# While it runs -------------------------------------------------------------------------------------------------------


class Cancelled(AtelierError):
    """The job was interrupted by its owner; raised inside the engine to leave the sampling loop."""


class Skipped(AtelierError):
    """The current batch was skipped; the next one goes on."""


class NotFinite(AtelierError):
    """NaN or infinity came out of the U-Net or the autoencoder."""


class NothingLearns(AtelierError):
    """No gradient reaches what a training is to change."""


class NothingLearned(AtelierError):
    """A training ended with the weights it began with."""


class OutOfMemory(AtelierError):
    """The device has not enough memory for this request."""


class EngineLost(AtelierError):
    """The engine process ended while it worked on a job."""


# The house -----------------------------------------------------------------------------------------------------------


class DataDirectoryInUse(AtelierError):
    """Another server works on the same data directory."""


class StorageFailed(AtelierError):
    """The disk or the database did not take what had to be kept."""


class NameTaken(AtelierError):
    """A plugin claims a name that another one holds already."""
