"""One export from its beginning to its end: check what is asked for, write the faces, then the words about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shards.export import deepfakebench, folder, notes, parquet
from shards.export.notes import Licence
from shards.export.place import open_place
from shards.export.sides import ExportError, Side

FORMS = {"folder": folder, "hf-parquet": parquet, "deepfakebench": deepfakebench}
_VERSION = 1  # raised when the same export would be written otherwise

Progress = Callable[[int, int], None]  # faces done, faces in all


@dataclass(frozen=True)
class Exported:
    """What was made. ``new``: False if it was there already; ``notes``: what is not as in the splits."""

    folder: Path
    faces: int
    new: bool
    notes: list[str]


def export(
    sides: Sequence[Side],
    form: str,
    to: Path,
    licences: Sequence[Licence] = (),
    root: str | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write ``sides`` to the folder ``to`` in one of FORMS; one that was stopped is gone on with.

    ``licences``: of the datasets, as far as they are known. ``root``: for DeepfakeBench, the folder as seen from where
    it is started; by default ``./datasets/`` and the folder's name. Raises ExportError, ReadError for a face that
    cannot be read.
    """
    if form not in FORMS:
        raise ExportError(f"there is no form {form!r}: choose from {', '.join(FORMS)}")
    if root is not None and form != "deepfakebench":
        raise ExportError("a root is for deepfakebench alone: the other forms have no path in them")
    options = {"root": (root or f"./datasets/{to.absolute().name}").rstrip("/")} if form == "deepfakebench" else {}
    how = FORMS[form]
    how.check(sides, options)
    splits = {side.name: [f"{split.name}@{split.hash}" for split in side.splits] for side in sides}
    card = {"deepshard_export": _VERSION, "form": form, "sides": splits, **options}
    total = sum(map(len, sides))
    count = 0

    def done(more: int) -> None:
        nonlocal count
        count += more
        if progress:
            progress(count, total)

    with open_place(to, card) as place:
        if place.finished is not None:
            return Exported(to, place.finished["faces"], False, place.finished["notes"])
        words = how.write(place, sides, options, done)
        place.put(notes.FACELESS, notes.faceless_csv(sides))
        place.put("README.md", notes.readme(words, sides, licences))
        place.finish(card, {"faces": total, "notes": list(words.notes)})
    return Exported(to, total, True, list(words.notes))
