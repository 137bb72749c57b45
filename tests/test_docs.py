"""README and docs/ are run: each page's commands and programs, in order, in a folder that holds the tiny demo.

In a page, a ```console block has commands after `$ ` and, under them, lines of their output (`...` stands for
anything); a block after `<!-- file: NAME -->` is written to NAME; ```python blocks are run and ```sql blocks asked. A
block after `<!-- not run: REASON -->` is not, and one after `<!-- exits with N: REASON -->` must end so.
"""

import argparse
import ast
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import yaml

from deepshard import parser
from queries.catalog import connect_read
from queries.statement import check, vocabulary
from tests.conftest import REPOSITORY, copy_of, new_place
from training.settings import settings

PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md"))]
# what lies in a page's folder beside the videos: a store that has come so far
BEGINS_WITH = {
    "README.md": "curated",
    "docs/curate.md": None,
    "docs/private-sets.md": None,
    "docs/cluster.md": None,
    "docs/splits.md": "curated",
    "docs/train.md": "pinned",
    "docs/study.md": "curated",
    "docs/look.md": "trained",
    "docs/browse.md": "trained",
    "docs/explain.md": "trained",
    "docs/read-shards.md": "pinned",
    "docs/export.md": "pinned",
    "docs/hub.md": "pinned",
    "docs/design.md": None,
    "docs/faces.md": None,
    "docs/verify.md": "pinned",
}
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (?P<word>file|not run|exits with(?P<status> \d+)): (?P<text>.+?) -->")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    mark: str | None = None  # file | not run | exits with
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    text = (REPOSITORY / page).read_text()
    found = []
    for fence in FENCE.finditer(text):
        above = text[: fence.start()].rstrip("\n").rpartition("\n")[2].strip()
        mark = MARK.fullmatch(above)
        assert mark or not above.startswith("<!--"), f"{page}: cannot read {above}"
        body = re.sub(rf"^{fence['indent']}", "", fence["body"], flags=re.MULTILINE)
        word = mark["word"].split(" with")[0] if mark else None
        value = (mark["status"] or mark["text"]).strip() if mark else None
        found.append(Block(page, text.count("\n", 0, fence.start()) + 1, fence["language"], body, word, value))
    return found


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the lines of output shown under it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            assert found, f"{block}: a console block begins with `$ `"
            found[-1][1].append(line)
    return found


def shown_in(line: str, output: str) -> bool:
    """Whether a line of output is as the page shows it; columns may be wider."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in re.split(r"\.\.\.", line.strip())]
    pattern = re.compile(r"\s*.*?\s*".join(parts))
    return any(pattern.fullmatch(there.strip()) for there in output.splitlines())


def test_every_page_has_a_beginning():
    assert set(PAGES) == set(BEGINS_WITH)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_works_as_it_is_written(page, demo_tree, request, tmp_path):
    begins_with = BEGINS_WITH[page]
    if begins_with is None:
        place = new_place(tmp_path / "place", demo_tree)
    else:
        place = copy_of(request.getfixturevalue(begins_with), tmp_path / "place")
    _campus(place.folder, demo_tree)
    for block in blocks(page):
        if block.mark == "file":
            file = place.folder / block.value
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)
        elif block.mark == "not run":
            assert len(block.value.split()) > 2, f"{block}: say why it is not run"
        elif block.language == "console":
            status = int(block.value) if block.mark == "exits" else 0
            for command, output in commands(block):
                done = place.run("-o", "pipefail", "-c", command, program=("bash",))
                said = done.stdout + done.stderr
                assert done.returncode == status or _broken_pipe(command, done), f"{block}: {command}\n{said}"
                for line in output:
                    assert shown_in(line, said), f"{block}: {command}\ndoes not print {line!r} but\n{said}"
        elif block.language == "python":
            done = place.run("-c", block.text, program=(sys.executable,))
            assert done.returncode == 0, f"{block}:\n{done.stderr}"
        elif block.language == "sql":
            with connect_read(place.folder / "catalog.duckdb") as db:
                for statement in block.text.split(";\n"):
                    db.execute(check(db, statement, vocabulary(db)).sql).fetchall()


def _broken_pipe(command: str, done: subprocess.CompletedProcess) -> bool:
    return "| head" in command and done.returncode == 141


def _campus(folder: Path, tree: Path) -> None:
    """The set that docs/private-sets.md describes, from videos of the demo."""
    ffpp = tree / "FaceForensics++"
    fake = ffpp / "manipulated_sequences" / "Deepfakes"
    for name, file in (
        ("real/p01_1.mp4", ffpp / "original_sequences/youtube/c23/videos/071.mp4"),
        ("real/p02_1.mp4", ffpp / "original_sequences/youtube/c23/videos/054.mp4"),
        ("fake/p01_p02_1.mp4", fake / "c23/videos/071_054.mp4"),
        ("masks/p01_p02_1.mp4", fake / "masks/videos/071_054.mp4"),
    ):
        (folder / "campus" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / "campus" / name)


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page)], ids=str)
def test_blocks_parse(block):
    if block.language == "python":
        ast.parse(block.text)
    elif block.language == "yaml":
        assert isinstance(yaml.safe_load(block.text), dict)
    elif block.language == "sql":
        with duckdb.connect() as db:
            assert db.extract_statements(block.text)
    elif block.language == "console":
        assert commands(block)
    elif block.language == "csv":
        assert len({line.count(",") for line in block.text.splitlines()}) == 1
    else:
        assert block.language == "", f"{block}: nothing is known of blocks of {block.language}"
        assert "\n$ " not in f"\n{block.text}", f"{block}: commands belong in a console block, where they are run"


def text_of(*pages: str) -> str:
    return "\n".join((REPOSITORY / page).read_text() for page in (pages or PAGES))


def subcommands(parser: argparse.ArgumentParser, name: str = "deepshard"):
    """(name, parser) of every command that can be typed."""
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield name, parser
    for action in nested:
        for word, command in action.choices.items():
            yield from subcommands(command, f"{name} {word}")


@pytest.mark.parametrize(("name", "parser"), list(subcommands(parser())), ids=lambda value: str(value)[:40])
def test_every_command_and_option_is_in_the_docs(name, parser):
    pages = [page for page in PAGES if re.search(rf"{name}\b", text_of(page))]
    assert pages, f"{name} is in no page"
    docs = text_of(*pages)
    options = {word for action in parser._actions for word in action.option_strings if word not in ("-h", "--help")}
    missing = [word for word in sorted(options - {"--catalog", "--store"}) if not re.search(rf"{word}\b", docs)]
    assert not missing, f"{name}: {', '.join(pages)} do not tell of {', '.join(missing)}"


def test_the_options_of_all_commands_are_in_the_page_on_curating():
    assert {"--catalog", "--store"} <= set(re.findall(r"--\w+", text_of("docs/curate.md")))


def test_every_command_in_the_docs_exists():
    known = {name for name, _ in subcommands(parser())}
    typed = re.findall(r"(?:^\$ |`)(deepshard (?:split |explain )?[a-z]+)", text_of(), re.MULTILINE)
    assert len(typed) > 30
    assert not set(typed) - known


def test_every_setting_of_training_is_in_its_page():
    page = text_of("docs/train.md")
    for name in settings():
        group, _, last = name.rpartition(".")
        assert re.search(rf"`{name}`|`{group}\.|`{last}`", page), name
        assert re.search(rf"`(\w*\.)?{last}`", page), name


def test_every_query_is_in_the_page_on_splits():
    page = text_of("docs/splits.md")
    listed = set(re.findall(r"`(\w+/\w+)`", page))
    files = {
        str(file.relative_to(REPOSITORY / "queries").with_suffix("")) for file in REPOSITORY.glob("queries/*/*.sql")
    }
    shipped = {name for name in files if name.split("/")[0] not in ("lints", "checks")}
    assert shipped <= listed, f"not in docs/splits.md: {', '.join(sorted(shipped - listed))}"
    assert {name for name in listed if not (REPOSITORY / name).exists()} <= shipped


def test_every_macro_has_an_example_in_the_page_on_splits():
    macros = re.findall(r"MACRO (\w+)\(", (REPOSITORY / "queries/macros.sql").read_text())
    assert len(macros) > 15
    page = "\n".join(block.text for block in blocks("docs/splits.md") if block.language == "sql")
    for macro in set(macros) - {"multiply64", "fold64"}:  # what draw() is made of
        assert re.search(rf"\b{macro}\(", page), macro


def test_the_columns_of_faces_are_in_the_page_on_looking(curated):
    columns = [line.split('"')[3] for line in curated.ok("sql", "DESCRIBE faces", "--json").splitlines()]
    page = text_of("docs/look.md").partition("## The columns of faces")[2].partition("\n## ")[0]
    listed = [
        name for line in page.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    ]
    assert sorted(listed) == sorted(columns)


def test_the_fields_of_the_json_are_in_the_page_on_reading(curated):
    import json
    import tarfile

    page = text_of("docs/read-shards.md").partition("## The fields of the JSON")[2]
    listed = [
        name for line in page.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    ]
    with tarfile.open(next(curated.folder.glob("store/shards/*.tar"))) as tar:
        member = next(member for member in tar if member.name.endswith(".json"))
        fields = json.load(tar.extractfile(member))
    assert sorted(listed) == sorted(fields)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    folder = (REPOSITORY / page).parent
    for target in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", (REPOSITORY / page).read_text())):
        file, _, anchor = target.partition("#")
        there = (folder / file).resolve() if file else REPOSITORY / page
        assert there.exists() and REPOSITORY in there.parents, f"{page}: {target}"
        assert not anchor or anchor in anchors(there), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page):
    text = FENCE.sub("", (REPOSITORY / page).read_text())
    rooms = "browse|curation|shards|queries|training|tests|docs|benchmarks"
    for name in re.findall(rf"`((?:{rooms})/[\w/.\-]*)`", text):
        assert (REPOSITORY / name).exists(), f"{page}: {name}"


def test_the_tree_in_the_readme_is_the_repository():
    tree = next(block for block in blocks("README.md") if block.language == "" and "deepshard.py" in block.text)
    room = ""
    for line in tree.text.splitlines():
        names, deeper = line.split("   ")[0], line.startswith("  ")
        for name in re.findall(r"[\w.]+/?", line.strip().split("  ")[0]):
            assert (REPOSITORY / (room if deeper else "") / name).exists(), line
        if not deeper:
            room = names.split()[0]


def test_the_picture_is_small():
    assert 50_000 < (REPOSITORY / "docs/demo.png").stat().st_size < 400_000
