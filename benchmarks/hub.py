"""What a small split of a large repository costs in bytes: pulled, attached, read for an epoch and read again.

A Hub on this machine counts every byte it gives. The repository holds faces of real size, 80 KB, of many videos; splits
of them are drawn face by face, which is the worst case, or as whole videos. Bytes do not depend on the machine.

    python benchmarks/hub.py [--faces 600] [--share 0.01] [--folder FOLDER]

The last line is one JSON object: shares of the repository's bytes.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.hub.server import hub  # noqa: E402

FACE = 80_000  # bytes, a 256x256 PNG
FRAMES = 10  # faces of a video
NAME = "somebody/faces"


def make_store(folder: Path, faces: int, share: float) -> tuple[Path, Path]:
    """(catalog, store) of so many faces, with the splits `scattered` and `videos`."""
    import numpy as np

    from queries.ingest import rebuild
    from queries.pin import pin
    from tests import fabricate

    def members(video: dict, sample: str, size: int, masks: bool, codec: str) -> dict[str, bytes]:
        rng = np.random.default_rng(int.from_bytes(sample.encode()[-12:], "big"))
        return {"png": rng.bytes(FACE), "json": json.dumps({"sample_id": sample, "pad": " " * 1400}).encode()}

    fabricate.members = members
    store = folder / "store"
    fabricate.make_store(store, faces // FRAMES, FRAMES, masks=False, shards=4, faceless=0)
    for path in store.glob("splits/*"):
        path.unlink()
    catalog = folder / "catalog.duckdb"
    rebuild(catalog, store)
    count = max(1, round(faces * share))
    some = max(1, count // FRAMES)
    queries = {
        "scattered": f"SELECT sample_id FROM faces ORDER BY draw(draw_key, 1), sample_id LIMIT {count}",
        "videos": f"""SELECT sample_id FROM faces WHERE video_id IN (
            SELECT video_id FROM faces GROUP BY video_id ORDER BY min(draw(draw_key, 2)) LIMIT {some})""",
    }
    for name, query in queries.items():
        (folder / f"{name}.sql").write_text(f"-- {name}\n{query}\n")
        pin(catalog, store, folder / f"{name}.sql")
    return catalog, store


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--faces", type=int, default=600)
    words.add_argument("--share", type=float, default=0.01)
    words.add_argument("--folder", type=Path, help="where all of it is written (default: a temporary folder)")
    args = words.parse_args()
    with hub() as server, tempfile.TemporaryDirectory(dir=args.folder) as name:
        os.environ.update(server.environment() | {"HF_HOME": f"{name}/hf"})  # before the client is imported
        from hub.attach import attach
        from hub.pull import pull
        from hub.push import push
        from hub.repository import Repository
        from queries.pinned import find_pinned
        from shards.split import Split

        folder = Path(name)
        catalog, store = make_store(folder, args.faces, args.share)
        push(catalog, store, Repository(NAME), said_so=True)
        whole = sum(entry.size for entry in server.listing(NAME).values())
        print(f"{args.faces:,} faces, {len(server.listing(NAME)):,} files, {whole / 1e6:,.1f} MB")
        told: dict[str, dict[str, float]] = {"repository_bytes": whole}

        def cost() -> float:
            share = sum(server.sent.values()) / whole
            server.clear()
            return round(share, 5)

        server.clear()
        for split in ("scattered", "videos"):
            there = folder / f"pulled-{split}"
            pull(there / "catalog.duckdb", there / "store", Repository(NAME), split)
            told[split] = {"pull": cost()}
            pull(there / "catalog.duckdb", there / "store", Repository(NAME), split)
            told[split]["pull_again"] = cost()
            there = folder / f"attached-{split}"
            attach(there / "catalog.duckdb", there / "store", Repository(NAME))
            told[split]["attach"] = cost()
            for epoch in ("epoch", "epoch_again"):
                opened = Split.open(find_pinned(there / "store", split), cache=there / "cache")
                for row in range(len(opened)):
                    opened.read(row)
                    opened.read(row, "json")
                told[split]["faces"] = len(opened)
                told[split][epoch] = round(server.sent["tar"] / whole, 5)
                told[split][f"{epoch}_listings"] = round(server.sent["api"] / whole, 5)
                server.clear()
            shown = "  ".join(f"{what} {share:.2%}" for what, share in told[split].items() if what != "faces")
            print(f"{split}, {told[split]['faces']} faces: {shown}", flush=True)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
