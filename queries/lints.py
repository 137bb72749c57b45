"""Lints: what a pinned split may trip over, one SQL file in ``lints/`` each, the file's name being the rule's.

A file reads the temporary tables that pinning made (``picked``: the columns of `faces` for every selected face, with
role, weight, partner_id and partner_shard; ``picked_faceless``; ``tars``) beside the catalog's, and returns no row or
rows of (severity, message, count, examples). Severity: error, warning or note.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Lint:
    """One finding. ``count``: how many faces, videos or columns it is about; ``examples``: some of them, in words."""

    rule: str
    severity: str
    message: str
    count: int
    examples: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run(db: duckdb.DuckDBPyConnection, folder: str = "lints") -> list[Lint]:
    """All lints of ``queries/<folder>``, errors first, then by rule."""
    found = [
        Lint(file.stem, severity, message, count, list(examples or ()))
        for file in sorted((Path(__file__).parent / folder).glob("*.sql"))
        for severity, message, count, examples in db.execute(file.read_text(encoding="utf-8")).fetchall()
    ]
    return sorted(found, key=lambda lint: (SEVERITIES.index(lint.severity), lint.rule, lint.message))
