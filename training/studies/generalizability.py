"""Paper 1 as stages: pin the splits, train, tables, heat maps (RQ3), neurons (RQ4), figures.

Li, Sun, Poskitt, Wang, How Generalizable are Deepfake Image Detectors? An Empirical Study. Each stage finds what it did
before and does the rest, so the same command goes on wherever it was stopped. Imports of torch wait for the stages
that need it: tables are queries.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from training.studies import formats, measure, pins, tables
from training.studies.config import Study, StudyError
from training.studies.launch import Launcher
from training.studies.pins import Found, Pin
from training.studies.plan import Run, plan
from training.studies.standing import check_runs, look

STAGES = ("pin", "train", "tables", "heatmaps", "neurons", "figures")


def run_study(
    study: Study,
    catalog: Path,
    store: Path,
    stages: Sequence[str] = STAGES,
    say: Callable[[str], None] = print,
) -> bool:
    """Go through `stages` in their order; True where every run is finished. Raises the rooms' errors."""
    runs, folder = plan(study), store / "studies" / study.name
    failed: list[str] = []
    known: dict[str, Pin] = {}
    if set(stages) - {"tables"}:
        known = _pins(study, runs, catalog, store, folder, "pin" in stages, say)
    if "train" not in stages:
        _check_present(study, runs, store)
    if "train" in stages:
        failed = Launcher(study, runs, known, catalog, store, folder, say).train()
        if failed:
            say(f"{len(failed)} of {len(runs)} runs are not finished: {', '.join(failed)}")
    if "tables" in stages:
        _tables(study, runs, catalog, store, folder, say)
    if {"heatmaps", "neurons", "figures"} & set(stages):
        _explain(study, runs, known, store, folder, stages, say)
    return not failed


def _pins(
    study: Study, runs: list[Run], catalog: Path, store: Path, folder: Path, may_pin: bool, say: Callable[[str], None]
) -> dict[str, Pin]:
    names = pins.needed(runs)
    if may_pin:
        known = pins.pin_splits(study, names, catalog, store, say)
        _tell_checks(pins.check_splits(study, runs, catalog, known), folder, say)
        return known
    known = {name: pins.find_pin(study, name, store) for name in names}
    if missing := [name for name, found in known.items() if found is None]:
        raise StudyError(f"splits are not pinned yet: {', '.join(missing)}; run the stage pin first")
    return known


def _check_present(study: Study, runs: list[Run], store: Path) -> None:
    """Raise StudyError where runs that lie in the store are not those that the study asks for now."""
    if not (store / "runs").is_dir():
        return
    known = {name: found for name in pins.needed(runs) if (found := pins.find_pin(study, name, store)) is not None}
    check_runs([run for run in runs if (store / "runs" / run.id).exists()], store, known)


def _tell_checks(found: list[Found], folder: Path, say: Callable[[str], None]) -> None:
    """Say what splits share, with a line for all that is meant for one reason; checks.csv has every finding."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "checks.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["rule", "severity", "one", "other", "message", "meant"])
        for one in found:
            finding = one.finding
            writer.writerow([finding.rule, finding.severity, *finding.splits, finding.message, one.why])
    for one in found:
        if one.why is None and one.finding.severity != "note":
            say(f"{one.finding.severity}: {' and '.join(one.finding.splits)}: {one.finding.message}")
    for why in dict.fromkeys(one.why for one in found if one.why is not None):
        same = [one.finding for one in found if one.why == why]
        sides = sorted({" with ".join(side.partition("@")[0] for side in finding.splits) for finding in same})
        rules = ", ".join(sorted({finding.rule for finding in same}))
        say(f"meant, since {why}: {rules} of {'; '.join(sides)}")


def _tables(
    study: Study, runs: list[Run], catalog: Path, store: Path, folder: Path, say: Callable[[str], None]
) -> None:
    if (store / "runs").is_dir():  # predictions that a run could not hand in while the catalog was held
        from queries.ingest import ingest_store

        ingest_store(catalog, store)
    measured = measure.measure(study, runs, catalog)
    measure.write(measured, folder)
    for file in formats.write_tables(tables.make_tables(study, measured), folder):
        if file.suffix == ".md":
            say(f"{file} (and .csv, .tex)")


def _explain(
    study: Study,
    runs: list[Run],
    known: dict[str, Pin],
    store: Path,
    folder: Path,
    stages: Sequence[str],
    say: Callable[[str], None],
) -> None:
    from training.studies import explained

    draw = "figures" in stages
    written: list[Path] = []
    if "heatmaps" in stages or draw:
        heat = explained.heat_tables(study, runs, known, store, folder, say)
        if heat:
            written += formats.write_tables([explained.heat_summary(heat)], folder)
            written += explained.draw_heatmaps(study, runs, known, store, folder, heat) if draw else []
        else:
            say("no heat maps: they compare detectors made from one another, and no two such are trained")
    if "neurons" in stages or draw:
        effects = explained.neuron_effects(study, runs, known, store, folder, say)
        if effects:
            written += formats.write_tables([explained.neuron_summary(effects)], folder)
            written += explained.draw_neurons(folder, effects) if draw else []
        else:
            say("no neurons: no detector that is trained tells them (neurons and after_neurons)")
    for file in written:
        if file.suffix in (".md", ".png"):
            say(str(file))


def describe(study: Study, store: Path, say: Callable[[str], None] = print) -> None:
    """Say what would be done: every split and every run, and where each stands. Raises StudyError at the end
    where runs of these names are other ones."""
    runs = plan(study)
    known = {name: found for name in pins.needed(runs) if (found := pins.find_pin(study, name, store)) is not None}
    for name in pins.needed(runs):
        say(
            f"split {study.pinned_name(name)}: " + (f"pinned, {known[name].label}" if name in known else "to be pinned")
        )
    for run in runs:
        try:
            standing = look(run, store, known)
        except StudyError:
            say(f"run {run.id}: {run.mode} on {run.train}: ANOTHER RUN of this name is there")
            continue
        state = standing.state + (f", not scored on {', '.join(standing.unscored)}" if standing.unscored else "")
        where = f"starts from {run.parent}" if run.parent else "starts from nothing" if run.config else "exists already"
        say(f"run {run.id}: {run.mode} on {run.train}, {where}: {state}")
    check_runs(runs, store, known)
