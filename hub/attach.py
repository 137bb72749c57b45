"""A repository becomes a store without a copy: its rows are here, its tars stay there.

Sidecars, scans, recipes and splits are fetched, a file says where the tars lie, and the catalog is made from that as
from any store. Splits can be pinned and trained on at once; faces come by ranges through the local cache when they are
read.
"""

from dataclasses import dataclass
from pathlib import Path

from hub.arriving import Arriving, write, write_small
from hub.errors import HubError
from hub.repository import Repository, saying
from queries.ingest import IngestReport, ingest_store
from shards import durable
from shards.attached import Attached, Place, read_attached, write_attached


@dataclass(frozen=True)
class AttachedTo:
    """What was attached: the commit, shards and bytes that stay there, splits; ``report``: what the catalog took in."""

    commit: str
    shards: int
    bytes: int
    splits: list[str]
    report: IngestReport


def attach(catalog: Path, store: Path, repository: Repository) -> AttachedTo:
    """Attach ``store``, which is new or was attached to the same repository before, to a repository as it is now.

    Raises HubError if the store has shards of its own, NotThere, Unanswered.
    """
    folder = store / "shards"
    before = read_attached(folder)
    if before is not None and before.repository != repository.name:
        raise HubError(
            f"{store} is attached to {before.repository}: name another store and catalog, as --store and --catalog"
        )
    if before is None and any(folder.glob("*.parquet")):
        raise HubError(
            f"{store} has shards of its own: attach another store, as --store far --catalog far.duckdb, or copy the "
            "repository into this one with `deepshard pull`"
        )
    arriving = Arriving(repository)
    with saying(repository.name, f"writing to {store}"):
        packs = arriving.packs(arriving.shards, folder)
        places = {
            shard.name: Place(shard.path, shard.content, shard.bytes)
            for shard in arriving.shards.values()
            if shard.faces
        }
        for name, (rows, mark) in packs.items():
            if rows is not None:
                write(folder / f"{name}.parquet", rows)
            write(folder / f"{name}.videos.parquet", mark)
        write_small(arriving, store, arriving.splits())
        address = f"hf://datasets/{repository.name}@{arriving.commit}"
        write_attached(folder, Attached(address, repository.name, places))
        for name in set(before.places if before else ()) - set(places):
            for end in (".videos.parquet", ".parquet"):
                durable.remove(folder / f"{name}{end}")
    report = ingest_store(catalog, store)
    splits = [path.removeprefix("splits/").removesuffix(".arrow") for path in arriving.splits()]
    size = sum(shard.bytes for shard in arriving.shards.values())
    return AttachedTo(arriving.commit, len(places), size, splits, report)
