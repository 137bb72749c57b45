"""Any tree of videos or images that a short YAML file describes (``example.yaml`` shows every key).

The general case, for sets without an adapter of their own. Every file that the globs select must get a label from the
description, and every file that they leave out is counted in a note: nothing is skipped in silence, so that a typing
error in a glob cannot shrink a dataset.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from curation.sources.description import KINDS, Description, read_description
from curation.sources.error import SourceError, few
from curation.sources.labelling import Labeller, Said, Unlabelled
from curation.sources.manifest import find_manifest, read_manifest
from curation.sources.remote import Place, place_of
from curation.sources.selection import Selection, select
from curation.sources.source import CompletenessRow, Source
from curation.sources.tree import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, Walk, open_root, spell, unspell, walk
from curation.sources.video import Video, identify
from shards.uri import is_address

NAME = "folder"


def recognise(root: str | Place) -> tuple[float, str]:
    """0.1 for any folder with a video or an image among its first 2000 files, which a YAML could describe; and why."""
    media = VIDEO_EXTENSIONS | IMAGE_EXTENSIONS
    root = place_of(root)
    for index, path in enumerate(root.rglob("*") if isinstance(root, Path) else root.iterdir()):
        if path.suffix.lower() in media:
            return 0.1, f"it holds {path.name}"
        if index == 2000:
            break
    return 0.0, ""


def open_source(
    root: str | Place | None = None, *, config: str | Path | None = None, name: str | None = None
) -> Source:
    """Read the folder that the description ``config`` describes, a file or the name of a shipped one. ``root`` stands
    above the description's own ``root``, which is relative to the YAML file, or an address.

    Raises SourceError for a description that cannot be right, and for files that it leaves without a label.
    """
    if config is None:
        raise SourceError("a folder needs a description: `deepshard scan folder DESCRIPTION.yaml [ROOT]`.")
    description = read_description(config)
    try:
        return _read(_root(root, description), description, name or description.source)
    except SourceError as error:
        raise SourceError(f"{description.file}: {error}") from error


@dataclass(frozen=True)
class Reading:
    """A tree and what its description says of it: ``said`` and ``ids`` (``video_id``) by relative path."""

    description: Description
    tree: Walk
    labeller: Labeller
    selection: Selection
    said: dict[str, Said]
    ids: dict[str, str]


def _read(root: Place, description: Description, source: str) -> Source:
    tree = walk(root)
    own, manifest = [description.file], None
    if description.manifest:
        own.append(find_manifest(description.manifest, root, description.file.parent))
        manifest = read_manifest(description.manifest, own[-1])
    labeller = Labeller(description, manifest)
    selection = select(description, root, tree, own)
    said = _say_all(labeller, selection, root)
    reading = Reading(description, tree, labeller, selection, said, _unique_ids(description, said))
    videos = _videos(reading, source)
    return Source(
        adapter=NAME,
        source=source,
        root=root,
        licence=description.licence,
        redistributable=description.redistributable,
        config=description.raw,
        videos=list(videos.values()),
        rows=_rows(reading, videos) + _mask_rows(reading, videos),
        notes=selection.notes,
        warnings=selection.warnings + _doubts(reading),
        aliases=list(description.aliases),
    )


def _root(root: str | Place | None, description: Description) -> Place:
    if is_address(description.root or ""):
        place_of(description.root)  # refused where it holds a key, also where another root is read: it is written down
    if root is not None:
        return open_root(root, NAME)
    if description.root is None:
        raise SourceError("there is no root: add root (relative to this file), or name a ROOT after it.")
    if is_address(description.root):
        return open_root(description.root, NAME)
    return open_root(description.file.parent / Path(description.root).expanduser(), NAME)


def _say_all(labeller: Labeller, selection: Selection, root: Place) -> dict[str, Said]:
    said: dict[str, Said] = {}
    unlabelled: list[str] = []
    wrong: dict[str, int] = defaultdict(int)
    for path in selection.clips:
        try:
            said[path] = labeller.say(path)
        except Unlabelled:
            unlabelled.append(path)
        except SourceError as error:
            wrong[str(error)] += 1
    if unlabelled:
        rows = f" The manifest's rows look like {few(list(labeller.manifest.rows), 2)}." if labeller.manifest else ""
        raise SourceError(
            f"nothing says whether {len(unlabelled):,} of {len(selection.clips):,} files in {root} are real or fake: "
            f"{few(unlabelled)}. Give each a label by a rule, or name it in exclude.{rows}"
        )
    if wrong:
        first, times = next(iter(wrong.items()))
        others = sum(wrong.values()) - times
        more = [f"the same for {times - 1:,} more"] if times > 1 else []
        more += [f"{others:,} files have other faults"] if others else []
        raise SourceError(f"{first}{' (' + '; '.join(more) + ')' if more else ''}")
    return said


def _unique_ids(description: Description, said: dict[str, Said]) -> dict[str, str]:
    ids: dict[str, str] = {}
    paths: dict[str, str] = {}
    for path, words in said.items():
        ids[path] = _identify(description, words)
        taken = paths.setdefault(ids[path], path)
        if taken != path:
            raise SourceError(_same_name(description, taken, path, words.name))
    return ids


def _identify(description: Description, said: Said) -> str:
    return identify(description.dataset, said.method, said.quality, said.name)


def _same_name(description: Description, one: str, other: str, name: str) -> str:
    files = few([one, other])
    if not description.keep_extension and one.rpartition(".")[0] == other.rpartition(".")[0]:
        return f"{files} differ only in their extension and would both be {name!r}: add keep_extension: true."
    return (
        f'{files} would both be {name!r} of one method and quality: give them different names (name: "{{path}}" is '
        "unique), or say method or quality for each."
    )


def _videos(reading: Reading, source: str) -> dict[str, Video]:
    there = {entry.path for entry in reading.tree.files if entry.kind == "file"} | set(reading.tree.folders)
    videos = {}
    for path, words in reading.said.items():
        clip = reading.selection.clips[path]
        mask = spell(words.mask) if words.mask and words.mask not in there else words.mask
        if mask in reading.said:
            raise SourceError(f"{mask} is the mask of {path} and a video too: name the masks in exclude.")
        videos[path] = Video(
            video_id=reading.ids[path],
            dataset=reading.description.dataset,
            method=words.method,
            category=words.category,
            quality=words.quality,
            name=words.name,
            label=words.label,
            raw_label=words.raw_label,
            target_id=words.target_id,
            source_id=words.source_id,
            visible_id=words.visible_id,
            original_video=_original(reading, path),
            official_split=words.split,
            kind=KINDS[reading.description.kind],
            aligned=reading.description.aligned,
            source=source,
            path=path,
            mask_path=mask if mask in there else None,
            bytes=clip.bytes,
            mtime_ns=clip.mtime_ns,
        )
    return videos


def _original(reading: Reading, path: str) -> str | None:
    """The ``video_id`` of the real clip that ``path`` was made from; also where that clip is not on disk."""
    words = reading.said[path]
    if words.original_video or not words.original:
        return words.original_video
    original = words.original if words.original in reading.said else spell(words.original)
    try:
        real = reading.said.get(original) or reading.labeller.say(original)
    except Unlabelled:
        real = None
    if real is None or not reading.selection.globs.chosen(original):
        raise SourceError(
            f"{path}: its original {original} is no video of this source (paths are relative to the root, with their "
            "extension). Correct original, or give original_video, the id of a video of another source."
        )
    if real.label != 0:
        raise SourceError(f"{path}: its original {original} is labelled fake. Correct original, or that label.")
    return _identify(reading.description, real)


def _rows(reading: Reading, videos: dict[str, Video]) -> list[CompletenessRow]:
    """What was found per method and quality; missing are the manifest's rows and the originals that have no file."""
    manifest = reading.labeller.manifest
    found = Counter((video.method, video.quality) for video in videos.values())
    named = {spell(words.original) for words in reading.said.values() if words.original} - set(videos)
    named |= set(manifest.absent(videos) if manifest else ())
    missing: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in named:
        # an original may be spelled already
        if reading.selection.globs.chosen(path) and path not in videos and unspell(path) not in videos:
            missing[_group(reading.labeller, path)].add(path)
    return [
        CompletenessRow(
            reading.description.dataset,
            method,
            quality,
            found[method, quality] + len(missing[method, quality]) if manifest else None,
            found[method, quality],
            sorted(missing[method, quality]),
        )
        for method, quality in sorted({*found, *missing})
    ]


def _group(labeller: Labeller, path: str) -> tuple[str, str]:
    try:
        said = labeller.say(path)
    except SourceError:  # the row must be shown, also where nothing but its path is known
        return "unlabelled", "native"
    return said.method, said.quality


def _mask_rows(reading: Reading, videos: dict[str, Video]) -> list[CompletenessRow]:
    """Masks that the description names, per method: how many are there, and which are not."""
    masked: dict[str, list[str]] = defaultdict(list)
    for path, words in reading.said.items():
        if words.mask:
            masked[words.method].append(path)
    rows = []
    for method, paths in masked.items():
        absent = sorted({reading.said[path].mask for path in paths if videos[path].mask_path is None})
        found = sum(videos[path].mask_path is not None for path in paths)
        rows.append(CompletenessRow(reading.description.dataset, method, "masks", len(paths), found, absent))
    return rows


def _doubts(reading: Reading) -> list[str]:
    doubts = [
        f"rule {number + 1} ({few(rule.match)}) was not used: no file, or an earlier rule matches them all"
        for number, rule in enumerate(reading.description.rules)
        if number not in reading.labeller.used_rules
    ]
    unmatched = sorted(set(reading.labeller.unmatched) & set(reading.said))
    if unmatched:
        doubts.append(f"the regex does not match (and says nothing of) {len(unmatched):,} files: {few(unmatched)}")
    return doubts
