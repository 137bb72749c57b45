"""Commands of splits: build, pin, list, show, compare and check them."""

import argparse
import dataclasses
import json
from pathlib import Path

from commands.screen import cell, print_table
from commands.words import Commands, pairs, split_file


def split_pin(args: argparse.Namespace) -> int:
    """Run a split's query once and freeze the answer."""
    from queries.pin import pin

    for file in map(split_file, args.files):
        pinned = pin(args.catalog, args.store, file, name=args.name, params=pairs(args.param), strict=args.strict)
        faceless = f", {pinned.faceless:,} videos without a face" if pinned.faceless else ""
        print(
            f"{pinned.name}@{pinned.hash[:12]}  {pinned.rows:,} faces of {pinned.videos:,} videos "
            f"({pinned.real:,} real, {pinned.fake:,} fake{faceless})"
        )
        for lint in pinned.lints:
            print(f"  {lint.severity}: {lint.message}")
            for example in lint.examples[:3] if lint.severity != "note" else ():
                print(f"    {example}")
    return 0


def split_list(args: argparse.Namespace) -> int:
    """List the pinned splits."""
    from queries.pinned import list_pinned

    splits = list_pinned(args.store)
    if args.json:
        for split in splits:
            print(json.dumps(dataclasses.asdict(split), default=str))
        return 0
    columns = ["split", "title", "recipe", "errors", "faces", "real", "fake", "no face"]
    rows = [
        [f"{s.name}@{s.hash[:12]}", s.title, s.recipe, s.lints["error"], s.faces, s.real, s.fake, s.faceless]
        for s in splits
    ]
    print_table(None, columns, [[cell(value) for value in row] for row in rows], numbers=5)
    return 0


def split_show(args: argparse.Namespace) -> int:
    """Show what a pinned split holds, the query it comes from and what its lints found."""
    from queries.pinned import show

    shown = show(args.store, args.split)
    print(f"{shown.listed.name}@{shown.listed.hash[:12]}: {shown.listed.title}")
    print(f"{shown.listed.path}, pinned {shown.listed.created_at}, recipe {shown.listed.recipe}")
    print(f"parameters: {', '.join(f'{key}={value}' for key, value in shown.listed.params.items()) or 'none'}")
    rows = [[*map(cell, (*group, *counts))] for group, counts in shown.content.items()]
    print_table(None, ["dataset", "method", "label", "faces", "videos"], rows, numbers=3)
    if shown.listed.faceless:
        print(f"{shown.listed.faceless:,} videos without a face, scored 0.5 by convention")
    for lint in shown.card["lints"]:
        print(f"{lint['severity']}: {lint['message']}")
        for example in lint["examples"][:5]:
            print(f"  {example}")
    print(f"\n{shown.card['sql'].strip()}")
    return 0


def split_diff(args: argparse.Namespace) -> int:
    """Compare two pinned splits; the exit status is 1 where they differ."""
    from queries.pinned import diff

    found = diff(args.store, args.one, args.other)
    if found.same:
        print(f"the same {found.common:,} faces" + (f", {found.moved:,} of them elsewhere" if found.moved else ""))
        return 0
    changed = f"{found.changed:,} of them with another label, weight, role, partner or stream"
    print(f"{found.common:,} faces in both, {changed}")
    for word, groups in (("only in the first", found.removed), ("only in the second", found.added)):
        for group, faces in groups.items():
            print(f"{word}: {faces:,} faces of {'/'.join(map(str, group[:2]))}, label {group[2]}")
    for word, videos in (("first", found.faceless_removed), ("second", found.faceless_added)):
        for video in videos:
            print(f"only in the {word}: {video}, without a face")
    for name, (before, after) in found.params.items():
        print(f"{name}: {before} -> {after}")
    print("\n".join(found.sql))
    return 1


def split_build(args: argparse.Namespace) -> int:
    """Write train, val and test sides of a split between which nobody is shared, as three .sql files."""
    from queries.disjoint import build

    built = build(
        args.catalog,
        split_file(args.file),
        args.to,
        name=args.name or Path(args.file).stem,
        val=args.val,
        test=args.test,
        seed=args.seed,
        cut=args.cut,
        persons=args.persons,
    )
    for file, (side, videos) in zip(built.files, built.videos.items(), strict=True):
        print(f"{file}: {side}, {videos:,} videos")
    print(f"{built.groups:,} groups of people who meet in videos, the largest has {built.largest:,} videos")
    if built.lost:
        print(f"the cut loses {built.lost:,} videos, {'the fewest possible' if built.fewest else 'the fewest found'}")
    return 0


def split_check(args: argparse.Namespace) -> int:
    """Look for what is on both sides of several splits: faces, videos, clips, people."""
    from queries.check import check
    from queries.pinned import find_pinned

    found = check(args.catalog, [find_pinned(args.store, split) for split in args.splits])
    for finding in found:
        print(f"{finding.severity}: {' and '.join(finding.splits)}: {finding.message}")
        for example in finding.examples[: None if args.all else 5]:
            print(f"  {example}")
    if not found:
        print("nothing found")
    return 1 if args.strict and any(finding.severity == "error" for finding in found) else 0


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    splits = commands.group("split", "build, pin, list, show, compare and check splits")
    command = splits.add("pin", split_pin)
    command.add_argument("files", nargs="+", help="a .sql file, or the name of a shipped one such as ffpp/f2f_train")
    command.add_argument("--name", help="default: the file's name")
    command.add_argument("--param", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the query")
    command.add_argument("--strict", action="store_true", help="refuse a split with lint errors or warnings")
    splits.add("list", split_list).add_argument("--json", action="store_true")
    splits.add("show", split_show).add_argument("split")
    command = splits.add("diff", split_diff)
    command.add_argument("one")
    command.add_argument("other")
    command = splits.add("build", split_build)
    command.add_argument("file", help="what is shared out: a .sql file, or the name of a shipped one such as dfd/all")
    command.add_argument("--disjoint", required=True, choices=["identity"], help="what no two sides may share")
    command.add_argument("--val", type=float, default=0.15, help="share of the videos (0.15)")
    command.add_argument("--test", type=float, default=0.15, help="share of the videos (0.15)")
    command.add_argument("--seed", type=int, default=1, help="which people go where (1)")
    command.add_argument("--cut", action="store_true", help="lose videos where people meet too much")
    command.add_argument("--persons", action="store_true", help="people are told by their faces too: deepshard persons")
    command.add_argument("--to", type=Path, default=Path("."), help="folder of the three files (here)")
    command.add_argument("--name", help="default: the file's name; _train, _val and _test follow")
    command = splits.add("check", split_check)
    command.add_argument("splits", nargs="+", help="two or more pinned splits, e.g. train, val and test of one study")
    command.add_argument("--all", action="store_true", help="every example that is kept, not the first five")
    command.add_argument("--strict", action="store_true", help="exit with 1 where there is an error")
