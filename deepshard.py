"""The command line: its commands, and what becomes of their errors.

Rooms are imported inside the commands, so that `deepshard sql` does not wait for torch. Errors that a user can mend
carry ``deepshard_error`` and are printed as one line; anything else is a defect of ours and shows where it happened.
"""

import argparse
import os
import sys

from commands import browsing, caching, comparing, curating, exporting, hub, looking, splitting, training
from commands.words import Commands


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status (0, 1 for a finding, 2 for an error, 130 for Ctrl-C)."""
    arguments = parser().parse_args(argv)
    if argv is None:  # a process of ours
        from shards.arrow import without_pandas

        without_pandas()
    try:
        return arguments.command(arguments) or 0
    except KeyboardInterrupt:
        print("\nstopped; everything finished is kept, and the same command continues", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `deepshard sql ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not getattr(error, "deepshard_error", False):
            raise
        print(f"deepshard: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, in the order in which a user meets the commands."""
    whole = argparse.ArgumentParser(
        prog="deepshard",
        description="Aligned faces from deepfake datasets, splits in SQL, and training on them.",
    )
    commands = Commands(whole)
    for job in (curating, looking, browsing, splitting, caching, exporting, hub, comparing, training):
        job.add_to(commands)
    return whole


if __name__ == "__main__":
    sys.exit(main())
