"""What this room raises when the caller, a query or the disk is at fault; everything else is a bug.

The message says what to do next; the command line prints it as one line.
"""


class QueryError(ValueError):
    """Base of all errors of this room. ``deepshard_error`` tells the command line to print it without a traceback."""

    deepshard_error = True


class CatalogError(QueryError):
    """A catalog that is not there, is of another version, or is no catalog."""


class NoCatalog(CatalogError):
    """There is no catalog yet, or its maker was killed before its first commit."""


class CatalogBusy(CatalogError):
    """Another process holds the catalog and did not let go in time."""


class IngestError(QueryError):
    """A file of the store that cannot be ingested as asked."""


class SqlError(QueryError):
    """A statement that is refused, does not compile, or needs more time or memory than it may have.

    ``line``: the statement's line at fault, from 1, or None; it survives pickling as part of ``args``.
    """

    def __init__(self, message: str, line: int | None = None):
        super().__init__(message, line)
        self.line = line

    def __str__(self) -> str:
        return self.args[0]


class SplitError(QueryError):
    """A split file, its parameters or its answer that cannot be used."""


class PinnedError(QueryError):
    """A pinned split that is not there, is named ambiguously, or cannot be read."""
