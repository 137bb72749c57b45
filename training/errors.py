"""What training refuses to do. One class, so that the command line can print one line and leave with code 2."""


class TrainingError(ValueError):
    """The user asked for something that cannot be done; the message says what to do next."""

    deepshard_error = True
