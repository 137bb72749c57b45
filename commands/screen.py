"""What commands print: tables, figures, progress."""

import math
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any


def print_table(
    title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0, blocks: bool = True
) -> None:
    """Prints a table; the last ``numbers`` columns are set flush right. What a screen has no room for is printed as one
    block of lines per row, unless ``blocks`` is false: then its words are folded. Piped, it is as wide as need be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if title:
        Console(soft_wrap=True).print(Text(title, style="bold"))
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    needed = sum(widths) + 3 * len(widths)
    if blocks and sys.stdout.isatty() and len(columns) * 12 > Console().width and needed > Console().width:
        indent = max(map(len, columns)) + 2
        for row in rows:
            print(*(f"{column:<{indent}}{cell}" for column, cell in zip(columns, row, strict=True)), "", sep="\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        right = place >= len(columns) - numbers
        table.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=right and not blocks)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: a name with [brackets] is no markup
    Console(width=None if sys.stdout.isatty() else max(160, needed)).print(table)


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def size(count: int) -> str:
    """Bytes for people, in powers of 1000."""
    amount, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.3g} {units[0]}" if units[0] != "B" else f"{count} B"


def duration(hours: float) -> str:
    minutes = math.ceil(hours * 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"


def some(count: int) -> str:
    return f"{count:,}" if count else ""


class VideosDone:
    """Curation's progress: a bar on a terminal, a line every half minute in a log."""

    def __init__(self):
        self._bar, self._task, self._said = None, None, time.monotonic()

    def __call__(self, progress) -> None:
        faces = f"{progress.faces:,} faces, no face in {progress.no_face:,}, failed {progress.failed:,}"
        if sys.stderr.isatty():
            if self._bar is None:
                from rich.console import Console
                from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

                columns = (MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
                self._bar = Progress(*columns, console=Console(stderr=True))
                self._bar.start()
                self._task = self._bar.add_task("", total=progress.total)
            self._bar.update(self._task, completed=progress.done, description=faces)
        elif time.monotonic() - self._said > 30 or progress.done == progress.total:
            self._said = time.monotonic()
            print(f"{progress.done:,} of {progress.total:,} videos: {faces}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


class CountDone:
    """How many of how many are done: one line that is written over on a terminal, nothing in a log."""

    def __init__(self, what: str):
        self._what = what

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else "\r"
            print(f"{done:,} of {total:,} {self._what}", end=end, file=sys.stderr, flush=True)
