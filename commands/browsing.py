"""Commands that show what there is as pages: in a browser, or in a file to send."""

import argparse
import importlib.util
from pathlib import Path

from commands.words import Commands, UsageError


def browse(args: argparse.Namespace) -> int:
    """Look at faces, splits and runs in a browser; on this machine alone unless told otherwise."""
    _need()
    import asyncio

    from browse.guard import Guard
    from browse.place import Place
    from browse.server import serve

    place = Place(args.catalog, args.store, args.to, args.explained)
    watch = Guard.of(args.host, args.name, args.token)
    try:
        asyncio.run(serve(place, args.host, args.port, watch, lambda address: print(f"open {address}", flush=True)))
    except KeyboardInterrupt:
        print("\nstopped")
    return 0


def report(args: argparse.Namespace) -> int:
    """Write all about a pinned split or a run into one HTML file that can be sent."""
    _need()
    from browse.place import Place
    from browse.report import report as write

    path = write(Place(args.catalog, args.store, explained=args.explained), args.what, args.out)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _need() -> None:
    missing = [name for name in ("aiohttp", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be installed: pip install 'deepshard[browse]'")


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    command = commands.add("browse", browse)
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; beyond this machine a token is asked"
    )
    command.add_argument("--port", type=int, default=8899, help="port to listen on, 0 for any that is free (8899)")
    command.add_argument("--token", action="store_true", help="ask for a token on this machine too: others may use it")
    command.add_argument("--name", action="append", default=[], help="a name that the server is called by; repeatable")
    command.add_argument("--to", type=Path, default=Path("."), help="folder of the splits that are saved (here)")
    _explained(command)
    command = commands.add("report", report)
    command.add_argument("what", help="a pinned split or a run")
    command.add_argument("--out", type=Path, help="the file (NAME.html here)")
    _explained(command)


def _explained(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--explained", type=Path, default=Path("explained"), help="what `deepshard explain` wrote (explained)"
    )
