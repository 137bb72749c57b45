"""A CSV file that says something of each video: one row per file, read whole, every cell as text.

Rows are found by the path that they name. An empty cell says nothing; a column that is not there, a row that is given
twice or is too short is an error, since a guess would label a video.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from curation.sources.description import ManifestKeys
from curation.sources.error import SourceError, check_known
from curation.sources.pattern import check_template, expand, placeholders
from curation.sources.remote import Place
from curation.sources.tree import spell, unspell


@dataclass(frozen=True)
class Manifest:
    """``rows``: path as written -> field -> cell, empty cells left out."""

    file: Place
    rows: dict[str, dict[str, str]]

    def row(self, path: str) -> dict[str, str] | None:
        """The row of a spelled relative path, or None."""
        return self.rows.get(path, self.rows.get(unspell(path)))

    def absent(self, paths: Iterable[str]) -> list[str]:
        """Rows whose file is not among ``paths`` (spelled), as spelled paths."""
        there = set(paths)
        return [spelled for path in self.rows if path not in there and (spelled := spell(path)) not in there]


def find_manifest(keys: ManifestKeys, root: Place, beside: Path) -> Place:
    """The manifest's file: absolute, in the root, or beside the description (looked for in this order)."""
    for folder in (root, beside):
        if (folder / keys.file).is_file():
            return folder / keys.file
    raise SourceError(f"manifest: {keys.file} is neither in {root} nor in {beside}.")


def read_manifest(keys: ManifestKeys, file: Place) -> Manifest:
    """Read a manifest. Raises SourceError that names the line, the column, and the columns there are."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=keys.delimiter, strict=True)
            header = next(reader, None)
            if header is None:
                raise SourceError(f"{file} is empty: its first line must name the columns.")
            _check_columns(keys, header, file)
            rows: dict[str, dict[str, str]] = {}
            for cells in reader:
                if not cells:
                    continue
                _add_row(keys, header, cells, rows, f"{file}, line {reader.line_num}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"{file} is not a CSV file in UTF-8: {error}") from error
    return Manifest(file, rows)


def _add_row(keys: ManifestKeys, header: list[str], cells: list[str], rows: dict, where: str) -> None:
    if len(cells) != len(header):
        raise SourceError(f"{where}: {len(cells)} cells, the header has {len(header)}. Quote cells that hold commas.")
    row = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
    path = _cell(keys.path, row).removeprefix("./")
    if not path:
        raise SourceError(f"{where}: no path in {keys.path!r}.")
    if path in rows:
        raise SourceError(f"{where}: {path} has a row already. Keep one.")
    rows[path] = {field: cell for field, column in keys.columns.items() if (cell := _cell(column, row))}


def _cell(column: str, row: dict[str, str]) -> str:
    return expand(column, row) if placeholders(column) else row[column]


def _check_columns(keys: ManifestKeys, header: list[str], file: Place) -> None:
    twice = [column for number, column in enumerate(header) if column in header[:number]]
    if twice:
        raise SourceError(f"{file}: two columns are called {twice[0]!r}. Rename one.")
    for column in (keys.path, *keys.columns.values()):
        if placeholders(column):
            check_template(column, set(header), f"{file}: columns")
        else:
            check_known([column], header, f"{file}: column")
