"""Commands of the local cache: write a split's faces for speed, list what is there, free it."""

import argparse
from pathlib import Path

from commands.screen import CountDone, print_table
from commands.words import Commands


def materialize(args: argparse.Namespace) -> int:
    """Write a split's faces once more in its own order, as stored or as raw pixels; training finds and reads them."""
    from queries.pinned import find_pinned
    from shards.cache import Cache
    from shards.materialize import materialize as write
    from shards.remote import placed_at
    from shards.split import Split

    cache = Cache(args.cache, int(args.cache_gb * 1e9))
    for ref in args.splits:
        place = placed_at(args.shards, args.cache, args.cache_gb, store=args.store)
        split = Split.open(find_pinned(args.store, ref), place, args.cache)
        for made in write(split, cache, args.members, raw=args.raw, workers=args.workers, progress=CountDone("faces")):
            state = "" if made.new else ", there already"
            print(f"{split.name}@{split.hash[:12]}: {made.member} {made.form}, {made.bytes / 1e9:,.3g} GB{state}")
    return 0


def cache(args: argparse.Namespace) -> int:
    """List what the local cache holds, or free it: fetched bytes of remote shards, materialised splits."""
    from shards.cache import Cache

    if not args.cache.expanduser().is_dir():
        print(f"there is no cache {args.cache}")
        return 0
    folder = Cache(args.cache)
    if args.keep_gb is not None:
        folder.shrink(int(args.keep_gb * 1e9))
    entries = folder.entries()
    rows = [
        [entry.kind, entry.path.name[:12], ".".join(entry.path.name.split(".")[1:-1]), f"{entry.bytes / 1e9:,.3g}"]
        for entry in entries
    ]
    print_table(None, ["kind", "content or split", "what", "GB"], rows, numbers=1)
    print(f"{len(entries):,} entries, {sum(entry.bytes for entry in entries) / 1e9:,.3g} GB in {folder.folder}")
    return 0


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    caching = argparse.ArgumentParser(add_help=False)
    caching.add_argument("--cache", type=Path, default=Path("~/.cache/deepshard"), help="folder (~/.cache/deepshard)")
    command = commands.add("materialize", materialize, parents=[caching])
    command.add_argument("splits", nargs="+", help="pinned splits")
    command.add_argument("--raw", action="store_true", help="images and masks as pixels: no decoding in training")
    members = ["image", "mask", "json", "partner"]
    command.add_argument("--members", nargs="+", choices=members, default=["image"], help="what of a face (image)")
    command.add_argument("--shards", help="folder or address of the shards (default: those of the store)")
    command.add_argument("--cache-gb", type=float, default=50, help="what the whole cache may take (50)")
    command.add_argument("--workers", type=int, default=0, help="processes that decode (0: this one)")
    command = commands.add("cache", cache, parents=[caching])
    command.add_argument("--keep-gb", type=float, help="evict the least recently used until so much is left")
