"""Commands that compare faces by their content: hashes and embeddings, duplicates, persons."""

import argparse
import dataclasses
import json
import os

from commands.screen import print_table
from commands.words import Commands, UsageError


def features(args: argparse.Namespace) -> int:
    """Compute what the faces still lack: perceptual hashes for `duplicates`, or embeddings for `persons`."""
    from queries.ingest import ingest_store
    from shards.features import PHASH, PHASH_INNER, compute

    if not (args.store / "shards").is_dir():
        raise UsageError(f"there is no folder {args.store / 'shards'}: name the store with --store")
    if args.kind == "embedding":
        from curation.faces.embedding import EMBEDDING

        kinds = [EMBEDDING]
    else:
        kinds = [PHASH, PHASH_INNER]
    done = []
    for kind in kinds:
        for shard in compute(args.store, kind, workers=args.workers or len(os.sched_getaffinity(0))):
            done.append(shard)
            for fault in shard.faults:
                print(f"problem: {fault}")
    problems = ingest_store(args.catalog, args.store).problems
    for problem in problems:
        print(f"problem: {problem}")
    faces, empty = (sum(getattr(shard, count) for shard in done) for count in ("faces", "empty"))
    print(f"{faces:,} faces: {args.kind} written" if done else f"nothing to do: every face has its {args.kind}")
    if empty:
        print(f"{empty:,} of them came without landmarks, so that they have none")
    return 1 if problems or any(shard.faults for shard in done) else 0


def duplicates(args: argparse.Namespace) -> int:
    """Find the videos that show the same footage, and the forgeries of it, by the hashes of their faces."""
    from queries.duplicates import duplicates as find
    from queries.duplicates import write
    from queries.ingest import ingest_file

    found = find(args.catalog, args.recipe, args.distance)
    if not args.recipe:
        for file in write(found, args.store):
            ingest_file(args.catalog, args.store, file)
    if args.json:
        for group in found.groups:
            print(json.dumps({"relation": "same footage", **dataclasses.asdict(group)}))
        for match in found.forgeries:
            print(json.dumps(dataclasses.asdict(match)))
        return 0
    columns = ["video", "and", "relation", "known", "faces", "least", "median"]

    def line(match) -> list[str]:
        faces = f"{match.matching} of {match.faces}"
        known = "known" if match.told else ""
        return [match.one, match.other, match.relation, known, faces, str(match.least), f"{match.median:g}"]

    for number, group in enumerate(found.groups, 1):
        print_table(f"group {number}: {len(group.videos)} videos", columns, map(line, group.matches), numbers=3)
    shown = [match for match in found.forgeries if args.all or not match.told]
    if shown:
        print_table("forged from like footage", columns, map(line, shown), numbers=3)
    if hidden := len(found.forgeries) - len(shown):
        print(f"{hidden:,} matches of forgeries as their datasets tell them: the same command with --all or --json")
    videos = sum(len(group.videos) for group in found.groups)
    print(f"{len(found.groups):,} groups with {videos:,} of {len(found.videos):,} videos ({found.faces:,} faces)")
    if args.recipe:
        print("not kept for lints and checks, since it is of one recipe: the same command without --recipe")
    if found.unhashed:
        print(f"{found.unhashed:,} faces have no hash yet: deepshard features")
    return 0


def persons(args: argparse.Namespace) -> int:
    """Cluster the people in all videos by the embeddings of their faces, where names do not tell who they are."""
    from queries.ingest import ingest_file
    from queries.persons import persons as find
    from queries.persons import write

    found = find(args.catalog, args.distance)
    ingest_file(args.catalog, args.store, write(found, args.store))
    if args.json:
        for track in found.tracks:
            print(json.dumps(dataclasses.asdict(track)))
        return 0
    print(f"{found.clusters:,} people in {len(found.tracks):,} tracks of videos (table persons)")
    if found.unknown:
        print(f"{found.unknown:,} videos have no embedding: deepshard features --kind embedding")
    return 0


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    command = commands.add("features", features)
    command.add_argument("--kind", choices=["phash", "embedding"], default="phash", help="what is computed (phash)")
    command.add_argument("--workers", type=int, help="processes (default: one per CPU)")

    command = commands.add("duplicates", duplicates)
    command.add_argument("--recipe", help="only the faces of the recipe of this name; nothing is kept")
    command.add_argument("--distance", type=int, default=112, help="bits of 576 by which faces may differ (112)")
    command.add_argument("--all", action="store_true", help="also forgeries that their datasets tell of")
    command.add_argument("--json", action="store_true", help="one object a group, then one a forgery")

    command = commands.add("persons", persons)
    command.add_argument(
        "--distance", type=float, default=0.4, help="between the faces of one person, on average (0.4)"
    )
    command.add_argument("--json", action="store_true", help="one object a track")
