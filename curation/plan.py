"""What a run is about to do, on disk before it is done: a table that assigns every video to a pack.

Packs are cut from the sorted names of videos, so the bytes of a shard depend on the videos in it and neither on workers
nor on timing. A video is finished when its part lies in the plan's folder; a pack whose parts are all there becomes a
shard; a plan whose packs are all there goes. Whatever ends a run in between, the next one reads the plans that are left
and does what is missing.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curation.recipe import Recipe, canonical
from curation.video import keeps_mask
from shards.pack import pack, remove_parts
from shards.plan import PLAN, Packs, read_plan, write_plan

SHARD_BYTES = 256 << 20  # what a shard should come to: large enough to read in long runs, small enough to send again
_FACE_BYTES = {"png": 80_000, "webp": 50_000, "jpg": 18_000}  # of a 256x256 face, measured

Video = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Videos that belong together in packs: ``packs`` maps a shard's name to its videos, sorted by video_id."""

    folder: Path
    packs: Packs

    def part(self, video: Video) -> Path:
        """Where the part of a video lies."""
        return self.folder / f"{hashlib.sha256(video['video_id'].encode()).hexdigest()[:24]}.part"

    @cached_property
    def videos(self) -> int:
        return sum(map(len, self.packs.values()))

    def remove(self) -> None:
        """Ends a plan whose packs are all written."""
        (self.folder / PLAN).unlink(missing_ok=True)
        for leftover in self.folder.iterdir():
            leftover.unlink()  # .tmp files of workers that were killed
        self.folder.rmdir()


def make_plan(store: Path, recipe: Recipe, videos: list[Video]) -> Plan:
    """Cuts videos into packs and writes that down. Raises OSError."""
    # what a shard's samples have in common: dataset, and whether there is a mask member and landmarks
    kinds: dict[tuple, list[Video]] = {}
    for video in sorted(videos, key=lambda video: video["video_id"]):
        kinds.setdefault((video["dataset"], keeps_mask(video, recipe), video["aligned"]), []).append(video)
    identity = _identity(store, recipe, videos)
    packs = {}
    numbers: dict[str, int] = {}
    size = _videos_per_pack(recipe)
    for (dataset, _, _), members in kinds.items():
        for start in range(0, len(members), size):
            number = numbers[dataset] = numbers.get(dataset, -1) + 1
            packs[f"{dataset}-{recipe.hash[:8]}-{identity}-{number:06d}"] = members[start : start + size]
    folder = store / "parts" / f"{recipe.hash[:8]}-{identity}"
    write_plan(folder, packs)
    return Plan(folder, packs)


def left_plans(store: Path, recipe_hash: str) -> Iterator[Plan]:
    """Plans of a recipe which an earlier run left unfinished; those of others wait for theirs. Raises PlanError."""
    for file in sorted(store.glob(f"parts/{recipe_hash[:8]}-*/{PLAN}")):
        yield Plan(file.parent, read_plan(file.parent))


def clear_strays(store: Path) -> None:
    """Removes folders of parts whose plan was never written or is done; call it while nobody else curates.

    A folder with parts but no plan is left: nobody but its owner can say what they are.
    """
    for folder in store.glob("parts/*-*"):
        if folder.is_dir() and not (folder / PLAN).exists() and not any(folder.glob("*.part")):
            for leftover in folder.iterdir():
                leftover.unlink()
            folder.rmdir()


class Packer:
    """Makes shards of plans as their parts come in: which parts are awaited, and which pack they complete.

    ``packed`` is told the name of every pack made here.
    """

    def __init__(self, store: Path, plan: Plan, packed: Callable[[str], None] = lambda name: None):
        self._packed = packed
        self._shards = store / "shards"
        self._awaited: dict[str, set[Path]] = {}
        self._parts: dict[str, list[Path]] = {}
        self._pack_of: dict[Path, str] = {}
        self.open: list[tuple[Video, Path]] = []  # videos without a part, and where it will lie
        for name, videos in plan.packs.items():
            parts = [plan.part(video) for video in videos]
            if mark_of(store, name).exists():
                if left := [part for part in parts if part.exists()]:
                    remove_parts(left, pack(left, self._shards, name))
                continue
            missing = [(video, part) for video, part in zip(videos, parts, strict=True) if not part.exists()]
            self.open += missing
            self._parts[name] = parts
            self._awaited[name] = {part for _, part in missing}
            self._pack_of |= {part: name for _, part in missing}

    def pack_complete(self) -> int:
        """Packs what an earlier run left complete; returns how many."""
        return sum(self._pack(name) for name in [name for name, awaited in self._awaited.items() if not awaited])

    def finished(self, part: Path) -> int:
        """Says that a part is there; packs what that completes and returns how many (none or one)."""
        name = self._pack_of.pop(part)
        self._awaited[name].discard(part)
        return 0 if self._awaited[name] else self._pack(name)

    def _pack(self, name: str) -> int:
        parts = self._parts.pop(name)
        remove_parts(parts, pack(parts, self._shards, name))
        del self._awaited[name]
        self._packed(name)
        return 1


def mark_of(store: Path, name: str) -> Path:
    """The file that says that a pack is written whole: it is written last."""
    return store / "shards" / f"{name}.videos.parquet"


def _identity(store: Path, recipe: Recipe, videos: list[Video]) -> str:
    """Eight hex digits for these videos; others where the same videos were packed before, as when they failed."""
    files = sorted((video["video_id"], video["bytes"], video["mtime_ns"]) for video in videos)
    for time in itertools.count():
        identity = hashlib.sha256(canonical([recipe.hash, files, *[time] * (time > 0)]).encode()).hexdigest()[:8]
        if not any(store.glob(f"shards/*-{recipe.hash[:8]}-{identity}-*")):
            return identity
    raise AssertionError("counting does not end")


def _videos_per_pack(recipe: Recipe) -> int:
    words = recipe.sampling.split()
    faces = int(words[words.index("least") + 1] if "least" in words else words[1]) if words[0] != "all" else 300
    faces = 60 if words[0] == "every" else faces
    face_bytes = _FACE_BYTES[recipe.codec] * (recipe.size / 256) ** 2
    return max(1, int(SHARD_BYTES / (faces * face_bytes)))
