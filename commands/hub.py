"""Commands of the Hugging Face Hub: send faces there, bring them from there, use them where they lie."""

import argparse
import os
from pathlib import Path

from commands.screen import CountDone
from commands.words import Commands


def push(args: argparse.Namespace) -> int:
    """Make a dataset repository on the Hugging Face Hub of all faces, or of some, with their catalog and a card."""
    from hub.pseudonyms import Pseudonyms
    from hub.push import push as send

    done = send(
        args.catalog,
        args.store,
        _repository(args),
        splits=args.split,
        where=args.where,
        recipe=args.recipe,
        public=args.public,
        said_so=args.yes_i_may,
        pseudonyms=Pseudonyms.of(args.pseudonymise) if args.pseudonymise else None,
        replace=args.replace,
        progress=CountDone("shards"),
    )
    size = f"{done.shards:,} shards, {done.bytes / 1e6:,.1f} MB"
    named = f"{done.repository} ({'private' if done.private else 'public'})"
    print(f"{named}: {done.faces:,} faces of {done.videos:,} videos in {size}")
    for name in done.splits:
        print(f"with the split {name}")
    if done.commit is None:
        print("nothing to send: it holds these faces already")
    else:
        print(f"{done.made:,} shards made and sent, {done.files:,} files changed, commit {done.commit[:12]}")
    return 0


def pull(args: argparse.Namespace) -> int:
    """Copy the faces of a repository, or of one of its pinned splits, into the store, and catalog them."""
    from hub.pull import pull as bring

    done = bring(args.catalog, args.store, _repository(args), args.split, CountDone("shards"))
    print(
        f"{done.faces:,} faces in {done.shards:,} shards of {args.repository} at {done.commit[:12]} are in "
        f"{args.store}, {done.fetched:,} came now"
    )
    return _took_in(done)


def attach(args: argparse.Namespace) -> int:
    """Make a new store of a repository without copying its faces: they are fetched when they are read."""
    from hub.attach import attach as link

    done = link(args.catalog, args.store, _repository(args))
    print(
        f"{args.store} is attached to {args.repository} at {done.commit[:12]}: {done.shards:,} shards, "
        f"{done.bytes / 1e6:,.1f} MB stay there"
    )
    return _took_in(done)


def _took_in(done) -> int:
    """Prints the splits that came and what the catalog did not take in."""
    for name in done.splits:
        print(f"with the split {name}")
    for problem in done.report.problems:
        print(f"problem: {problem}")
    return 1 if done.report.problems else 0


def _repository(args: argparse.Namespace):
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # ours counts shards
    from hub.repository import Repository

    return Repository(args.repository, args.revision)


def add_to(commands: Commands) -> None:
    """Adds these commands to the command line."""
    remote = argparse.ArgumentParser(add_help=False)
    remote.add_argument("repository", metavar="REPO", help="USER/NAME of a dataset on the Hub")
    remote.add_argument("--revision", default="main", help="branch, to read also a tag or commit (main)")

    command = commands.add("push", push, parents=[remote])
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--split", nargs="+", default=[], help="pinned splits: their faces, with partners (default: all)"
    )
    which.add_argument("--where", metavar="SQL", help="a condition on `faces`, e.g. \"dataset = 'mine'\"")
    command.add_argument("--recipe", help="name or hash, where the faces are of several")
    seen = command.add_mutually_exclusive_group()
    seen.add_argument("--private", dest="public", action="store_false", default=None, help="of a new one (the default)")
    seen.add_argument("--public", dest="public", action="store_true", help="of a new one: for everybody to see")
    command.add_argument("--yes-i-may", action="store_true", help="what may not be passed on may go to a private one")
    command.add_argument(
        "--pseudonymise", type=Path, metavar="KEYFILE", help="people and videos under names made with this secret key"
    )
    command.add_argument("--replace", action="store_true", help="faces that are there and not named here go")

    command = commands.add("pull", pull, parents=[remote])
    command.add_argument("--split", help="only the faces of this pinned split of the repository, with partners")
    commands.add("attach", attach, parents=[remote])
