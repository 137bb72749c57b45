"""What `deepshard catalog` shows: the catalog's rows as tables that fit a screen of 80 columns and use a wider one.

Dataset, method and quality stand in one column and counts that are zero throughout in none; JSON has everything.
"""

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from commands.screen import cell, print_table, size

_ROOMY = 110  # columns of a terminal from which more is shown


def show(facts: dict[str, Any]) -> None:
    """Prints a summary of queries.inspect, as dictionaries."""
    for source in facts["sources"]:
        free = {True: "may be passed on", False: "may not be passed on", None: "licence unknown"}
        print(
            f"{source['source']}: {source['videos']:,} videos ({source['adapter']}, scanned {source['scanned_at']}), "
            f"{free[source['redistributable']]}"
        )
        print(*(f"    {line}" for line in (source["root"], source["licence"]) if line), sep="\n")
    if facts["sources"]:
        print()
    if not facts["recipes"]:
        _uncurated(facts["videos"])
    for recipe in facts["recipes"]:
        _recipe(recipe, facts)
    if facts["reasons"]:
        rows = [
            [one["status"], one["reason"], one["example"], *([one["recipe"]] if len(facts["recipes"]) > 1 else [])]
            + [cell(one["videos"])]
            for one in facts["reasons"]
        ]
        recipes = ["recipe"] if len(facts["recipes"]) > 1 else []
        print_table("why there is no face", ["", "reason", "such as", *recipes, "videos"], rows, 1, blocks=False)
    if facts["identities"]:
        columns = ["dataset", "people", "groups", "largest group", "videos of nobody"]
        kinds = ("dataset", "identities", "components", "largest", "videos_of_nobody")
        print_table(
            "identities", columns, [[cell(one[kind]) for kind in kinds] for one in facts["identities"]], 4, False
        )
    if facts["sizes"]:
        rows = [[one["what"], cell(one["files"]), size(one["bytes"])] for one in facts["sizes"]]
        print_table("size on disk", ["", "files", "size"], rows, 2, blocks=False)
    print(", ".join(f"{count:,} {name}" for name, count in facts["counts"].items()))


def _recipe(recipe: dict[str, Any], facts: dict[str, Any]) -> None:
    """Videos and faces of each method, quality and label under one recipe."""
    lost = f", {recipe['lost']:,} of them missing or short" if recipe["lost"] else ""
    title = (
        f"recipe {recipe['recipe']} ({recipe['recipe_hash'][:8]}): {recipe['faces']:,} faces in {recipe['shards']:,} "
    )
    title += f"shards, {recipe['gigabytes']:,} GB{lost}"
    videos = {_place(one): one for one in facts["videos"]}
    rows = [one for one in facts["yields"] if one["recipe_hash"] == recipe["recipe_hash"]]
    told = [kind for kind in ("untried", "no_face", "failed") if any(one[kind] for one in rows)]
    official = _official(facts["videos"])
    columns = ["dataset/method/quality", "label", *official, "videos", *(kind.replace("_", " ") for kind in told)]
    lines = []
    for one in rows:
        video = videos[_place(one)]
        share = "" if one["face_yield"] is None else f"{one['face_yield']:.1%}"
        counts = [video[name] for name in (*official, "videos")] + [one[kind] for kind in told] + [one["faces"]]
        lines.append([_place(one)[0], _label(one), *map(cell, counts), share])
    print_table(title, [*columns, "faces", "yield"], lines, len(columns), blocks=False)


def _uncurated(videos: list[dict[str, Any]]) -> None:
    official = _official(videos)
    columns = ["dataset/method/quality", "label", *official, "videos"]
    rows = [[_place(one)[0], _label(one), *(cell(one[name]) for name in (*official, "videos"))] for one in videos]
    print_table("videos, none curated yet", columns, rows, len(columns) - 2, blocks=False)


def _official(videos: list[dict[str, Any]]) -> Sequence[str]:
    """The official sides, where there are any and there is room."""
    roomy = not sys.stdout.isatty() or shutil.get_terminal_size().columns >= _ROOMY
    return [side for side in ("train", "val", "test") if roomy and any(one[side] for one in videos)]


def _place(one: dict[str, Any]) -> tuple[str, int]:
    return f"{one['dataset']}/{one['method']}/{one['quality']}", one["label"]


def _label(one: dict[str, Any]) -> str:
    return "fake" if one["label"] else "real"
