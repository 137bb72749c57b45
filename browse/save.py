"""Saving what is looked at as a split: a .sql file with its head, pinned at once.

Pinning reads all that the query answers, so it happens in a process of its own, which gives its memory back. A file
that cannot be pinned is not kept.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from browse.place import BrowseError, Place
from queries.pin import Pinned, pin

_T = TypeVar("_T")


@dataclass(frozen=True)
class Saved:
    """``file``: the split's .sql file."""

    file: Path
    pinned: Pinned


def save(place: Place, name: str, title: str, sql: str, about: str = "") -> Saved:
    """Write ``name``.sql into the place's folder and pin it. ``about``: what the filters say, for the head.

    Raises BrowseError (a file of that name, no SQL), SplitError, CatalogError, CatalogBusy.
    """
    file = place.to / f"{name}.sql"
    if not name or file.name != f"{name}.sql" or name.startswith("."):
        raise BrowseError("give the split a name that can be a file's: letters, digits and _ . + -")
    if not sql.strip():
        raise BrowseError("there is no query to save")
    text = head(title or name, about) + sql.strip().rstrip(";").rstrip() + "\n"
    try:
        with open(file, "x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        raise BrowseError(f"there is a file {file.name} already: choose another name") from None
    except OSError as error:
        raise BrowseError(f"{file.name} cannot be written ({error.strerror})") from None
    try:
        return Saved(file, aside(pin, place.catalog, place.store, file, name))
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def head(title: str, about: str) -> str:
    """The comments before the query, in which no line of somebody's words becomes a line of its own."""
    lines = [" ".join(title.split()), f"Saved by deepshard browse on {datetime.now(UTC):%Y-%m-%d}"]
    if about.strip():
        lines[1] += f": {' '.join(about.split())}"
    return "".join(f"-- {line}\n" for line in lines) + "\n"


def aside(function: Callable[..., _T], *words: Any) -> _T:
    """What a function of ours returns or raises in a process of its own, which ends with it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *words).result()
        except BrokenProcessPool:
            raise BrowseError("the process that was asked broke down, perhaps for want of memory") from None
