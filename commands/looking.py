"""Commands that look into the catalog."""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands import overview, profile
from commands.screen import cell, print_table
from commands.words import Commands, UsageError

if TYPE_CHECKING:
    import pyarrow as pa


def sql(args: argparse.Namespace) -> int:
    """Ask the catalog; it cannot be changed this way."""
    from queries.sandbox import UNTRUSTED, Limits, page, run

    limits = UNTRUSTED if args.untrusted else Limits()
    if not (args.parquet or args.csv or args.json):
        found = page(args.catalog, args.query, 0, args.rows, limits)
        columns = found.table.column_names
        print_table(None, columns, [[cell(value) for value in row.values()] for row in found.table.to_pylist()])
        if found.more:
            shown = found.table.num_rows
            print(f"the first {shown:,} rows; more: --rows {args.rows * 10}; all: --csv, --json or --parquet FILE")
        return 0
    table = run(args.catalog, args.query, limits)
    if args.parquet:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, args.parquet)
        print(f"{table.num_rows:,} rows written to {args.parquet}")
    elif args.csv:
        import pyarrow.csv

        pyarrow.csv.write_csv(_flat(table), sys.stdout.buffer)
    else:
        for batch in table.to_batches(max_chunksize=1000):
            for row in batch.to_pylist():
                print(json.dumps(row, default=_plain))
    return 0


def _flat(table: "pa.Table") -> "pa.Table":
    """Lists and structs as JSON, times as text: a CSV has no other place for them."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            values = [None if one is None else json.dumps(one, default=_plain) for one in table[place].to_pylist()]
            table = table.set_column(place, field.name, pa.array(values, pa.string()))
    return table


def _plain(value: Any) -> str:
    """What JSON has no word for: bytes as hexadecimal digits, all else as it is written."""
    return value.hex() if isinstance(value, bytes) else str(value)


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

    facts = dataclasses.asdict(summary(args.catalog, args.store))
    if args.json:
        print(json.dumps(facts, indent=2, default=str))
    else:
        overview.show(facts)
    return 0


def show(args: argparse.Namespace) -> int:
    """Show all that is known of a video or of one face, and draw its contact sheet."""
    from browse import terminal
    from queries.show import as_json, known

    if args.columns < 1:
        raise UsageError("--columns must be at least 1")
    protocol = terminal.protocol(os.environ) if sys.stdout.isatty() else None
    if args.sheet == "-" and protocol is None:
        raise UsageError(
            "this terminal does not say that it shows pictures (kitty, Ghostty, iTerm2 and WezTerm do, outside of tmux "
            "and screen): write --sheet FILE.png"
        )
    facts = known(args.catalog, args.store, args.name)
    print(as_json(facts)) if args.json else profile.show(facts)
    if not args.sheet and (args.json or protocol is None):
        return 0
    from browse.sheet import draw

    sheet = draw(args.catalog, args.store, facts, args.columns)
    if args.sheet and args.sheet != "-":
        Path(args.sheet).write_bytes(sheet.png())
        print(f"{args.sheet}: {len(sheet.frames)} frames", file=sys.stderr if args.json else sys.stdout)
    else:
        terminal.show(sheet.png(), protocol, sys.stdout)
    for fault in sheet.faults:
        print(f"problem: {fault}", file=sys.stderr)
    return 1 if sheet.faults else 0


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    command = commands.add("sql", sql)
    command.add_argument("query", help="a SELECT over faces, videos, attempts, splits, runs, predictions, ...")
    command.add_argument("--rows", type=int, default=100, help="how many rows a table shows (100)")
    command.add_argument("--untrusted", action="store_true", help="of a stranger: less time, memory and rows, no paths")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true")
    form.add_argument("--json", action="store_true", help="one object a line")
    form.add_argument("--parquet", metavar="FILE")

    command = commands.add("catalog", catalog)
    command.add_argument("what", nargs="?", choices=["summary", "rebuild"], default="summary")
    command.add_argument("--json", action="store_true")

    command = commands.add("show", show)
    command.add_argument("name", help="a sample_id, a key, a video_id, or a part of one that means only one")
    command.add_argument("--json", action="store_true")
    command.add_argument("--sheet", metavar="FILE.png", help="contact sheet; -: in the terminal, if it can, as without")
    command.add_argument("--columns", type=int, default=12, help="frames of the sheet (12)")
