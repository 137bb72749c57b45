"""Pinned splits that lie in a store: which there are, what one of them is, how two of them differ.

Everything is read from the manifests themselves, so this needs no catalog and waits for nobody.
"""

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from queries import manifest
from queries.errors import PinnedError

_SHOWN = 10


@dataclass(frozen=True)
class Listed:
    """One line of a list of pinned splits; ``lints``: {"error": n, "warning": n, "note": n}."""

    name: str
    hash: str
    path: Path
    title: str
    faces: int
    real: int
    fake: int
    faceless: int
    recipe: str
    params: dict[str, Any]
    lints: dict[str, int]
    created_at: str


@dataclass(frozen=True)
class Shown:
    """A pinned split with its card (see pin.py) and what is in it: {(dataset, method, label): (faces, videos)}."""

    listed: Listed
    card: dict[str, Any]
    content: dict[tuple[str, str, int], tuple[int, int]]
    shards: int
    partners: int


@dataclass(frozen=True)
class Difference:
    """What changed from split ``a`` to split ``b``.

    ``removed`` and ``added``: {(dataset, method, label): faces}; ``changed``: faces in both with another label, weight,
    role, partner or stream; ``moved``: faces in both whose bytes lie elsewhere; ``examples``: some of each, by kind;
    ``sql``: a unified diff; ``params``: name -> (value in a, value in b).
    """

    a: Listed
    b: Listed
    common: int
    removed: dict[tuple[str, str, int], int]
    added: dict[tuple[str, str, int], int]
    changed: int
    moved: int
    faceless_removed: list[str]
    faceless_added: list[str]
    examples: dict[str, list[str]]
    sql: list[str]
    params: dict[str, tuple[Any, Any]]

    @property
    def same(self) -> bool:
        """The same faces said the same way; where their bytes lie does not count."""
        return self.a.hash == self.b.hash


def list_pinned(store: str | Path) -> list[Listed]:
    """All pinned splits of a store, by name and time. Raises PinnedError for a manifest that cannot be read."""
    files = sorted((Path(store) / "splits").glob("*.arrow"))
    return sorted((_listed(path) for path in files), key=lambda split: (split.name, split.created_at, split.hash))


def find_pinned(store: str | Path, ref: str | Path) -> Path:
    """The manifest that ``ref`` means: a path, a name, or NAME@ and the beginning of a hash.

    Raises PinnedError, with what there is, for none or several.
    """
    if Path(ref).suffix == ".arrow" and Path(ref).is_file():
        return Path(ref)
    name, _, digest = str(ref).removesuffix(".arrow").partition("@")
    files = sorted((Path(store) / "splits").glob("*.arrow"))
    fitting = [
        path
        for path in files
        if path.stem.partition("@")[0] == name and path.stem.partition("@")[2].startswith(digest[:12])
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise PinnedError(
            f"{ref} was pinned {len(fitting)} times, say which: {', '.join(path.stem for path in fitting)}"
        )
    near = difflib.get_close_matches(name, sorted({path.stem.partition("@")[0] for path in files}), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {len(files)} in {Path(store) / 'splits'}"
    raise PinnedError(f"there is no pinned split {ref}: {hint}")


def show(store: str | Path, ref: str | Path) -> Shown:
    """One pinned split and what is in it. Raises PinnedError."""
    path = find_pinned(store, ref)
    table, card = _read(path)
    content: dict[tuple[str, str, int], tuple[int, int]] = {}
    for row in _groups(table, ["dataset", "method", "label"], [("sample_id", "count"), ("video_id", "count_distinct")]):
        content[row["dataset"], row["method"], row["label"]] = (row["sample_id_count"], row["video_id_count_distinct"])
    partners = len(table) - table["partner_id"].null_count
    return Shown(_listed(path), card, dict(sorted(content.items())), len(table["shard"].unique()), partners)


def diff(store: str | Path, a: str | Path, b: str | Path) -> Difference:
    """What changed from ``a`` to ``b``. Raises PinnedError."""
    paths = find_pinned(store, a), find_pinned(store, b)
    (old, old_card), (new, new_card) = _read(paths[0]), _read(paths[1])
    before, after = _by_id(old), _by_id(new)
    common = before.keys() & after.keys()
    changed = sorted(sample for sample in common if before[sample][1] != after[sample][1])
    moved = sorted(sample for sample in common if before[sample][2] != after[sample][2])
    removed, added = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    kinds = {"removed": removed, "added": added, "changed": changed, "moved": moved}
    faceless = [{row["video_id"] for row in card["faceless"]} for card in (old_card, new_card)]
    texts = [card["sql"].splitlines() for card in (old_card, new_card)]
    names = {**old_card["params"], **new_card["params"]}
    return Difference(
        a=_listed(paths[0]),
        b=_listed(paths[1]),
        common=len(common),
        removed=_count(before[sample][0] for sample in removed),
        added=_count(after[sample][0] for sample in added),
        changed=len(changed),
        moved=len(moved),
        faceless_removed=sorted(faceless[0] - faceless[1]),
        faceless_added=sorted(faceless[1] - faceless[0]),
        examples={kind: samples[:_SHOWN] for kind, samples in kinds.items() if samples},
        sql=list(difflib.unified_diff(*texts, paths[0].stem, paths[1].stem, lineterm="", n=1)),
        params={
            name: pair
            for name in sorted(names)
            if (pair := (old_card["params"].get(name), new_card["params"].get(name)))[0] != pair[1]
        },
    )


def _by_id(table: pa.Table) -> dict[str, tuple[tuple, tuple, tuple]]:
    """sample_id -> (its group, what the split says of it, where its bytes lie)."""
    groups = zip(*(table[name].to_pylist() for name in ("dataset", "method", "label")), strict=True)
    says = [name for name in ("label", "weight", "role", "partner_id", "stream") if name in table.column_names]
    said = zip(*(table[name].to_pylist() for name in says), strict=True)
    places = zip(*(table[name].to_pylist() for name in ("shard", "image_offset", "image_size")), strict=True)
    return dict(zip(table["sample_id"].to_pylist(), zip(groups, said, places, strict=True), strict=True))


def _count(groups: Iterable[tuple]) -> dict[tuple, int]:
    return dict(sorted(Counter(groups).items()))


def _groups(table: pa.Table, keys: list[str], measures: list[tuple[str, str]]) -> list[dict[str, Any]]:
    names = {*keys, *(name for name, _ in measures)}
    plain = pa.table({name: _plain(table[name]) for name in names})
    return plain.group_by(keys).aggregate(measures).to_pylist()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    try:
        return manifest.read(path)
    except (OSError, ValueError) as error:
        raise PinnedError(f"{path} cannot be read: {error}. Pin the split again") from error


def _listed(path: Path) -> Listed:
    try:
        card, counts = manifest.read_card(path)
    except (OSError, ValueError) as error:
        raise PinnedError(f"{path} cannot be read: {error}. Pin the split again, or remove the file") from error
    severities = Counter(lint["severity"] for lint in card["lints"])
    return Listed(
        name=card["name"],
        hash=card["hash"],
        path=path,
        title=card.get("title") or "",
        **counts,
        faceless=len(card["faceless"]),
        recipe=", ".join(recipe["name"] for recipe in card["recipes"]),
        params=card["params"],
        lints={severity: severities[severity] for severity in ("error", "warning", "note")},
        created_at=card["created_at"],
    )
