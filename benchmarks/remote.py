"""What it takes to read a part of a remote shard by ranges, and as a whole, from a server that limits requests.

A server on this machine answers so many requests a second and gives so many bytes a second to all connections together,
as a hub and a network do; faces are real in size, 80 KB. For shares of a split, scattered over the shards or by whole
videos: seconds until all of it is in an empty cache, requests, and megabytes, for ranges alone, for whole shards alone,
and as shards/remote.py chooses by itself. Times are the server's limits at work, hardly the machine's.

    python benchmarks/remote.py [--requests-per-s 17] [--mb-per-s 100] [--shards 2] [--faces 1500]

The last line is one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402

import shards.remote  # noqa: E402
from shards.remote import Remote  # noqa: E402
from shards.split import Split  # noqa: E402
from tests import fabricate  # noqa: E402
from tests.shards.serving import served  # noqa: E402

FACE = 80_000  # bytes, a 256x256 PNG
FRAMES = 25  # faces of a video
SHARES = (0.01, 0.02, 0.05, 0.1, 0.3, 1.0)
WAYS = {"ranges": (0, 0.0), "whole": (1 << 40, 0.0), "chosen": (shards.remote.REQUEST_COST, shards.remote.LEAST_WHOLE)}


def members(video: dict, sample: str, size: int, masks: bool, codec: str) -> dict[str, bytes]:
    """A face that need not be decoded."""
    rng = np.random.default_rng(int.from_bytes(sample.encode()[-8:], "big"))
    return {"png": rng.bytes(FACE), "json": b"{}" + b" " * 1500}


def picked(store: fabricate.Store, folder: Path, share: float, scattered: bool) -> Path:
    """A split of a share of the faces: drawn one by one, or as whole videos."""
    rng = np.random.default_rng(0)
    rows = store.rows
    if scattered:
        kept = np.sort(rng.choice(len(rows), round(len(rows) * share), replace=False))
    else:
        videos = sorted({row["video_id"] for row in rows})
        some = set(rng.choice(videos, max(1, round(len(videos) * share)), replace=False))
        kept = [i for i, row in enumerate(rows) if row["video_id"] in some]
    name = f"{'scattered' if scattered else 'videos'}{round(share * 1000)}"
    return fabricate.write_manifest(folder, [rows[i] for i in kept], store.videos, 256, name=name)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--requests-per-s", type=float, default=17, help="the Hub's tightest limit, per address (17)")
    words.add_argument("--mb-per-s", type=float, default=100)
    words.add_argument("--shards", type=int, default=2)
    words.add_argument("--faces", type=int, default=1500)
    args = words.parse_args()
    fabricate.members = members
    found: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = fabricate.make_store(
            Path(folder) / "store", args.faces // FRAMES, FRAMES, masks=False, shards=args.shards, faceless=0
        )
        tars = sum(path.stat().st_size for path in store.shards_dir.glob("*.tar")) / 1e6
        print(f"{len(store.rows):,} faces in {args.shards} shards of {tars / args.shards:,.0f} MB")
        for scattered in (True, False):
            for share in SHARES:
                manifest = picked(store, Path(folder) / "splits", share, scattered)
                line = found.setdefault("scattered" if scattered else "videos", {})[share] = {}
                for way, limits in WAYS.items():
                    shards.remote.REQUEST_COST, shards.remote.LEAST_WHOLE = limits
                    with served(store.shards_dir) as server, tempfile.TemporaryDirectory(dir=folder) as cache:
                        server.gap_s, server.rate = 1 / args.requests_per_s, args.mb_per_s * 1e6
                        split = Split.open(manifest, Remote(server.url, cache))
                        begun = time.monotonic()
                        split.reader.bring([split.ranges("image")], np.arange(len(split)))
                        took = time.monotonic() - begun
                        count, size = sum(server.requests.values()), sum(server.bytes.values()) / 1e6
                        line[way] = {"s": round(took, 2), "requests": count, "mb": round(size, 1)}
                shown = "  ".join(
                    f"{way} {one['s']:6.2f} s {one['requests']:5} requests {one['mb']:7.1f} MB"
                    for way, one in line.items()
                )
                print(f"{'scattered' if scattered else 'videos':9} {share:5.0%}  {shown}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
