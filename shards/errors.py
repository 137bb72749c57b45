"""What this room raises when the caller, the disk or the data is at fault; everything else is a bug.

Every error carries one message, no further fields: a DataLoader worker rebuilds an exception from its text alone.
The message names the sample, the shard and what to do next. The command line prints it as one line.
"""


class ShardError(ValueError):
    """Base of all errors of this room. ``deepshard_error`` tells the command line to print it without a traceback."""

    deepshard_error = True


class TarError(ShardError):
    """A name or size that USTAR cannot hold, or a block that is not a USTAR header."""


class PartError(ShardError):
    """A part was given rows that do not fit, or lies damaged on disk."""


class PlanError(ShardError):
    """A plan of a curation that lies damaged on disk."""


class PackError(ShardError):
    """Parts that cannot become one shard."""


class SplitError(ShardError):
    """A pinned split that cannot be opened, or that does not hold what was asked of it."""


class ReadError(ShardError):
    """A sample whose bytes are missing, damaged or not decodable."""


class OrderError(ShardError):
    """An order of samples that cannot be formed: batch sizes that do not divide, a missing label, another split."""
