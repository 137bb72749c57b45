"""Commands around detectors: their figures, their scores of new files, what they look at, a paper's study."""

import argparse
import functools
import json
from pathlib import Path

from commands.screen import CountDone, cell, print_table
from commands.words import Commands, UsageError


def results(args: argparse.Namespace) -> int:
    """Show the metrics of every run on each of its test splits, or import scores that were made elsewhere."""
    from queries.ingest import ingest_store
    from training.results import results as figures

    if args.what == "import":
        _import_scores(args)
    elif foreign := [f"--{name}" for name in ("split", "name", "column", "detector") if getattr(args, name)]:
        raise UsageError(f"{', '.join(foreign)} belong to `deepshard results import FILE.csv`")
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
    print_table(None, columns, shown, numbers=6)
    for reason in sorted({row["reason"] for row in rows if row["reason"]}):
        print(f"-: {reason}")
    return 0


def _import_scores(args: argparse.Namespace) -> None:
    """Makes a run of the scores in a CSV file, whose figures are then the ones shown."""
    from queries.pinned import find_pinned
    from shards.split import Split
    from training.foreign import import_scores

    if not (args.file and args.split and args.name):
        raise UsageError("write `deepshard results import FILE.csv --split SPLIT --name RUN`")
    if args.run:
        raise UsageError("the figures of the imported run are shown: leave --run away")
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
        progress=CountDone("fakes"),
    )
    bands = found[0].bands
    columns = ["split", "fakes", "mean SSIM", *bands, "no heat twice", *(f"inside, {run}" for run in args.runs), "mask"]
    rows = [
        [one.split, one.fakes, one.mean, *one.bands.values(), one.without_heat, *one.inside.values(), one.mask_area]
        for one in found
    ]
    print_table(None, columns, [[cell(value) for value in row] for row in rows], numbers=len(columns) - 1)
    print(f"tables and pictures are in {args.out}")
    return 0


def explain_neurons(args: argparse.Namespace) -> int:
    """Measure what each neuron of a detector contributes on several test sets, and which ones on all of them."""
    from training.explain.report import explain_neurons as explain

    table = explain(args.store, args.run, _splits(args), args.out, images=args.images, progress=CountDone("faces"))
    columns = ["top", "times", "neurons", "expected", "tied"]
    rows = [[cell(value) for value in row.values()] for row in table.to_pylist()]
    print_table(
        f"neurons in the top of so many of {len(args.split)} sets; how many by chance", columns, rows, numbers=5
    )
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


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    command = commands.add("results", results)
    command.add_argument("what", nargs="?", choices=["show", "import"], default="show")
    command.add_argument("file", nargs="?", help="to import: a CSV of sample_id (or key) and score, a line a face")
    command.add_argument("--split", help="to import: the pinned split that was scored")
    command.add_argument("--name", help="to import: of the run that the scores become")
    command.add_argument("--column", help="to import: the column with the probability of fake (score)")
    command.add_argument("--detector", help="to import: what made the scores (the name of the run)")
    command.add_argument("--run", help="of one run")
    command.add_argument("--by", choices=["dataset", "method", "quality"], help="broken down")
    command.add_argument("--json", action="store_true", help="one object a line")

    explain = commands.group("explain", "see what detectors look at and which neurons decide")
    explaining = argparse.ArgumentParser(add_help=False)
    explaining.add_argument("--split", nargs="+", required=True, help="pinned splits")
    explaining.add_argument("--out", type=Path, default=Path("explained"), help="folder of the results (explained)")
    command = explain.add("heatmaps", explain_heatmaps, parents=[explaining])
    command.add_argument("runs", nargs="+", help="runs, e.g. a detector and two that were fine-tuned from it")
    command.add_argument("--images", type=int, default=1000, help="fakes of each split (1000)")
    command.add_argument("--guided", action="store_true", help="Grad-CAM times guided backpropagation")
    command.add_argument("--examples", type=int, default=4, help="fakes that are drawn (4)")
    command = explain.add("neurons", explain_neurons, parents=[explaining])
    command.add_argument("run", help="of a detector that tells its neurons, e.g. mesonet4")
    command.add_argument("--images", type=int, default=1920, help="faces of each split (1920)")

    command = commands.add("predict", predict)
    command.add_argument("files", nargs="+", help="videos or images")
    command.add_argument("--checkpoint", required=True, help="a run, or a checkpoint's folder")
    command.add_argument("--json", action="store_true")

    command = commands.add("study", study)
    command.add_argument("study", choices=["generalizability"], help="which one: docs/study.md")
    command.add_argument("--config", type=Path, required=True, help="a study's YAML file, see training/studies/")
    stages = ["pin", "train", "tables", "heatmaps", "neurons", "figures"]
    command.add_argument("--only", nargs="+", choices=stages, metavar="STAGE", help=f"of {', '.join(stages)}")
    command.add_argument("--dry-run", action="store_true", help="say what there is and what would be done")
