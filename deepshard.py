"""The command line: each command reads its arguments, calls a room and prints what comes back.

Rooms are imported inside the commands, so that `deepshard sql` does not wait for torch. Errors that a user can mend
carry ``deepshard_error`` and are printed as one line; anything else is a defect of ours and shows where it happened.
"""

import argparse
import dataclasses
import functools
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


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
        rows.append([row.dataset, what, row.quality, expected, f"{row.found:,}", _some(lost), _some(odd)])
    columns = ["dataset", "method", "quality", "expected", "found", "missing", "unexpected"]
    _table(f"{source.source}: {len(source.videos):,} videos in {source.root}", columns, rows, numbers=4)
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
    show = _Progress()
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
            raise _usage(f"{args.catalog} knows no video: run `deepshard scan` first")
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
        to_go = f", {_duration(reached.hours_left)} to go" if one.holder and reached.hours_left else ""
        running = (
            f", run by {one.holder}" if one.holder else f", {one.planned:,} of a run that ended" * bool(one.planned)
        )
        title = f"{one.recipe} ({one.recipe_hash[:8]}): {left:,} of {reached.count('videos'):,} videos left"
        columns = ["dataset", "method", "quality", "label", "videos", "done", "no face", "failed", "left", "faces"]
        rows = [[_cell(value) for value in dataclasses.astuple(line)] for line in reached.groups]
        _table(f"{title}{pace}{to_go}{running}", [*columns, "yield"], rows, numbers=7)
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


def sql(args: argparse.Namespace) -> int:
    """Ask the catalog; it cannot be changed this way."""
    from queries.inspect import run_sql

    table = run_sql(args.catalog, args.query)
    if args.parquet:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, args.parquet)
        print(f"{table.num_rows:,} rows written to {args.parquet}")
    elif args.csv:
        import pyarrow.csv

        pyarrow.csv.write_csv(table, sys.stdout.buffer)
    elif args.json:
        for row in table.to_pylist():
            print(json.dumps(row, default=str))
    else:
        shown = table.slice(0, args.rows).to_pylist()
        _table(None, table.column_names, [[_cell(row[name]) for name in table.column_names] for row in shown])
        if table.num_rows > args.rows:
            print(f"the first {args.rows:,} of {table.num_rows:,} rows; all of them: --csv, --json or --parquet FILE")
    return 0


def split_pin(args: argparse.Namespace) -> int:
    """Run a split's query once and freeze the answer."""
    from queries.pin import pin

    for file in map(_split_file, args.files):
        pinned = pin(args.catalog, args.store, file, name=args.name, params=_pairs(args.param), strict=args.strict)
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
    _table(None, columns, [[_cell(value) for value in row] for row in rows], numbers=5)
    return 0


def split_show(args: argparse.Namespace) -> int:
    """Show what a pinned split holds, the query it comes from and what its lints found."""
    from queries.pinned import show

    shown = show(args.store, args.split)
    print(f"{shown.listed.name}@{shown.listed.hash[:12]}: {shown.listed.title}")
    print(f"{shown.listed.path}, pinned {shown.listed.created_at}, recipe {shown.listed.recipe}")
    print(f"parameters: {', '.join(f'{key}={value}' for key, value in shown.listed.params.items()) or 'none'}")
    rows = [[*map(_cell, (*group, *counts))] for group, counts in shown.content.items()]
    _table(None, ["dataset", "method", "label", "faces", "videos"], rows, numbers=3)
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
        _split_file(args.file),
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


def catalog(args: argparse.Namespace) -> int:
    """Say what the catalog holds, or make it again from the store."""
    if args.what == "rebuild":
        from queries.ingest import rebuild

        report = rebuild(args.catalog, args.store)
        print(f"{args.catalog}: {report.samples:,} faces of {report.videos:,} videos in {report.packs:,} shards")
        for problem in report.problems:
            print(f"problem: {problem}")
        return 1 if report.problems else 0
    from queries.inspect import summary

    facts = dataclasses.asdict(summary(args.catalog))
    if args.json:
        print(json.dumps(facts, indent=2, default=str))
        return 0
    for title, rows in facts.items():
        if title != "counts" and rows:
            hidden = {"recipe_hash"} if title == "yields" else set()
            columns = [column for column in rows[0] if column not in hidden]
            _table(title, columns, [[_cell(row[column]) for column in columns] for row in rows])
    print(", ".join(f"{count:,} {name}" for name, count in facts["counts"].items()))
    return 0


def verify(args: argparse.Namespace) -> int:
    """Compare every shard with its sidecar, every checksum, and the catalog with the store; repair what can be."""
    from curation.repair import repair_store, verify_all

    if not (args.store / "shards").is_dir():
        raise _usage(
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


def materialize(args: argparse.Namespace) -> int:
    """Write a split's faces once more in its own order, as stored or as raw pixels; training finds and reads them."""
    from queries.pinned import find_pinned
    from shards.cache import Cache
    from shards.materialize import materialize as write
    from shards.remote import placed_at
    from shards.split import Split

    cache = Cache(args.cache, int(args.cache_gb * 1e9))
    for ref in args.splits:
        place = placed_at(args.shards, args.cache, args.cache_gb)
        split = Split.open(find_pinned(args.store, ref), place, args.cache)
        for made in write(split, cache, args.members, raw=args.raw, workers=args.workers, progress=_Counter("faces")):
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
    _table(None, ["kind", "content or split", "what", "GB"], rows, numbers=1)
    print(f"{len(entries):,} entries, {sum(entry.bytes for entry in entries) / 1e9:,.3g} GB in {folder.folder}")
    return 0


def features(args: argparse.Namespace) -> int:
    """Compute what the faces still lack: perceptual hashes for `duplicates`, or embeddings for `persons`."""
    from queries.ingest import ingest_store
    from shards.features import PHASH, PHASH_INNER, compute

    if not (args.store / "shards").is_dir():
        raise _usage(f"there is no folder {args.store / 'shards'}: name the store with --store")
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
        _table(f"group {number}: {len(group.videos)} videos", columns, map(line, group.matches), numbers=3)
    shown = [match for match in found.forgeries if args.all or not match.told]
    if shown:
        _table("forged from like footage", columns, map(line, shown), numbers=3)
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


def results(args: argparse.Namespace) -> int:
    """Show the metrics of every run on each of its test splits, or import scores that were made elsewhere."""
    from queries.ingest import ingest_store
    from training.results import results as figures

    if args.what == "import":
        _import_scores(args)
    elif foreign := [f"--{name}" for name in ("split", "name", "column", "detector") if getattr(args, name)]:
        raise _usage(f"{', '.join(foreign)} belong to `deepshard results import FILE.csv`")
    ingest_store(args.catalog, args.store)  # predictions that a run could not hand in while the catalog was held
    rows = figures(catalog=args.catalog, run=args.run, by=args.by)
    if args.json:
        for row in rows:
            print(json.dumps(row))
        return 0
    columns = ["run", "split", *([args.by] if args.by else []), "level", "no-face videos", "frames", "videos"]
    columns += ["AUC", "EER", "AP", "accuracy"]
    shown = []
    for row in rows:
        level = row["level"] if row["aggregation"] == "none" else f"{row['level']} ({row['aggregation']})"
        faceless = f"{row['faceless_videos']:,} {row['faceless']}" if row["faceless_videos"] else ""
        group = [row["group"]] if args.by else []
        counts = [f"{row['frames']:,}", f"{row['videos']:,}"]
        values = ["-" if row[name] is None else f"{row[name]:.4f}" for name in ("auc", "eer", "ap", "accuracy")]
        split = f"{row['split']}@{row['split_hash'][:8]}"
        shown.append([row["run_id"], split, *group, level, faceless, *counts, *values])
    _table(None, columns, shown, numbers=6)
    for reason in sorted({row["reason"] for row in rows if row["reason"]}):
        print(f"-: {reason}")
    return 0


def _import_scores(args: argparse.Namespace) -> None:
    """Makes a run of the scores in a CSV file, whose figures are then the ones shown."""
    from queries.pinned import find_pinned
    from shards.split import Split
    from training.foreign import import_scores

    if not (args.file and args.split and args.name):
        raise _usage("write `deepshard results import FILE.csv --split SPLIT --name RUN`")
    if args.run:
        raise _usage("the figures of the imported run are shown: leave --run away")
    split = Split.open(find_pinned(args.store, args.split))
    import_scores(args.store, split, args.file, args.name, args.column or "score", args.detector)
    args.run = args.name


def explain_heatmaps(args: argparse.Namespace) -> int:
    """Compare where detectors look: Grad-CAM heat maps of fakes, their similarity, the heat inside the masks."""
    from training.explain.report import explain_heatmaps as explain

    found = explain(
        args.store,
        args.runs,
        _splits(args),
        args.out,
        images=args.images,
        guided=args.guided,
        shown=args.examples,
        progress=_Counter("fakes"),
    )
    bands = found[0].bands
    columns = ["split", "fakes", "mean SSIM", *bands, "no heat twice", *(f"inside, {run}" for run in args.runs), "mask"]
    rows = [
        [one.split, one.fakes, one.mean, *one.bands.values(), one.without_heat, *one.inside.values(), one.mask_area]
        for one in found
    ]
    _table(None, columns, [[_cell(value) for value in row] for row in rows], numbers=len(columns) - 1)
    print(f"tables and pictures are in {args.out}")
    return 0


def explain_neurons(args: argparse.Namespace) -> int:
    """Measure what each neuron of a detector contributes on several test sets, and which ones on all of them."""
    from training.explain.report import explain_neurons as explain

    table = explain(args.store, args.run, _splits(args), args.out, images=args.images, progress=_Counter("faces"))
    columns = ["top", "times", "neurons", "expected", "tied"]
    rows = [[_cell(value) for value in row.values()] for row in table.to_pylist()]
    _table(f"neurons in the top of so many of {len(args.split)} sets; how many by chance", columns, rows, numbers=5)
    print(f"tables and pictures are in {args.out}")
    return 0


def _splits(args: argparse.Namespace) -> list:
    """The pinned splits that --split names, opened."""
    from queries.pinned import find_pinned
    from shards.split import Split

    return [Split.open(find_pinned(args.store, ref)) for ref in args.split]


def predict(args: argparse.Namespace) -> int:
    """Score videos or images with a checkpoint, through the recipe it was trained on."""
    from curation.recipe import from_record
    from curation.single import NoFaces, faces_of
    from training.predict import open_scorer, score_images

    scorer = open_scorer(args.checkpoint, args.store)
    recipe = from_record(scorer.recipe)
    failed = 0
    for file in args.files:
        try:
            faces = faces_of(file, recipe)
        except NoFaces as error:
            failed += 1
            print(json.dumps({"file": file, "score": None, "reason": str(error)}) if args.json else f"{file}: {error}")
            continue
        scores = score_images(scorer, faces.images)
        if args.json:
            frames = [
                {"frame_index": row["frame_index"], "track": row["track"], "score": round(float(score), 6)}
                for row, score in zip(faces.rows, scores, strict=True)
            ]
            print(json.dumps({"file": file, "score": float(scores.mean()), "faces": frames}))
        else:
            print(f"{file}: {scores.mean():.4f} probability of fake, mean over {len(scores)} faces")
    return 1 if failed else 0


def study(args: argparse.Namespace) -> int:
    """Go through a paper's study: pin its splits, train its detectors, and write its tables and figures."""
    from training.studies.config import read_study
    from training.studies.generalizability import STAGES, describe, run_study

    plan = read_study(args.config)
    say = functools.partial(print, flush=True)
    if args.dry_run:
        describe(plan, args.store, say)
        return 0
    return 0 if run_study(plan, args.catalog, args.store, args.only or STAGES, say) else 1


def demo(args: argparse.Namespace) -> int:
    """Make a small synthetic dataset and walk the whole road on it."""
    from curation.demo.walk import walk

    walk(args.folder, args.size)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status (0, 1 for a finding, 2 for an error, 130 for Ctrl-C)."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments) or 0
    except KeyboardInterrupt:
        print("\nstopped; everything finished is kept, and the same command continues", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `deepshard sql ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not getattr(error, "deepshard_error", False):
            raise
        print(f"deepshard: {error}", file=sys.stderr)
        return 2


class _Progress:
    """Curation's progress: a bar on a terminal, a line every half minute in a log."""

    def __init__(self):
        self._bar, self._task, self._said = None, None, time.monotonic()

    def __call__(self, progress) -> None:
        faces = f"{progress.faces:,} faces, no face in {progress.no_face:,}, failed {progress.failed:,}"
        if sys.stderr.isatty():
            if self._bar is None:
                from rich.console import Console
                from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

                columns = (MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
                self._bar = Progress(*columns, console=Console(stderr=True))
                self._bar.start()
                self._task = self._bar.add_task("", total=progress.total)
            self._bar.update(self._task, completed=progress.done, description=faces)
        elif time.monotonic() - self._said > 30 or progress.done == progress.total:
            self._said = time.monotonic()
            print(f"{progress.done:,} of {progress.total:,} videos: {faces}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


class _Counter:
    """How many of how many are done: one line that is written over on a terminal, nothing in a log."""

    def __init__(self, what: str):
        self._what = what

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else "\r"
            print(f"{done:,} of {total:,} {self._what}", end=end, file=sys.stderr, flush=True)


def _split_file(word: str) -> Path:
    """A .sql file by its path, or a shipped split by its name. Raises UsageError, listing them."""
    import queries.pin

    if word.endswith(".sql"):
        return Path(word)
    folder = Path(queries.pin.__file__).parent
    files = (file.relative_to(folder).with_suffix("") for file in folder.glob("*/*.sql"))
    shipped = sorted(str(file) for file in files if file.parent.name not in ("lints", "checks"))
    if word not in shipped:
        raise _usage(f"{word!r} is neither a .sql file nor a shipped split: {', '.join(shipped)}")
    return folder / f"{word}.sql"


def _table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> None:
    """Prints a table; the last ``numbers`` columns are set flush right. What a screen has no room for is printed as one
    block of lines per row; piped, a table is as wide as it must be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if title:
        Console(soft_wrap=True).print(Text(title, style="bold"))
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    needed = sum(widths) + 3 * len(widths)
    if sys.stdout.isatty() and len(columns) * 12 > Console().width and needed > Console().width:
        indent = max(map(len, columns)) + 2
        for row in rows:
            print(*(f"{column:<{indent}}{cell}" for column, cell in zip(columns, row, strict=True)), "", sep="\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        right = place >= len(columns) - numbers
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: a name with [brackets] is no markup
    Console(width=None if sys.stdout.isatty() else max(160, needed)).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _duration(hours: float) -> str:
    minutes = math.ceil(hours * 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _some(count: int) -> str:
    return f"{count:,}" if count else ""


def _pairs(words: Iterable[str]) -> dict[str, str]:
    """``key=value`` words as a dictionary."""
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise _usage(f"{word!r} must have the form key=value")
        pairs[key] = value
    return pairs


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Settings of a recipe given on the command line, as YAML would read them."""
    import yaml

    named = {"aligner": args.aligner, "faces": args.faces, "sampling": args.sampling}
    return {key: value for key, value in named.items() if value} | {
        key: yaml.safe_load(value) for key, value in _pairs(args.set).items()
    }


class UsageError(ValueError):
    """Words on the command line that cannot be meant."""

    deepshard_error = True


def _usage(message: str) -> UsageError:
    return UsageError(message)


def _parser() -> argparse.ArgumentParser:
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--catalog", type=Path, default=Path("catalog.duckdb"), help="default: catalog.duckdb here")
    places.add_argument("--store", type=Path, default=Path("store"), help="where shards, splits and runs lie (store)")
    parser = argparse.ArgumentParser(
        prog="deepshard",
        description="Aligned faces from deepfake datasets, splits in SQL, and training on them.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, function, under=commands, parents=()) -> argparse.ArgumentParser:
        head = function.__doc__.strip().splitlines()[0]
        command = under.add_parser(
            name, parents=[places, *parents], help=head[0].lower() + head[1:].rstrip("."), description=head
        )
        command.set_defaults(command=function)
        return command

    command = add("scan", scan)
    command.add_argument("adapter", help="the dataset: faceforensics, celebdf, dfdc, ... (docs/curate.md), or folder")
    command.add_argument("path", help="the dataset's root; for `folder` a YAML file or private/NAME")
    command.add_argument("root", nargs="?", help="for `folder`: the root, if not the one in the YAML file")
    command.add_argument("--name", help="name of this copy, where there are several of one dataset")
    command.add_argument("--version", choices=["v1", "v2"], help="of Celeb-DF, where the folder does not tell")
    command.add_argument("--layout", choices=["videos", "images"], help="of FF++ and DFD, where a copy has both")
    command.add_argument("--names", action="store_true", help="print each missing and unexpected name")
    command.add_argument("--replace", action="store_true", help="take the place of another folder's scan")

    for name, function in (("curate", curate), ("retry", retry)):
        command = add(name, function)
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

    command = add("status", status)
    command.add_argument("--json", action="store_true", help="one object a recipe")

    command = add("sql", sql)
    command.add_argument("query", help="a SELECT over faces, videos, attempts, splits, runs, predictions, ...")
    command.add_argument("--rows", type=int, default=100, help="how many rows a table shows (100)")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true")
    form.add_argument("--json", action="store_true", help="one object a line")
    form.add_argument("--parquet", metavar="FILE")

    command = add("catalog", catalog)
    command.add_argument("what", nargs="?", choices=["summary", "rebuild"], default="summary")
    command.add_argument("--json", action="store_true")

    command = add("verify", verify)
    command.add_argument("--quick", action="store_true", help="structure only: names, places and sizes, no checksums")
    command.add_argument("--repair", action="store_true", help="mend what can be mended, say what was done")

    splits = commands.add_parser("split", help="build, pin, list, show, compare and check splits")
    splits = splits.add_subparsers(required=True, metavar="command")
    command = add("pin", split_pin, splits)
    command.add_argument("files", nargs="+", help="a .sql file, or the name of a shipped one such as ffpp/f2f_train")
    command.add_argument("--name", help="default: the file's name")
    command.add_argument("--param", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the query")
    command.add_argument("--strict", action="store_true", help="refuse a split with lint errors or warnings")
    add("list", split_list, splits).add_argument("--json", action="store_true")
    add("show", split_show, splits).add_argument("split")
    command = add("diff", split_diff, splits)
    command.add_argument("one")
    command.add_argument("other")
    command = add("build", split_build, splits)
    command.add_argument("file", help="what is shared out: a .sql file, or the name of a shipped one such as dfd/all")
    command.add_argument("--disjoint", required=True, choices=["identity"], help="what no two sides may share")
    command.add_argument("--val", type=float, default=0.15, help="share of the videos (0.15)")
    command.add_argument("--test", type=float, default=0.15, help="share of the videos (0.15)")
    command.add_argument("--seed", type=int, default=1, help="which people go where (1)")
    command.add_argument("--cut", action="store_true", help="lose videos where people meet too much")
    command.add_argument("--persons", action="store_true", help="people are told by their faces too: deepshard persons")
    command.add_argument("--to", type=Path, default=Path("."), help="folder of the three files (here)")
    command.add_argument("--name", help="default: the file's name; _train, _val and _test follow")
    command = add("check", split_check, splits)
    command.add_argument("splits", nargs="+", help="two or more pinned splits, e.g. train, val and test of one study")
    command.add_argument("--all", action="store_true", help="every example that is kept, not the first five")
    command.add_argument("--strict", action="store_true", help="exit with 1 where there is an error")

    caching = argparse.ArgumentParser(add_help=False)
    caching.add_argument("--cache", type=Path, default=Path("~/.cache/deepshard"), help="folder (~/.cache/deepshard)")
    command = add("materialize", materialize, parents=[caching])
    command.add_argument("splits", nargs="+", help="pinned splits")
    command.add_argument("--raw", action="store_true", help="images and masks as pixels: no decoding in training")
    members = ["image", "mask", "json", "partner"]
    command.add_argument("--members", nargs="+", choices=members, default=["image"], help="what of a face (image)")
    command.add_argument("--shards", help="folder or address of the shards (default: those of the store)")
    command.add_argument("--cache-gb", type=float, default=50, help="what the whole cache may take (50)")
    command.add_argument("--workers", type=int, default=0, help="processes that decode (0: this one)")
    command = add("cache", cache, parents=[caching])
    command.add_argument("--keep-gb", type=float, help="evict the least recently used until so much is left")

    command = add("features", features)
    command.add_argument("--kind", choices=["phash", "embedding"], default="phash", help="what is computed (phash)")
    command.add_argument("--workers", type=int, help="processes (default: one per CPU)")

    command = add("duplicates", duplicates)
    command.add_argument("--recipe", help="only the faces of the recipe of this name; nothing is kept")
    command.add_argument("--distance", type=int, default=112, help="bits of 576 by which faces may differ (112)")
    command.add_argument("--all", action="store_true", help="also forgeries that their datasets tell of")
    command.add_argument("--json", action="store_true", help="one object a group, then one a forgery")

    command = add("persons", persons)
    command.add_argument(
        "--distance", type=float, default=0.4, help="between the faces of one person, on average (0.4)"
    )
    command.add_argument("--json", action="store_true", help="one object a track")

    command = add("results", results)
    command.add_argument("what", nargs="?", choices=["show", "import"], default="show")
    command.add_argument("file", nargs="?", help="to import: a CSV of sample_id (or key) and score, a line a face")
    command.add_argument("--split", help="to import: the pinned split that was scored")
    command.add_argument("--name", help="to import: of the run that the scores become")
    command.add_argument("--column", help="to import: the column with the probability of fake (score)")
    command.add_argument("--detector", help="to import: what made the scores (the name of the run)")
    command.add_argument("--run", help="of one run")
    command.add_argument("--by", choices=["dataset", "method", "quality"], help="broken down")
    command.add_argument("--json", action="store_true", help="one object a line")

    explain = commands.add_parser("explain", help="see what detectors look at and which neurons decide")
    explain = explain.add_subparsers(required=True, metavar="command")
    explaining = argparse.ArgumentParser(add_help=False)
    explaining.add_argument("--split", nargs="+", required=True, help="pinned splits")
    explaining.add_argument("--out", type=Path, default=Path("explained"), help="folder of the results (explained)")
    command = add("heatmaps", explain_heatmaps, explain, parents=[explaining])
    command.add_argument("runs", nargs="+", help="runs, e.g. a detector and two that were fine-tuned from it")
    command.add_argument("--images", type=int, default=1000, help="fakes of each split (1000)")
    command.add_argument("--guided", action="store_true", help="Grad-CAM times guided backpropagation")
    command.add_argument("--examples", type=int, default=4, help="fakes that are drawn (4)")
    command = add("neurons", explain_neurons, explain, parents=[explaining])
    command.add_argument("run", help="of a detector that tells its neurons, e.g. mesonet4")
    command.add_argument("--images", type=int, default=1920, help="faces of each split (1920)")

    command = add("predict", predict)
    command.add_argument("files", nargs="+", help="videos or images")
    command.add_argument("--checkpoint", required=True, help="a run, or a checkpoint's folder")
    command.add_argument("--json", action="store_true")

    command = add("study", study)
    command.add_argument("study", choices=["generalizability"], help="which one: docs/study.md")
    command.add_argument("--config", type=Path, required=True, help="a study's YAML file, see training/studies/")
    stages = ["pin", "train", "tables", "heatmaps", "neurons", "figures"]
    command.add_argument("--only", nargs="+", choices=stages, metavar="STAGE", help=f"of {', '.join(stages)}")
    command.add_argument("--dry-run", action="store_true", help="say what there is and what would be done")

    command = add("demo", demo)
    command.add_argument("folder", nargs="?", type=Path, default=Path("demo"))
    command.add_argument("--size", default="full", help="full, small or tiny")
    return parser


if __name__ == "__main__":
    sys.exit(main())
