"""Pinned splits: what is in one, what its lints found with the faces that they name, and what two have in common.

A split's faces come from its own file, which has the place of every byte: they are shown as they were pinned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from browse import faces
from browse.faces import Face
from browse.gallery import SIZE, Page
from browse.pictures import Member
from browse.place import Place
from browse.save import aside
from queries import manifest
from queries.check import Finding, check
from queries.pinned import Listed, Shown, find_pinned, list_pinned, show

_PICTURES = 24  # of one finding


@dataclass(frozen=True)
class Found:
    """What a lint or a check found. ``examples``: in words, each with the face that it names, if any."""

    rule: str
    severity: str
    about: str
    message: str
    count: int
    examples: list[tuple[str, Face | None]]


@dataclass(frozen=True)
class OneSplit:
    """A split's page. ``groups``: (dataset, method, real faces, fake faces, videos)."""

    ref: str
    shown: Shown
    groups: list[tuple[str, str, int, int, int]]
    findings: list[Found]


def listed(place: Place) -> list[Listed]:
    """All pinned splits, the newest first. Raises PinnedError."""
    return sorted(list_pinned(place.store), key=lambda one: one.created_at, reverse=True)


def ref_of(one: Listed) -> str:
    """The name by which a split is asked for."""
    return f"{one.name}@{one.hash[:12]}"


def split(place: Place, ref: str) -> OneSplit:
    """Raises PinnedError, CatalogError, CatalogBusy."""
    found = show(place.store, ref)
    groups: dict[tuple[str, str], list[int]] = {}
    for (dataset, method, label), (count, videos) in found.content.items():
        group = groups.setdefault((dataset, method), [0, 0, 0])
        group[label] += count
        group[2] += videos
    lints = [
        Found(lint["rule"], lint["severity"], "", lint["message"], lint["count"], lint["examples"])
        for lint in found.card["lints"]
    ]
    shown = [(*name, *group) for name, group in groups.items()]
    return OneSplit(ref_of(found.listed), found, shown, pictured(place, lints))


def overlap(place: Place, one: str, other: str) -> list[Found]:
    """What two pinned splits share. Raises PinnedError, CatalogError, CatalogBusy."""
    paths = [find_pinned(place.store, ref) for ref in (one, other)]
    found: list[Finding] = aside(check, place.catalog, paths)
    return pictured(
        place,
        [Found(f.rule, f.severity, " and ".join(f.splits), f.message, f.count, list(f.examples)) for f in found],
    )


def pictured(place: Place, findings: Sequence[Found]) -> list[Found]:
    """Findings whose examples are plain words, with the faces that these name."""
    said = [word for finding in findings for word in finding.examples[:_PICTURES]]
    with place.look() as db:
        named = iter(faces.named_in(db, said))
    return [
        Found(f.rule, f.severity, f.about, f.message, f.count, [next(named) for _ in f.examples[:_PICTURES]])
        for f in findings
    ]


def members(place: Place, ref: str, offset: int = 0, size: int = SIZE) -> Page:
    """A page of a split's faces, in an order that mixes them and is always the same. Raises PinnedError."""
    table, card = manifest.read(find_pinned(place.store, ref))
    places = _mixed(len(table), offset, size)
    found = [_face(row, card) for row in table.take(pa.array(places, pa.int64())).to_pylist()]
    return Page(["sample_id"], [[face.sample_id] for face in found], list(found), offset, offset + size < len(table))


def _mixed(count: int, offset: int, size: int) -> list[int]:
    """Places ``offset`` and on of a walk over ``count`` rows that visits each once, in steps of about 0.618 of them."""
    step = max(1, round(count * 0.618))
    while math.gcd(step, count) != 1:
        step += 1
    return [i * step % count for i in range(offset, min(count, offset + size))]


def _face(row: dict[str, Any], card: dict[str, Any]) -> Face:
    def member(name: str, extension: str) -> Member | None:
        if row[f"{name}_offset"] is None:
            return None
        return Member(row["shard"], extension, row[f"{name}_offset"], row[f"{name}_size"], row[f"{name}_xxh3"])

    image, json = member("image", row["image_ext"]), member("json", "json")
    assert image is not None and json is not None
    return Face(
        **{name: row[name] for name in ("sample_id", "video_id", "dataset", "method", "label", "frame_index")},
        quality=row["video_id"].split("/")[2],
        time_s=None,
        track=int(row["sample_id"].rpartition("-")[2]),
        recipe_hash=card["recipes"][0]["hash"],
        tar="there",
        image=image,
        json=json,
        mask=member("mask", "png"),
        more={name: row[name] for name in ("role", "partner_id") if row[name] is not None},
    )
