"""The words of the command line: commands with the help that their functions tell, and what several of them read."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


class UsageError(ValueError):
    """Words on the command line that cannot be meant."""

    deepshard_error = True


def split_file(word: str) -> Path:
    """A .sql file by its path, or a shipped split by its name. Raises UsageError, listing them."""
    import queries.pin

    if word.endswith(".sql"):
        return Path(word)
    folder = Path(queries.pin.__file__).parent
    files = (file.relative_to(folder).with_suffix("") for file in folder.glob("*/*.sql"))
    shipped = sorted(str(file) for file in files if file.parent.name not in ("lints", "checks"))
    if word not in shipped:
        raise UsageError(f"{word!r} is neither a .sql file nor a shipped split: {', '.join(shipped)}")
    return folder / f"{word}.sql"


def pairs(words: Iterable[str]) -> dict[str, str]:
    """``key=value`` words as a dictionary."""
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word!r} must have the form key=value")
        pairs[key] = value
    return pairs


class Commands:
    """The commands below one word of the command line. Each has --catalog and --store."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._below = parser.add_subparsers(required=True, metavar="command")

    def add(
        self,
        name: str,
        function: Callable[[argparse.Namespace], int | None],
        parents: Sequence[argparse.ArgumentParser] = (),
    ) -> argparse.ArgumentParser:
        """A command that calls ``function``, whose docstring's first line is its help; to be given arguments."""
        head = function.__doc__.strip().splitlines()[0]
        command = self._below.add_parser(
            name, parents=[_places(), *parents], help=head[0].lower() + head[1:].rstrip("."), description=head
        )
        command.set_defaults(command=function)
        return command

    def group(self, name: str, does: str) -> "Commands":
        """A word with commands of its own below it."""
        return Commands(self._below.add_parser(name, help=does))


def _places() -> argparse.ArgumentParser:
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--catalog", type=Path, default=Path("catalog.duckdb"), help="default: catalog.duckdb here")
    places.add_argument("--store", type=Path, default=Path("store"), help="where shards, splits and runs lie (store)")
    return places
