"""The command that writes pinned splits as files for other people's trainers."""

import argparse
from pathlib import Path

from commands.screen import CountDone
from commands.words import Commands


def export(args: argparse.Namespace) -> int:
    """Write pinned splits as image folders, as a dataset for `datasets`, or in the layout that DeepfakeBench reads."""
    from queries.pinned import find_pinned
    from queries.records import licences
    from shards.export.export import export as write
    from shards.export.notes import Licence
    from shards.export.sides import Side
    from shards.remote import placed_at
    from shards.split import Split

    sides: dict[str, Side] = {}
    for word in args.splits:
        name, equals, ref = word.partition("=")
        place = placed_at(args.shards, args.cache, args.cache_gb)
        split = Split.open(find_pinned(args.store, ref if equals else word), place, args.cache)
        name = name if equals else split.name
        sides.setdefault(name, Side(name, [])).splits.append(split)
    known = [Licence(told.dataset, told.licence, told.redistributable) for told in licences(args.store)]
    made = write(list(sides.values()), args.to, args.out, known, args.root, CountDone("faces"))
    print(f"{made.folder}: {made.faces:,} faces{'' if made.new else ', there already'}")
    for note in made.notes:
        print(f"  {note}")
    print(f"how to load it: {made.folder / 'README.md'}")
    return 0


def add_to(commands: Commands) -> None:
    """Adds this command to the command line."""
    command = commands.add("export", export)
    splits = "pinned splits; train=SPLIT for what the trainer is to call it (default: the split's name)"
    command.add_argument("splits", nargs="+", metavar="[NAME=]SPLIT", help=splits)
    command.add_argument("--to", required=True, choices=["folder", "hf-parquet", "deepfakebench"], help="the form")
    command.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where; one that is empty or new")
    root = "deepfakebench: FOLDER as seen from where it is started (./datasets/ and the folder's name)"
    command.add_argument("--root", help=root)
    command.add_argument("--shards", help="folder or address of the shards (default: those of the store)")
    command.add_argument("--cache", type=Path, default=Path("~/.cache/deepshard"), help="folder (~/.cache/deepshard)")
    command.add_argument("--cache-gb", type=float, default=50, help="what the whole cache may take (50)")
