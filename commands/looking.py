"""Commands that look into the catalog."""

import argparse
import dataclasses
import json
import sys

from commands.screen import cell, print_table
from commands.words import Commands


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
        print_table(None, table.column_names, [[cell(row[name]) for name in table.column_names] for row in shown])
        if table.num_rows > args.rows:
            print(f"the first {args.rows:,} of {table.num_rows:,} rows; all of them: --csv, --json or --parquet FILE")
    return 0


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
            print_table(title, columns, [[cell(row[column]) for column in columns] for row in rows])
    print(", ".join(f"{count:,} {name}" for name, count in facts["counts"].items()))
    return 0


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    command = commands.add("sql", sql)
    command.add_argument("query", help="a SELECT over faces, videos, attempts, splits, runs, predictions, ...")
    command.add_argument("--rows", type=int, default=100, help="how many rows a table shows (100)")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true")
    form.add_argument("--json", action="store_true", help="one object a line")
    form.add_argument("--parquet", metavar="FILE")

    command = commands.add("catalog", catalog)
    command.add_argument("what", nargs="?", choices=["summary", "rebuild"], default="summary")
    command.add_argument("--json", action="store_true")
