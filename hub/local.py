"""What names this machine or who works on it, and must not leave: folders of sources, of the store, of a home.

Texts (why a video failed, what a scan noted, where a split's query lay) are rid of them; afterwards everything that is
about to leave is searched for them, because a field that is added later will not ask here first.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hub.errors import Forbidden

STANDS_FOR = "[local]"


class Local:
    """The words of this machine. ``roots``: folders as the catalog tells them."""

    def __init__(self, *roots: str | Path) -> None:
        words = {str(Path.home()), os.getcwd()}
        for root in map(str, roots):
            words |= {root, os.path.abspath(root), os.path.realpath(root)} if "://" not in root else {root}
        # a root such as / or /data stands in every second word
        self.words = sorted((word for word in words if len(word.strip("/.")) > 3), key=len, reverse=True)

    def clean(self, text: str | None) -> str | None:
        """The text without them."""
        for word in self.words:
            text = text and text.replace(word, STANDS_FOR)
        return text

    def clean_all(self, told: Any) -> Any:
        """The same for every text in lists and dicts as JSON has them."""
        if isinstance(told, str):
            return self.clean(told)
        if isinstance(told, dict):
            return {self.clean(key): self.clean_all(value) for key, value in told.items()}
        return [self.clean_all(one) for one in told] if isinstance(told, list) else told

    def clean_columns(self, table: pa.Table, names: Iterable[str]) -> pa.Table:
        """The same for these columns, of texts or of lists of structs."""
        for name in names:
            place = table.schema.get_field_index(name)
            values = [self.clean_all(value) for value in table[name].to_pylist()]
            table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
        return table

    def check(self, folder: Path, others: Iterable[str] = ()) -> None:
        """Raises Forbidden if a file below ``folder`` holds one of the words, or of ``others``."""
        words = [*self.words, *others]
        for path in sorted(file for file in folder.rglob("*") if file.is_file()):
            text = "\n".join(_texts(path))
            for word in words:
                if word in text:
                    raise Forbidden(
                        f"{path.relative_to(folder)} would tell {word!r}, which must not leave this machine; nothing "
                        "was sent. That is a defect of deepshard: please report which field it stands in"
                    )


def _texts(path: Path) -> Iterable[str]:
    """Every text in a file, those of Parquet and Arrow columns decoded."""
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
    elif path.suffix == ".arrow":
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
    else:
        yield path.read_text(encoding="utf-8")
        return
    for value in (table.schema.metadata or {}).values():
        yield value.decode(errors="replace")
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries() if hasattr(column, "unify_dictionaries") else column
            column = column.cast(pa.string())
        if pa.types.is_string(column.type):
            yield from filter(None, pc.unique(column).to_pylist())
        elif pa.types.is_nested(column.type):
            yield from (json.dumps(value, default=str, ensure_ascii=False) for value in column.to_pylist() if value)
