"""A store whose shards lie elsewhere: ``shards/remote.json`` beside its sidecars says where each of them is.

Whoever opens a split of such a store reads through the local cache as from any address, without being told so. The
address names one revision, so what the file says of a shard's content and size stays true.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from shards import durable
from shards.errors import ShardError

FILE = "remote.json"


@dataclass(frozen=True)
class Place:
    """Where a shard lies below the address: ``stem``.tar; ``content``: its sidecar's checksum; ``bytes`` of the tar."""

    stem: str
    content: str
    bytes: int


@dataclass(frozen=True)
class Attached:
    """What a store was attached to: an address, the repository it belongs to, and the shards by name."""

    address: str
    repository: str
    places: dict[str, Place]


class AttachedError(ShardError):
    """A file remote.json that does not say where shards lie, or tars that are wanted here and lie there."""


def read_attached(folder: Path | str) -> Attached | None:
    """What ``folder``, the shards of a store, is attached to; None if the shards lie in it. Raises AttachedError."""
    path = Path(folder) / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        places = {
            name: Place(place["path"], place["content"], place["bytes"]) for name, place in told["shards"].items()
        }
        return Attached(told["address"], told["repository"], places)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AttachedError(f"{path} cannot be read ({error}): run `deepshard attach` again") from None


def require_tars(store: Path | str) -> None:
    """For whoever reads or writes tars themselves. Raises AttachedError if those of this store lie elsewhere."""
    if (attached := read_attached(Path(store) / "shards")) is not None:
        raise AttachedError(
            f"{store} is attached to {attached.repository}, so its tars lie elsewhere: `deepshard pull "
            f"{attached.repository} --store FOLDER --catalog FILE` makes a store that has them"
        )


def write_attached(folder: Path, attached: Attached) -> None:
    """Say so, whole or not at all."""
    shards = {
        name: {"path": place.stem, "content": place.content, "bytes": place.bytes}
        for name, place in sorted(attached.places.items())
    }
    told = {"address": attached.address, "repository": attached.repository, "shards": shards}
    durable.make_folder(folder)
    durable.write_file(folder / FILE, [json.dumps(told, indent=1).encode()])
    durable.sync_folder(folder)
