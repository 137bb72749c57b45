"""Commands that turn videos into faces: scan a dataset, curate it, see how far that is, verify and repair the store."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from commands.screen import VideosDone, cell, duration, print_table, some
from commands.words import Commands, UsageError, pairs


def scan(args: argparse.Namespace) -> int:
    """Look at a folder of videos: what is there, what is missing, and write it to the catalog."""
    from curation.sources import open_source, write_source
    from queries.catalog import create
    from queries.ingest import ingest_source

    options = {"config": args.path} if args.adapter == "folder" else {}
    root = args.root if args.adapter == "folder" else args.path
    options |= {key: getattr(args, key) for key in ("name", "version", "layout") if getattr(args, key)}
    source = open_source(args.adapter, root, **options)
    create(args.catalog)
    ingest_source(args.catalog, write_source(source, args.store, replace=args.replace))
    rows = []
    for row in source.completeness():
        expected = "?" if row.expected is None else f"{row.expected:,}"
        lost = len(row.missing) + row.unnamed
        odd = len(row.unexpected) + row.surplus
        what = row.method if row.part is None else f"{row.method} ({row.part})"
        rows.append([row.dataset, what, row.quality, expected, f"{row.found:,}", some(lost), some(odd)])
    columns = ["dataset", "method", "quality", "expected", "found", "missing", "unexpected"]
    print_table(f"{source.source}: {len(source.videos):,} videos in {source.root}", columns, rows, numbers=4)
    if args.names:
        for row in source.completeness():
            for state, names in (("missing", row.missing), ("unexpected", row.unexpected)):
                for name in names:
                    print(f"{state}\t{row.dataset}/{row.method}/{row.quality}\t{name}")
    elif any(row.missing or row.unexpected for row in source.completeness()):
        print("the names of what is missing and unexpected: the same command with --names")
    for note in source.notes:
        print(f"note: {note}")
    for warning in source.warnings:
        print(f"warning: {warning}")
    return 0


def curate(args: argparse.Namespace) -> int:
    """Find, choose and align the faces of every video that is new to the recipe or has changed; write shards."""
    return _curate(args, None)


def retry(args: argparse.Namespace) -> int:
    """Curate again the videos that gave no face for a reason that contains some words."""
    return _curate(args, args.reason)


def _curate(args: argparse.Namespace, reason: str | None) -> int:
    from curation.recipe import load
    from curation.run import curate as run
    from queries.inspect import summary

    recipe = load(args.recipe, **_overrides(args))
    show = VideosDone()
    report = run(
        args.catalog,
        args.store,
        recipe,
        workers=args.workers,
        engine=args.engine,
        stall_s=args.stall_limit,
        memory_gb=args.memory_limit,
        device=args.device,
        retry=reason,
        mirror=args.mirror,
        on_progress=show,
    )
    show.close()
    named = f"recipe {report.recipe.name} ({report.recipe.hash[:8]})"
    for note in report.notes:
        print(f"note: {note}")
    if not report.videos:
        if not summary(args.catalog).counts["videos"]:
            raise UsageError(f"{args.catalog} knows no video: run `deepshard scan` first")
        why = f"every video was tried with {named}" if reason is None else f"none failed so with {named}"
        print(f"nothing to do: {why}")
        return 0
    counts = report.counts
    changed = f", {report.changed:,} of which had changed" if report.changed else ""
    print(
        f"{report.faces:,} faces from {counts['done']:,} of {report.videos:,} videos{changed} with {named}; "
        f"no face in {counts['no_face']:,}, failed {counts['failed']:,}"
    )
    for video, problem in report.problems[:20]:
        print(f"  {video}: {problem}")
    if len(report.problems) > 20:
        print(f'  and {len(report.problems) - 20:,} more: deepshard status, or deepshard sql "FROM faceless"')
    return 0


def status(args: argparse.Namespace) -> int:
    """Say how far the curation with each recipe is, what failed and why, and whether one class fails more."""
    from curation.status import status as ask

    found = ask(args.catalog, args.store)
    if args.json:
        for one in found:
            rate = {"hours_left": one.progress.hours_left}
            print(json.dumps(dataclasses.asdict(one) | rate, default=str))
        return 0
    for one in found:
        reached = one.progress
        left, rate = reached.count("left"), reached.per_hour
        pace = f", {rate:,.0f} videos an hour" if rate and left else ""
        to_go = f", {duration(reached.hours_left)} to go" if one.holder and reached.hours_left else ""
        running = (
            f", run by {one.holder}" if one.holder else f", {one.planned:,} of a run that ended" * bool(one.planned)
        )
        title = f"{one.recipe} ({one.recipe_hash[:8]}): {left:,} of {reached.count('videos'):,} videos left"
        columns = ["dataset", "method", "quality", "label", "videos", "done", "no face", "failed", "left", "faces"]
        rows = [[cell(value) for value in dataclasses.astuple(line)] for line in reached.groups]
        print_table(f"{title}{pace}{to_go}{running}", [*columns, "yield"], rows, numbers=7)
        for line in reached.failures[:20]:
            print(f"{line.status} ({line.videos:,}): {line.reason}; for instance {line.example}")
        if len(reached.failures) > 20:
            print(f"and {len(reached.failures) - 20:,} more reasons: deepshard status --json")
        for miss in reached.misses:
            print(
                f"warning: {miss.dataset}/{miss.method}/{miss.quality} lacks a face in {miss.missed:.1%} of frames, "
                f"real videos in {miss.missed_real:.1%}: what is missing tells the label"
            )
    if not found:
        print("nothing was curated yet: deepshard curate")
    return 0


def verify(args: argparse.Namespace) -> int:
    """Compare every shard with its sidecar, every checksum, and the catalog with the store; repair what can be."""
    from curation.repair import repair_store, verify_all

    if not (args.store / "shards").is_dir():
        raise UsageError(
            f"there is no folder {args.store / 'shards'}: name the store with --store, or run `deepshard curate` first"
        )
    if args.repair:
        repairs = repair_store(args.catalog, args.store, data=not args.quick)
        for repair in repairs:
            print(f"{repair.place}: {repair.message}")
        print(f"{sum(not repair.left for repair in repairs):,} mended, {sum(repair.left for repair in repairs):,} left")
        return 1 if any(repair.left for repair in repairs) else 0
    found, busy = verify_all(args.catalog, args.store, data=not args.quick)
    for place, message in found:
        print(f"{place}: {message}")
    if busy:
        print(f"{busy} curates into this store: what is unfinished and the catalog were not looked at")
    if not found:
        print(f"{len(list(args.store.glob('shards/*.tar'))):,} shards are as they were written")
    return 1 if found else 0


def demo(args: argparse.Namespace) -> int:
    """Make a small synthetic dataset and walk the whole road on it."""
    from curation.demo.walk import walk

    walk(args.folder, args.size)
    return 0


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Settings of a recipe given on the command line, as YAML would read them."""
    import yaml

    named = {"aligner": args.aligner, "faces": args.faces, "sampling": args.sampling}
    return {key: value for key, value in named.items() if value} | {
        key: yaml.safe_load(value) for key, value in pairs(args.set).items()
    }


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    command = commands.add("scan", scan)
    command.add_argument("adapter", help="the dataset: faceforensics, celebdf, dfdc, ... (docs/curate.md), or folder")
    command.add_argument("path", help="the dataset's root; for `folder` a YAML file or private/NAME")
    command.add_argument("root", nargs="?", help="for `folder`: the root, if not the one in the YAML file")
    command.add_argument("--name", help="name of this copy, where there are several of one dataset")
    command.add_argument("--version", choices=["v1", "v2"], help="of Celeb-DF, where the folder does not tell")
    command.add_argument("--layout", choices=["videos", "images"], help="of FF++ and DFD, where a copy has both")
    command.add_argument("--names", action="store_true", help="print each missing and unexpected name")
    command.add_argument("--replace", action="store_true", help="take the place of another folder's scan")

    for name, function in (("curate", curate), ("retry", retry)):
        command = commands.add(name, function)
        command.add_argument("--recipe", default="default", help="a shipped recipe or your own .yaml (default)")
        command.add_argument("--aligner", choices=["face_alignment", "dlib"], help="overrides the recipe's")
        command.add_argument("--faces", choices=["one", "all"], help="overrides the recipe's")
        command.add_argument("--sampling", help="overrides the recipe's: 'evenly 32', 'every 10', 'all', 'at least 16'")
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="any other key of the recipe"
        )
        command.add_argument("--engine", default="local", choices=["local", "ray"], help="who runs the workers (local)")
        command.add_argument("--workers", type=int, help="processes (default: one per CPU)")
        command.add_argument("--device", help="torch device of the aligner, e.g. cuda:0")
        command.add_argument(
            "--stall-limit", type=float, default=120, help="seconds without progress before a video is killed (120)"
        )
        command.add_argument(
            "--mirror", metavar="ADDRESS", help="send finished shards there too, e.g. s3://bucket/faces"
        )
        command.add_argument("--memory-limit", type=float, metavar="GB", help="of a worker (default: its share)")
    command.add_argument("--reason", required=True, help="words of the reason, '' for any (see deepshard status)")

    command = commands.add("status", status)
    command.add_argument("--json", action="store_true", help="one object a recipe")

    command = commands.add("verify", verify)
    command.add_argument("--quick", action="store_true", help="structure only: names, places and sizes, no checksums")
    command.add_argument("--repair", action="store_true", help="mend what can be mended, say what was done")

    command = commands.add("demo", demo)
    command.add_argument("folder", nargs="?", type=Path, default=Path("demo"))
    command.add_argument("--size", default="full", help="full, small or tiny")
