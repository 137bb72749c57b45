"""What lies in a repository, as whoever pulls from it or attaches to it finds it: its shards, splits and small files.

Everything is read at one commit, whatever is pushed meanwhile, and every small file is compared with the checksum that
the Hub lists; sidecars and marks also with their own.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from hub.errors import HubError, NotThere, Unanswered
from hub.repository import Listed, Repository
from shards import durable, sidecar
from shards.sidecar import Damaged

SHARDS = "catalog/shards.parquet"
SMALL = ("recipes/", "sources/", "corrections/")


@dataclass(frozen=True)
class There:
    """A shard of a repository. ``path``: without an extension; ``bytes`` of its tar, 0 where it has none."""

    name: str
    path: str
    faces: int
    bytes: int
    content: str


class Arriving:
    """A repository at the commit that its revision is now. Raises NotThere, HubError if nothing was pushed there."""

    def __init__(self, repository: Repository) -> None:
        state = repository.state()
        if state is None:
            raise NotThere(
                f"there is no dataset {repository} on the Hub, or your token may not see it: look at the name, or log "
                "in with `hf auth login`"
            )
        self.commit, self.repository = state.commit, repository.at(state.commit)
        self.files: dict[str, Listed] = self.repository.files()
        if SHARDS not in self.files:
            raise HubError(
                f"{repository} was not pushed by deepshard: it has no {SHARDS}. Its tars can be read with datasets"
            )
        rows = pq.read_table(io.BytesIO(self.repository.fetch(SHARDS, self.files[SHARDS]))).to_pylist()
        fields = ("path", "faces", "bytes", "content")
        self.shards = {row["shard"]: There(row["shard"], *(row[field] for field in fields)) for row in rows}

    def splits(self, ref: str | None = None) -> list[str]:
        """The paths of its pinned splits, or of the one that ``ref`` means: a name, or NAME@ and some of its hash."""
        paths = sorted(path for path in self.files if path.startswith("splits/"))
        if ref is None:
            return paths
        name, _, digest = ref.removesuffix(".arrow").partition("@")
        names = {path: path.removeprefix("splits/").removesuffix(".arrow").partition("@") for path in paths}
        fitting = [path for path in paths if names[path][0] == name and names[path][2].startswith(digest[:12])]
        if len(fitting) == 1:
            return fitting
        listed = ", ".join(path[7:-6] for path in fitting or paths) or "none at all"
        raise HubError(f"{self.repository} has {len(fitting) or 'no'} pinned splits {ref}: choose one of {listed}")

    def fetch(self, here: dict[str, Path]) -> Iterator[tuple[str, bytes]]:
        """(path, bytes) of these files; what lies already at its place ``here``, the same, is not asked for."""
        missing = {}
        for path, place in here.items():
            listed = self.files[path]
            if place.is_file() and place.stat().st_size == listed.size and listed.is_of(data := place.read_bytes()):
                yield path, data
            else:
                missing[path] = listed
        yield from self.repository.fetch_all(missing)

    def packs(self, names: Iterable[str], folder: Path) -> dict[str, tuple[bytes | None, bytes]]:
        """The sidecar (None without faces) and mark of each of these shards, of which some may be in ``folder``.

        Raises Unanswered if they disagree.
        """
        paths = {}
        for name in names:
            shard = self.shards[name]
            ends = (".parquet", ".videos.parquet") if shard.faces else (".videos.parquet",)
            paths |= {f"{shard.path}{end}": (name, end) for end in ends}
        if missing := sorted(path for path in paths if path not in self.files):
            raise Unanswered(f"{self.repository.name} lacks {missing[0]}, of which its catalog tells: push it again")
        here = {path: folder / f"{name}{end}" for path, (name, end) in paths.items()}
        found: dict[tuple[str, str], bytes] = {paths[path]: data for path, data in self.fetch(here)}
        packs = {}
        for name in {name for name, _ in found}:
            rows, mark = found.get((name, ".parquet")), found[name, ".videos.parquet"]
            try:
                sidecar.check_seal(mark)
                known = sidecar.sidecar_sum(pq.read_schema(pa.BufferReader(mark)).empty_table())
                if rows is not None and known != xxhash.xxh3_64_hexdigest(rows):
                    raise Damaged("its sidecar is another's")
            except Damaged as error:
                raise Unanswered(
                    f"{self.shards[name].path} of {self.repository.name}: {error}; push it again"
                ) from None
            packs[name] = (rows, mark)
        return packs


def write_small(arriving: Arriving, store: Path, splits: Iterable[str]) -> None:
    """Recipes, scans, corrections and these splits, into a store. A scan of the store's own of the same name stays."""
    wanted = [path for path in arriving.files if path.startswith(SMALL)]
    places = {path: store / _place(path, arriving.repository.name) for path in (*wanted, *splits)}
    for path, data in arriving.fetch(places):
        target = places[path]
        if path.startswith("sources/") and target.exists() and not _from(target, arriving.repository.name):
            continue
        write(target, data)


def write(path: Path, data: bytes) -> None:
    """A file that appears whole or not at all; not touched if it is the same."""
    if path.exists() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    durable.make_folder(path.parent)
    durable.write_file(path, [data])
    durable.sync_folder(path.parent)


def _place(path: str, repository: str) -> str:
    folder, _, name = path.partition("/")
    if "/" in name or name.startswith("."):
        raise HubError(f"{repository} has a file {path}, which is not of deepshard: nothing of it is written here")
    return f"corrections/{repository.replace('/', '--')}.parquet" if folder == "corrections" else path


def _from(path: Path, repository: str) -> bool:
    try:
        told = (pq.read_schema(path).metadata or {}).get(b"deepshard", b"")
    except (OSError, pa.ArrowException):
        return False
    return f'"root": "hf://datasets/{repository}"'.encode() in told
