"""A repository's card, README.md, written from its catalog: for people who never heard of deepshard.

The head makes ``load_dataset(REPO)`` and the Hub's viewer work: a configuration per dataset and one of all, its splits
by path, and what a sample holds. Paths name how many shards there are, so that an old head never sees half of a new
push. The rest is counts, licences, citations, splits with their hashes and what lints found, and how to read it.
"""

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from hub.layout import Shard
from hub.outgoing import Outgoing
from queries.catalog import connect_read
from shards.reader import ShardReader
from shards.repack import read

ALL = "all"  # the configuration of every dataset
PARTS = ("train", "validation", "test", "unsplit")
_LICENCES = {"mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}
_SIZES = [
    ("n<1K", 1e3),
    ("1K<n<10K", 1e4),
    ("10K<n<100K", 1e5),
    ("100K<n<1M", 1e6),
    ("1M<n<10M", 1e7),
    ("10M<n<100M", 1e8),
]
_RECIPE = ("sampling", "aligner", "faces", "scheme", "template", "margin", "size", "interpolation", "codec", "masks")


def write_card(outgoing: Outgoing, repository: str, store: Path) -> bytes:
    """The card of what is about to leave. ``store``: where its tars are read, for the names and types in a sample."""
    with connect_read(outgoing.catalog) as db:
        facts = {name: db.sql(query).to_arrow_table().to_pylist() for name, query in _QUESTIONS.items()}
        splits = db.sql("SELECT card, faces, real, fake FROM splits ORDER BY name, hash").fetchall()
    head = _head(outgoing, repository, facts, store)
    body = _body(
        outgoing,
        repository,
        facts,
        [json.loads(card) | {"faces": faces, "real": real, "fake": fake} for card, faces, real, fake in splits],
    )
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)}---\n\n{body}".encode()


_QUESTIONS = {
    "groups": """SELECT dataset, method, quality, label, count(*) AS faces, count(DISTINCT video_id) AS videos
                 FROM faces GROUP BY ALL ORDER BY dataset, label, method, quality""",
    "parts": """SELECT dataset, official_split, label, count(*) AS faces, count(DISTINCT video_id) AS videos
                FROM faces GROUP BY ALL ORDER BY ALL""",
    "faceless": "SELECT count(DISTINCT video_id) AS videos FROM faceless",
    "recipes": "SELECT recipe_hash, name, recipe FROM recipes",
    "sources": """SELECT source, adapter, licence, redistributable, datasets,
                         (SELECT count(*) FROM faces f WHERE f.source = s.source) AS faces
                  FROM sources s ORDER BY source""",
    "unknown": "SELECT DISTINCT source FROM faces WHERE source NOT IN (SELECT source FROM sources) ORDER BY ALL",
}


def _head(outgoing: Outgoing, repository: str, facts: dict[str, list], store: Path) -> dict[str, Any]:
    shards = [shard for shard in outgoing.shards if shard.rows is not None]
    configs = sorted({shard.config for shard in shards})
    whole = [(ALL, configs)] if ALL not in configs else []
    told = [*whole, *((config, [config]) for config in configs)]
    faces = sum(len(shard.rows) for shard in shards)
    head: dict[str, Any] = {
        "pretty_name": repository.rpartition("/")[2],
        **_licence(facts["sources"], facts["unknown"]),
    }
    head |= {
        "task_categories": ["image-classification"],
        "tags": ["deepfake-detection", "faces", "webdataset", "deepshard"],
    }
    head["size_categories"] = [next((name for name, limit in _SIZES if faces < limit), "n>100M")]
    head["configs"] = [
        {"config_name": name, **({"default": True} if not at else {}), "data_files": _data_files(shards, of)}
        for at, (name, of) in enumerate(told)
    ]
    features = {config: _features([s for s in shards if s.config == config], outgoing, store) for config in configs}
    head["dataset_info"] = [
        {"config_name": name, "features": _yaml(_united([features[c] for c in of]))} for name, of in told
    ]
    return head


def _data_files(shards: Sequence[Shard], configs: list[str]) -> list[dict[str, Any]]:
    """Splits and the paths of their shards, as the Hub's YAML has them."""
    files = []
    for part in PARTS:
        paths = sorted(
            {
                f"{shard.path[:-15]}-*-of-{shard.path[-5:]}.tar"
                for shard in shards
                if shard.part == part and shard.config in configs
            }
        )
        if paths:
            files.append({"split": part, "path": paths[0] if len(paths) == 1 else paths})
    return files


def _features(shards: list[Shard], outgoing: Outgoing, store: Path) -> pa.Schema:
    """What a sample of these shards holds, as Arrow has it; images are told by their field's metadata."""
    fields: list[pa.Schema] = []
    reader = ShardReader(store / "shards")
    for shard in shards:
        (members,) = read(shard.old.slice(0, 1), reader, ("json",))
        data = outgoing.change(members["json"]) if outgoing.change else members["json"]
        facts = pa.Table.from_pylist([json.loads(data)]).schema
        kinds = [
            shard.rows["image_ext"][0].as_py(),
            *(["mask.png"] if shard.rows["mask_offset"].null_count == 0 else []),
        ]
        names = [pa.field("json", pa.struct(list(facts))), *(pa.field(kind, pa.binary()) for kind in kinds)]
        fields.append(pa.schema([*names, pa.field("__key__", pa.string()), pa.field("__url__", pa.string())]))
    return _united(fields)


def _united(schemas: list[pa.Schema]) -> pa.Schema:
    """One schema for all, the images first; what some shards lack is null in them."""
    united = pa.unify_schemas(schemas, promote_options="permissive")
    order = {"json": 2, "mask.png": 1, "__key__": 3, "__url__": 4}
    return pa.schema(sorted(united, key=lambda field: order.get(field.name, 0)))


def _yaml(schema: pa.Schema) -> list[dict[str, Any]]:
    """Features in the YAML of cards."""
    from datasets import Features, Image  # slow to import, and only a push needs it

    features = Features.from_arrow_schema(schema)
    for name in features:
        if schema.field(name).type == pa.binary():
            features[name] = Image()
    return features._to_yaml_list()


def _licence(sources: list[dict], unknown: list[dict]) -> dict[str, str]:
    texts = {(source["licence"] or "unknown").lower() for source in sources} | {"unknown" for _ in unknown}
    if len(texts) == 1 and (only := texts.pop()) in _LICENCES:
        return {"license": only}
    return {"license": "other", "license_name": "of-its-sources", "license_link": "#licences"}


def _body(outgoing: Outgoing, repository: str, facts: dict[str, list], splits: list[dict]) -> str:
    name = repository.rpartition("/")[2]
    groups = facts["groups"]
    faces, videos = (sum(group[count] for group in groups) for count in ("faces", "videos"))
    real = sum(group["faces"] for group in groups if group["label"] == 0)
    shards = [shard for shard in outgoing.shards if shard.rows is not None]
    size = sum(shard.bytes for shard in shards)
    recipe = facts["recipes"][0] if facts["recipes"] else None
    told = json.loads(recipe["recipe"]) if recipe else {}
    crop = (
        f"{told['size']}x{told['size']} pixels, {told['codec'].upper()}, " if {"size", "codec"} <= told.keys() else ""
    )
    without = facts["faceless"][0]["videos"]
    held = [source for source in facts["sources"] if not source["redistributable"]]
    lines = [f"# {name}", ""]
    lines += [
        f"{faces:,} aligned faces ({real:,} real, {faces - real:,} fake) of {videos:,} videos, for training and "
        f"testing deepfake detectors. {crop}in {_count(len(shards), 'WebDataset shard')} of {_bytes(size)} together."
        + (f" {_count(without, 'further video')} gave no face; the catalog says why." if without else ""),
        "",
    ]
    if held or facts["unknown"]:
        names = ", ".join(sorted([s["source"] for s in held] + [s["source"] for s in facts["unknown"]]))
        lines += [
            f"> **Not to be passed on.** The licences of {names} do not allow it: keep this repository private.",
            "",
        ]
    lines += ["## Read it", "", *_how_to_read(repository, shards, splits), ""]
    lines += ["## What is in it", ""]
    rows = [[g["dataset"], g["method"], g["quality"], _word(g["label"]), g["faces"], g["videos"]] for g in groups]
    lines += [*_table(["dataset", "method", "quality", "label", "faces", "videos"], rows, 2), ""]
    lines += ["Official splits, which are the splits here (`val` is called `validation`):", ""]
    rows = [
        [p["dataset"], p["official_split"] or "none (`unsplit`)", _word(p["label"]), p["faces"], p["videos"]]
        for p in facts["parts"]
    ]
    lines += [*_table(["dataset", "official split", "label", "faces", "videos"], rows, 2), ""]
    lines += _of_splits(splits) + _of_recipe(recipe, told) + _of_licences(facts) + _of_files()
    return "\n".join(lines).rstrip() + "\n"


def _how_to_read(repository: str, shards: list[Shard], splits: list[dict]) -> list[str]:
    config, part = shards[0].config, shards[0].part
    image = shards[0].rows["image_ext"][0].as_py()
    name = splits[0]["name"] if splits else None
    of = f" --split {name}" if name else ""
    return [
        "With `datasets`: everything, or one dataset.",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'everything = load_dataset("{repository}")',
        f'faces = load_dataset("{repository}", "{config}", split="{part}", streaming=True)',
        "face = next(iter(faces))",
        f'face["{image}"], face["json"]["label"]  # a PIL image; 0 is real, 1 is fake',
        "```",
        "",
        "With `webdataset`, shard by shard:",
        "",
        "```python",
        "import webdataset",
        "from huggingface_hub import HfFileSystem, hf_hub_url",
        "",
        f'tars = HfFileSystem().glob("datasets/{repository}/data/{config}/{part}-*.tar")',
        f'urls = [hf_hub_url("{repository}", tar.split("/", 3)[3], repo_type="dataset") for tar in tars]',
        'faces = webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8")',
        f'for image, facts in faces.to_tuple("{image}", "json"):',
        '    label = facts["label"]',
        "```",
        "",
        "webdataset sends no token: of a private repository, download the tars first.",
        "",
        "The catalog with DuckDB, where it lies:",
        "",
        "```python",
        "import duckdb",
        "from huggingface_hub import HfFileSystem",
        "",
        "duckdb.register_filesystem(HfFileSystem())",
        f'faces = "hf://datasets/{repository}/catalog/faces.parquet"',
        "print(duckdb.sql(f\"SELECT dataset, method, count(*) FROM '{faces}' GROUP BY ALL\"))",
        "```",
        "",
        "Each row says where its bytes lie: `file`, `offset` and `size`. Into training, with deepshard:",
        "",
        "```console",
        f"$ deepshard attach {repository}          # query and stream it, nothing is copied",
        f"$ deepshard pull {repository}{of}",
        "```",
    ]


def _of_splits(splits: list[dict]) -> list[str]:
    if not splits:
        return []
    lines = [
        "## Pinned splits",
        "",
        "Sets of faces that were frozen under a hash, in `splits/`: quote name and hash.",
        "",
    ]
    rows = []
    for card in splits:
        lints = {word: sum(lint["severity"] == word for lint in card["lints"]) for word in ("error", "warning", "note")}
        seen = ", ".join(_count(count, word) for word, count in lints.items() if count) or "nothing"
        counts = [card["faces"], card["real"], card["fake"]]
        rows.append([f"`{card['name']}@{card['hash'][:12]}`", card.get("title") or "", seen, *counts])
    lines += [*_table(["split", "what it is", "lints found", "faces", "real", "fake"], rows, 3), ""]
    found: dict[tuple[str, str], list[str]] = {}
    for card in splits:
        for lint in card["lints"]:
            if lint["severity"] != "note":
                found.setdefault((lint["severity"], lint["message"]), []).append(f"`{card['name']}`")
    for (severity, message), names in found.items():
        lines.append(f"* {severity} of {', '.join(names)}: {message}")
    return [*lines, ""] if found else lines


def _of_recipe(recipe: dict | None, told: dict) -> list[str]:
    if recipe is None:
        return []
    rows = [[key, f"`{told[key]}`"] for key in _RECIPE if key in told]
    name = f"How the faces were found and cut, recipe `{recipe['name']}`, hash `{recipe['recipe_hash'][:16]}`:"
    return ["## Recipe", "", name, "", *_table(["setting", "value"], rows), ""]


def _of_licences(facts: dict[str, list]) -> list[str]:
    known = yaml.safe_load(resources.files("hub").joinpath("citations.yaml").read_text(encoding="utf-8"))
    rows = [
        [s["source"], s["faces"], s["licence"] or "unknown", "yes" if s["redistributable"] else "no"]
        for s in facts["sources"]
    ]
    rows += [[s["source"], "", "unknown", "no"] for s in facts["unknown"]]
    rows = [[row[0], row[2], row[3], row[1]] for row in rows]
    lines = ["## Licences", "", *_table(["source", "licence", "may be passed on", "faces"], rows, 1), ""]
    cite = [known[adapter] for adapter in sorted({s["adapter"] for s in facts["sources"]}) if adapter in known]
    if cite:
        lines += [
            "## Citation",
            "",
            "Who uses these faces cites where they come from:",
            "",
            *(f"* {one}" for one in cite),
            "",
        ]
    return lines


def _of_files() -> list[str]:
    rows = [
        [
            "`data/DATASET/SPLIT-N-of-M.tar`",
            "the faces; beside each its rows (`.parquet`) and its videos (`.videos.parquet`)",
        ],
        ["`catalog/faces.parquet`", "every face with all that is known of it, and where its bytes lie"],
        ["`catalog/videos.parquet`", "every video that was tried, with what became of it"],
        ["`catalog/splits.parquet`, `splits/`", "the pinned splits: their queries, hashes, lints; their faces"],
        ["`recipes/`, `sources/`, `corrections/`", "how faces were cut, where they are from, what was corrected since"],
    ]
    return ["## Files", "", *_table(["file", "what it holds"], rows), ""]


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: int = 0) -> list[str]:
    """A Markdown table; the last ``numbers`` columns are numbers."""
    marks = ["---"] * (len(columns) - numbers) + ["---:"] * numbers
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join(marks)} |"]
    for row in rows:
        cells = [
            f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|").replace("\n", " ") for cell in row
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _word(label: int) -> str:
    return "fake" if label else "real"


def _bytes(size: int) -> str:
    for unit, worth in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= worth:
            return f"{size / worth:,.1f} {unit}"
    return f"{size / 1e3:,.0f} kB"
