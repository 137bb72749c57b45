"""What this room raises when the caller, the Hub or the disk is at fault; everything else is a bug.

The message says what to do next; the command line prints it as one line. No message holds a token.
"""


class HubError(ValueError):
    """Base of all errors of this room. ``deepshard_error`` tells the command line to print it without a traceback."""

    deepshard_error = True


class Forbidden(HubError):
    """Faces that must not go where they were to be sent."""


class Unanswered(HubError):
    """A Hub that does not answer, refuses, or answers with other bytes than it lists."""


class NotThere(Unanswered):
    """A repository, revision or file that the Hub does not have, or does not show to this token."""
