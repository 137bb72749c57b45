"""A push: what is asked for, seen to be allowed, written down, compared with what is there, and sent.

Tars are made one by one, sent and removed again, so a push needs room for one of them. Files go up before any commit
speaks of them, and commits are of at most a hundred files; the last one changes card and catalog, and removes what is
no longer part, so that readers find the old repository or the new one. A push that was cut finds on the second try
what arrived on the first: nothing that the Hub has is sent again.
"""

import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from hub import permission
from hub.card import write_card
from hub.errors import HubError
from hub.layout import Shard
from hub.outgoing import Outgoing, prepare
from hub.pseudonyms import Pseudonyms
from hub.repository import FILES_PER_COMMIT, Listed, Repository, saying
from hub.selection import select
from shards import durable
from shards.reader import ShardReader
from shards.repack import tar_bytes

OURS = ("data/", "catalog/", "recipes/", "sources/", "splits/", "corrections/")
CARD = "README.md"


@dataclass(frozen=True)
class Pushed:
    """What a push did: ``faces`` in ``shards`` of ``bytes`` are there now, ``made`` of the shards had to be made and
    sent anew, ``files`` were changed or removed; ``commit`` is where that is, None if nothing had changed."""

    repository: str
    private: bool
    faces: int
    videos: int
    shards: int
    bytes: int
    made: int
    files: int
    splits: list[str]
    commit: str | None


def push(
    catalog: Path,
    store: Path,
    repository: Repository,
    splits: Sequence[str] = (),
    where: str | None = None,
    recipe: str | None = None,
    public: bool | None = None,
    said_so: bool = False,
    pseudonyms: Pseudonyms | None = None,
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Pushed:
    """Make a repository hold the faces of these splits, of a predicate, or all, as ``select`` chooses them.

    ``public``: whether a new repository is; None and a repository that is there: as it is, private if it is new.
    ``said_so``: that what may not be passed on may go to a private one. ``replace``: faces that are there and were not
    asked for go. Raises Forbidden before anything is sent, HubError, and the errors of the other rooms.
    """
    selection = select(catalog, store, splits, where, recipe)
    state = repository.state()
    if state is not None and public is not None and public == state.private:
        raise HubError(
            f"{repository} is there and is {'private' if state.private else 'public'}: leave "
            f"{'--public' if public else '--private'} away, or change its visibility in its settings on the Hub first"
        )
    open_to_all = bool(public) if state is None else not state.private
    permission.check(selection, repository.name, open_to_all, said_so)
    folder = store / "outgoing" / repository.name.replace("/", "--")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with saying(repository.name, f"writing to {store}"):
            durable.make_folder(folder)
            outgoing = prepare(selection, store, folder, repository.name, pseudonyms)
            card = write_card(outgoing, repository.name, store)
        there = {} if state is None else repository.files()
        if state is not None and not replace:
            _check_nothing_lost(repository, there, outgoing)
        if state is None:
            repository.create(private=not open_to_all)
        _check_still(repository, open_to_all)
        before = None if state is None else state.commit
        made, files, commit = _send(repository, outgoing, card, there, before, store, folder, open_to_all, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tars = [shard for shard in outgoing.shards if shard.rows is not None]
    names = sorted(path.removeprefix("splits/") for path in outgoing.files if path.startswith("splits/"))
    return Pushed(
        repository.name,
        not open_to_all,
        len(selection.samples),
        len(selection.videos),
        len(tars),
        sum(shard.bytes for shard in tars),
        made,
        files,
        [name.removesuffix(".arrow") for name in names],
        commit,
    )


def _check_nothing_lost(repository: Repository, there: dict[str, Listed], outgoing: Outgoing) -> None:
    """Raises HubError if the repository is not one of ours, or has faces that would be gone afterwards."""
    known = there.get("catalog/faces.parquet")
    if known is None:
        strange = sorted(path for path in there if path not in (".gitattributes", CARD))
        if strange:
            raise HubError(
                f"{repository} holds other things ({strange[0]}, ...) and no catalog of deepshard: push to a new one"
            )
        return
    ids = pq.read_table(io.BytesIO(repository.fetch("catalog/faces.parquet", known)), columns=["sample_id"])[
        "sample_id"
    ]
    going = [shard.rows["sample_id"] for shard in outgoing.shards if shard.rows is not None]
    values = pa.chunked_array([chunk for column in going for chunk in column.chunks], pa.string())
    if lost := len(ids) - (pa.compute.sum(pa.compute.is_in(ids, values)).as_py() or 0):
        raise HubError(
            f"{repository} has {lost:,} faces that this push leaves out. A push makes the repository what it names: "
            "name them too (--split takes several), or let them go with --replace"
        )


def _check_still(repository: Repository, open_to_all: bool) -> None:
    """Raises HubError if somebody opened the repository in the meantime, or the Hub made another one than asked for."""
    state = repository.state()
    if state is None or state.private == open_to_all:
        raise HubError(
            f"{repository} is not {'public' if open_to_all else 'private'} any more: run the same command again"
        )


def _send(
    repository: Repository,
    outgoing: Outgoing,
    card: bytes,
    there: dict[str, Listed],
    before: str | None,
    store: Path,
    folder: Path,
    open_to_all: bool,
    progress: Callable[[int, int], None] | None,
) -> tuple[int, int, str | None]:
    """(shards made, files changed, the last commit)."""
    waiting: list[CommitOperationAdd | CommitOperationCopy] = []
    staged: list[Path] = []
    made = files = 0
    commit = None
    tars = [shard for shard in outgoing.shards if shard.rows is not None]
    known = _known_tars(repository, there)
    beside = {f"{shard.path}{end}" for shard in tars for end in (".parquet", ".videos.parquet")}
    for number, shard in enumerate(tars, 1):
        additions = []
        for end in (".parquet", ".videos.parquet"):
            file = outgoing.files[f"{shard.path}{end}"]
            if not _same(there.get(f"{shard.path}{end}"), file):
                additions.append(CommitOperationAdd(f"{shard.path}{end}", file.read_bytes()))
        tar = there.get(f"{shard.path}.tar")
        elsewhere = known.get((shard.name, outgoing.places[shard.name].content, shard.bytes))
        if not additions and tar is not None and tar.size == shard.bytes:
            continue
        if elsewhere == f"{shard.path}.tar":
            pass
        elif elsewhere:
            waiting.append(CommitOperationCopy(elsewhere, f"{shard.path}.tar", src_revision=before))
        else:
            staged.append(_make(shard, outgoing, store, folder))
            additions.append(CommitOperationAdd(f"{shard.path}.tar", staged[-1]))
            made += 1
        if additions:
            repository.send(additions)
            if all(one._is_uploaded for one in additions if one.path_in_repo.endswith(".tar")):
                staged = [file for file in staged if not durable.remove(file)]
        waiting += additions
        if progress:
            progress(number, len(tars))
        if len(waiting) + 3 > FILES_PER_COMMIT:
            _check_still(repository, open_to_all)
            files += len(waiting)
            commit, waiting = repository.commit(waiting, f"Faces: shards up to {number} of {len(tars)}"), []
    last = list(waiting)
    for path, file in outgoing.files.items():
        if path not in beside and not _same(there.get(path), file):
            last.append(CommitOperationAdd(path, file.read_bytes()))
    if CARD not in there or not there[CARD].is_of(card):
        last.append(CommitOperationAdd(CARD, card))
    kept = {*outgoing.files, *(f"{shard.path}.tar" for shard in tars)}
    last += [CommitOperationDelete(path) for path in sorted(there) if path.startswith(OURS) and path not in kept]
    if last:
        additions = [one for one in last if isinstance(one, CommitOperationAdd)]
        if additions:
            repository.send(additions)
        _check_still(repository, open_to_all)
        for some in _hundreds(last):
            commit = repository.commit(some, "Faces, catalog and card")
        files += len(last)
    return made, files, commit


def _hundreds(operations: list) -> Iterator[list]:
    """At most a hundred operations at a time; what readers find the others by comes last."""

    def late(operation) -> int:
        if isinstance(operation, CommitOperationDelete):
            return 2
        return int(not operation.path_in_repo.startswith("data/"))

    operations = sorted(operations, key=late)
    for start in range(0, len(operations), FILES_PER_COMMIT):
        yield operations[start : start + FILES_PER_COMMIT]


def _known_tars(repository: Repository, there: dict[str, Listed]) -> dict[tuple[str, str, int], str]:
    """(name, content, bytes) of the shards that a catalog there tells of and that are there -> the path of the tar."""
    listed = there.get("catalog/shards.parquet")
    if listed is None:
        return {}
    rows = pq.read_table(io.BytesIO(repository.fetch("catalog/shards.parquet", listed))).to_pylist()
    return {
        (row["shard"], row["content"], row["bytes"]): f"{row['path']}.tar"
        for row in rows
        if (tar := there.get(f"{row['path']}.tar")) and tar.size == row["bytes"]
    }


def _same(listed: Listed | None, file: Path) -> bool:
    return listed is not None and listed.size == file.stat().st_size and listed.is_of(file.read_bytes())


def _make(shard: Shard, outgoing: Outgoing, store: Path, folder: Path) -> Path:
    """The tar of a shard, on this disk."""
    path = folder / f"{shard.name}.tar"
    with saying("the push", f"writing {path}"):
        durable.write_file(path, tar_bytes(shard.old, shard.rows, ShardReader(store / "shards"), outgoing.change))
    if path.stat().st_size != shard.bytes:
        raise HubError(
            f"{path.name} has {path.stat().st_size:,} bytes instead of {shard.bytes:,}: run the command again"
        )
    return path
