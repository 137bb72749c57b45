"""The command line as a user meets it: what commands print, and what they say when asked for the impossible."""

import csv
import io
import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import CELEB, FFPP, RECIPE, copy_of, new_place


def refused(place, *words, says: tuple[str, ...], program=("deepshard",), about_sql: bool = False) -> None:
    """The command must end with 2 and one line that says all of that; a fault in SQL may be shown below it."""
    done = place.run(*words, program=program)
    assert done.returncode == 2, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    lines = done.stderr.strip().splitlines()
    assert (len(lines) == 1 or about_sql) and lines[0].startswith(("deepshard: ", "error: ")), done.stderr
    for text in says:
        assert text in done.stderr, f"{text!r} is not in {done.stderr!r}"


def faces_of(place) -> int:
    """How many faces curation found, by the sidecars of the shards."""
    sidecars = place.folder.glob("store/shards/*.parquet")
    return sum(pq.read_metadata(file).num_rows for file in sidecars if not file.name.endswith(".videos.parquet"))


@pytest.fixture
def empty(demo_tree, tmp_path):
    """Videos, and nothing done yet."""
    return new_place(tmp_path / "place", demo_tree)


@pytest.fixture
def own(pinned, tmp_path):
    """Pinned, to be broken."""
    return copy_of(pinned, tmp_path / "place")


# -- what commands print -----------------------------------------------------------------------------------------------


def test_scan_says_what_is_there_and_what_is_missing(empty):
    said = empty.ok("scan", "faceforensics", FFPP)
    assert "ffpp: 52 videos" in said
    row = next(line for line in said.splitlines() if "Face2Face" in line and "c23" in line)
    assert row.split() == ["ffpp", "Face2Face", "c23", "1,000", "8", "992"]


def test_scan_names_what_is_missing(empty):
    lines = empty.ok("scan", "faceforensics", FFPP, "--names").splitlines()
    assert "missing\tffpp/original/c23\t000.mp4" in lines
    assert "missing\tffpp/original/c23\t071.mp4" not in lines
    assert not [line for line in lines if line.startswith("unexpected")]


def test_another_copy_takes_the_place_of_the_first_only_if_that_is_meant(empty):
    empty.ok("scan", "celebdf", CELEB)
    shutil.copytree(empty.folder / CELEB, empty.folder / "Celeb-DF-v2")
    shutil.rmtree(empty.folder / "Celeb-DF-v2" / "YouTube-real")
    refused(empty, "scan", "celebdf", "Celeb-DF-v2", says=("lacks 2", "--name", "--replace"))
    assert "6 videos" in empty.ok("scan", "celebdf", "Celeb-DF-v2", "--replace")


def test_curating_again_finds_nothing_to_do(own):
    assert own.ok("curate", *RECIPE).startswith("nothing to do")
    assert own.ok("retry", *RECIPE, "--reason", "").startswith("nothing to do")


def test_sql_in_every_form(pinned, tmp_path):
    query = "SELECT dataset, label, count(*) AS faces FROM faces GROUP BY ALL ORDER BY ALL"
    rows = [json.loads(line) for line in pinned.ok("sql", query, "--json").splitlines()]
    assert [(row["dataset"], row["label"]) for row in rows] == [
        (dataset, label) for dataset in ("celebdf-v2", "dfd", "ffpp") for label in (0, 1)
    ]
    assert sum(row["faces"] for row in rows) == faces_of(pinned)
    table = list(csv.DictReader(io.StringIO(pinned.ok("sql", query, "--csv"))))
    assert table == [{key: str(value) for key, value in row.items()} for row in rows]
    assert "6 rows" in pinned.ok("sql", query, "--parquet", tmp_path / "faces.parquet")
    assert pq.read_table(tmp_path / "faces.parquet").to_pylist() == rows


def test_a_table_says_what_it_leaves_out(pinned):
    said = pinned.ok("sql", "FROM faces", "--rows", "3")
    assert "the first 3 rows; more: --rows 30" in said
    # piped, no cell is broken over lines: head, rule, three rows
    assert len([line for line in said.splitlines() if line.strip()]) == 6


@pytest.mark.parametrize(("form", "begins"), [("--csv", '"sample_id"'), ("--json", '{"sample_id"')])
def test_a_reader_that_goes_away_is_no_error(pinned, form, begins):
    done = pinned.run("-c", f"deepshard sql 'FROM faces' {form} | head -2; echo ${{PIPESTATUS[0]}}", program=("bash",))
    assert done.stdout.splitlines()[-1] == "0" and not done.stderr
    assert done.stdout.startswith(begins)


def test_lists_and_bytes_have_a_place_in_csv_and_json(pinned):
    query = "SELECT [1, NULL] AS list, {'a': 'x'} AS struct, 'ab'::BLOB AS bytes"
    assert list(csv.reader(io.StringIO(pinned.ok("sql", query, "--csv")))) == [
        ["list", "struct", "bytes"],
        ["[1, null]", '{"a": "x"}', "ab"],
    ]
    assert json.loads(pinned.ok("sql", query, "--json")) == {"list": [1, None], "struct": {"a": "x"}, "bytes": "6162"}


def test_an_untrusted_question_has_tighter_limits_and_sees_no_paths(pinned):
    query = "SELECT root FROM sources"
    assert all(json.loads(line)["root"] for line in pinned.ok("sql", query, "--json").splitlines())
    told = pinned.ok("sql", query, "--json", "--untrusted").splitlines()
    assert len(told) == 3 and all(json.loads(line)["root"] is None for line in told)
    refused = pinned.run("sql", "FROM range(100001)", "--csv", "--untrusted")
    assert refused.returncode == 2 and "more than 100,000 rows" in refused.stderr


def test_show_tells_what_is_known_and_draws_it(trained, tmp_path):
    said = trained.ok("show", "Face2Face/c23/953_974", "--sheet", tmp_path / "sheet.png")
    for part in ("made from ffpp/original/c23/953", "f2f_test@", "first", "6 faces in 6 of 6 frames", "6 frames\n"):
        assert part in said
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads(trained.ok("show", "ffpp/Face2Face/c23/953_974", "--json"))
    assert told["video"]["label"] == 1 and told["original"]["video_id"] == "ffpp/original/c23/953"
    several = trained.run("show", "953_974")
    assert several.returncode == 2 and "means several videos, say which: ffpp/Deepfakes/c23/953_974" in several.stderr
    screen = trained.run("show", "Face2Face/c23/953_974", "--sheet", "-")
    assert screen.returncode == 2 and "--sheet FILE.png" in screen.stderr


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_catalog_fits_a_terminal(pinned, width):
    # COLUMNS, which whoever runs the suite may have set, would be believed before the terminal
    command = f"script -qec 'unset COLUMNS LINES; stty cols {width}; deepshard catalog' /dev/null"
    said = pinned.ok("-c", command, program=("bash",)).replace("\r", "")
    lines = re.sub("\x1b\\[[0-9;]*m", "", said).splitlines()
    tables = [line for line in lines if line.startswith(" ") and not line.startswith("    ")]
    assert max(map(len, tables)) <= width
    assert any(re.fullmatch(r" ffpp/Face2Face/c23 +fake .*100.0% *", line) for line in lines)
    assert any(re.fullmatch(r" shards +\d+ +[\d.]+ MB *", line) for line in lines)
    assert any("train" in line for line in tables) == (width >= 120)


def test_split_commands(own):
    own.ok("split", "pin", "ffpp/f2f_val", "--name", "again")
    listed = {line["name"]: line for line in map(json.loads, own.ok("split", "list", "--json").splitlines())}
    assert set(listed) == {"f2f_train", "f2f_val", "f2f_test", "fs_i", "nt_i", "again"}
    assert listed["again"]["hash"] == listed["f2f_val"]["hash"]
    shown = own.ok("split", "show", "f2f_train")
    assert "frames_per_video=3" in shown and "SELECT sample_id FROM balanced" in shown
    assert own.ok("split", "diff", "f2f_val", "again").startswith("the same 24 faces")
    differing = own.run("split", "diff", "f2f_val", "f2f_test")
    assert differing.returncode == 1 and differing.stdout.startswith("0 faces in both")
    assert own.ok("split", "check", "f2f_train", "f2f_val", "f2f_test", "--strict") == "nothing found\n"
    leaking = own.run("split", "check", "f2f_train", "fs_i", "--strict")
    assert leaking.returncode == 1 and "4 videos are in both" in leaking.stdout


def test_catalog_is_made_again_from_the_store(own):
    before = json.loads(own.ok("catalog", "--json"))
    (own.folder / "catalog.duckdb").unlink()
    assert f"{before['counts']['samples']} faces of 64 videos" in own.ok("catalog", "rebuild")
    after = json.loads(own.ok("catalog", "--json"))
    assert after["counts"] == before["counts"] and after["videos"] == before["videos"]
    assert "64 videos, 64 attempts" in own.ok("catalog")


def test_results_and_predictions_of_a_run(trained):
    rows = [json.loads(line) for line in trained.ok("results", "--json").splitlines()]
    assert [(row["split"], row["level"], row["frames"], row["videos"]) for row in rows] == [
        ("f2f_test", "frame", 24, 4),
        ("f2f_test", "video", 24, 4),
    ]
    video = next((trained.folder / FFPP / "original_sequences/youtube/c23/videos").glob("953.mp4"))
    (trained.folder / "black.mp4").write_bytes(b"no video")
    done = trained.run("predict", "--checkpoint", "first", "--json", video, "black.mp4")
    good, bad = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1 and bad["score"] is None and "black.mp4" in bad["reason"]
    assert len(good["faces"]) == 6
    assert good["score"] == pytest.approx(sum(face["score"] for face in good["faces"]) / 6, abs=1e-5)
    # nearly the faces in the shards: where a dataset has masks, curation searches more thoroughly
    query = "SELECT frame_index, score FROM predictions JOIN faces USING (sample_id) WHERE faces.name = '953'"
    scored = map(json.loads, trained.ok("sql", query, "--json").splitlines())
    known = {row["frame_index"]: row["score"] for row in scored}
    assert known == {face["frame_index"]: pytest.approx(face["score"], abs=1e-4) for face in good["faces"]}


# -- the splits FS-I and NT-I, from the names in the tree --------------------------------------------------------------


@pytest.mark.parametrize(("split", "method"), [("fs_i", "FaceSwap"), ("nt_i", "NeuralTextures")])
def test_same_people_other_method_and_frames_not_drawn(pinned, split, method):
    """FS-I and NT-I by their definition: fakes of people who are all in the training set, real faces of these people in
    frames that it did not draw, half and half."""

    def members(name: str) -> list[dict]:
        with pa.ipc.open_file(next(pinned.folder.glob(f"store/splits/{name}@*.arrow"))) as file:
            return file.read_all().to_pylist()

    train, chosen = members("f2f_train"), members(split)
    people = {person for row in train for person in row["video_id"].split("/")[-1].split("_")}
    assert people == {"071", "054", "087", "081"}
    assert {row["method"] for row in train} == {"Face2Face", "original"}
    tree = pinned.folder / FFPP
    videos = (tree / "manipulated_sequences" / method / "c23" / "videos").glob("*.mp4")
    fakes = {f"ffpp/{method}/c23/{file.stem}" for file in videos if set(file.stem.split("_")) <= people}
    originals = {f"ffpp/original/c23/{person}" for person in people}
    drawn = {(row["video_id"], row["frame_index"]) for row in train if row["label"] == 0}
    shards = [pq.read_table(file).to_pylist() for file in pinned.folder.glob("store/shards/*0.parquet")]
    curated = {(row["video_id"], row["frame_index"]) for shard in shards for row in shard}
    left = {(video, frame) for video, frame in curated if video in originals} - drawn

    real = {(row["video_id"], row["frame_index"]) for row in chosen if row["label"] == 0}
    fake = {(row["video_id"], row["frame_index"]) for row in chosen if row["label"] == 1}
    assert len(real) == len(fake) == len(chosen) // 2
    assert real == left, "there are fewer of them than fakes: all must be there"
    assert {video for video, _ in fake} == fakes and len(fakes) == 4
    assert fake <= curated


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_root_of_another_layout(empty):
    refused(empty, "scan", "faceforensics", CELEB, says=("original_sequences", "deepshard scan celebdf"))


def test_an_empty_folder(empty):
    (empty.folder / "nothing").mkdir()
    refused(empty, "scan", "celebdf", "nothing", says=("nothing", "empty", "give the folder"))


def test_a_folder_that_is_not_there(empty):
    refused(empty, "scan", "celebdf", "nowhere", says=("nowhere",))


def test_an_unknown_adapter(empty):
    refused(empty, "scan", "celeb", CELEB, says=("celeb", "celebdf"))


def test_a_description_with_an_unknown_key(empty):
    (empty.folder / "mine.yaml").write_text(
        "dataset: mine\nlicence: unknown\nredistributable: false\nkind: videos\nlabels: real\n"
    )
    refused(empty, "scan", "folder", "mine.yaml", CELEB, says=("mine.yaml", "labels", "label"))


def test_before_anything_was_scanned(empty):
    for words in (["sql", "FROM faces"], ["split", "pin", "ffpp/f2f_val"], ["catalog"], ["curate", *RECIPE]):
        refused(empty, *words, says=("catalog.duckdb", "deepshard"))


def test_recipes_that_cannot_be(pinned):
    refused(pinned, "curate", "--recipe", "defualt", says=("defualt", "default", ".yaml"))
    refused(pinned, "curate", "--set", "sise=128", says=("sise", "size"))
    refused(pinned, "curate", "--set", "size", says=("key=value",))
    refused(pinned, "curate", "--sampling", "evenly", says=("evenly 32", "at least 16"))


def test_sql_that_cannot_be_run(pinned):
    refused(pinned, "sql", "SELECT sampel_id FROM faces", says=("sampel_id", "sample_id"), about_sql=True)
    refused(pinned, "sql", "DROP TABLE videos", says=("SELECT",))
    refused(pinned, "sql", "SELECT * FROM read_csv('/etc/passwd')", says=("read_csv",))


def test_a_split_with_a_typing_error_names_file_and_line(own):
    (own.folder / "mine.sql").write_text("-- mine\nSELECT sample_id\nFROM faces\nWHERE metod = 'original'\n")
    refused(own, "split", "pin", "mine.sql", says=("mine.sql:4", "metod", "method"), about_sql=True)


def test_a_split_that_selects_nothing_says_what_there_is(pinned):
    refused(pinned, "split", "pin", "ffpp/f2f_val", "--param", "quality=raw", says=("quality=raw", "ffpp/original/c23"))


def test_a_parameter_or_a_split_that_is_not_there(pinned):
    refused(pinned, "split", "pin", "ffpp/f2f_val", "--param", "qualty=c23", says=("qualty", "quality"))
    refused(pinned, "split", "pin", "ffpp/f2f_vall", says=("ffpp/f2f_vall", "ffpp/f2f_val,"))
    refused(pinned, "split", "show", "f2f_trian", says=("f2f_train",))


def test_one_class_is_refused_before_training(own):
    (own.folder / "real.sql").write_text("-- real\nSELECT sample_id FROM faces WHERE label = 0 AND dataset = 'ffpp'\n")
    words = ("training/run.py", "--config", "training/configs/demo.yaml", "--train", "real.sql")
    refused(own, *words, says=("only real faces", "mesonet4", "one_class"), program=("python",))
    assert not list(own.folder.glob("store/runs/*"))


def test_a_shard_that_was_deleted(own):
    """Reading the catalog goes on; pinning warns; training stops and names the shard."""
    read = "SELECT DISTINCT shard FROM faces WHERE method = 'Face2Face' AND official_split = 'train' ORDER BY 1 LIMIT 1"
    lost = own.folder / "store/shards" / (json.loads(own.ok("sql", read, "--json"))["shard"] + ".tar")
    lost.unlink()
    assert len(own.ok("sql", "SELECT sample_id FROM faces", "--json").splitlines()) == faces_of(own)
    done = own.run("split", "pin", "ffpp/f2f_train", "--name", "lost")
    assert "error" in done.stdout and "curate these videos again" in done.stdout
    refused(own, "split", "pin", "ffpp/f2f_train", "--strict", says=("missing_shard", "gone"))
    told = own.run("verify")
    assert told.returncode == 1 and lost.stem in told.stdout
    words = ("training/run.py", "--config", "training/configs/demo.yaml", "--train", "lost", "--tracker", "none")
    done = own.train(*words[1:])
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert lost.name in done.stderr.strip().splitlines()[-1]


def test_a_damaged_store_is_found_and_mended(own):
    tar = next(own.folder.glob("store/shards/*.tar"))
    whole = tar.read_bytes()
    tar.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    told = own.run("verify")
    assert told.returncode == 1
    assert "verify --repair" in told.stdout
    assert tar.name in own.ok("verify", "--repair")
    assert tar.read_bytes() == whole
    assert "are as they were written" in own.ok("verify")


def test_a_catalog_of_a_newer_version(own):
    import duckdb

    with duckdb.connect(own.folder / "catalog.duckdb") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
        assert db.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchall() == [("99",)]
    for words in (["sql", "FROM faces"], ["curate", *RECIPE], ["split", "pin", "ffpp/f2f_val"]):
        refused(own, *words, says=("schema version 99", "update deepshard"))


def test_a_checkpoint_that_is_not_there(pinned):
    refused(pinned, "predict", "--checkpoint", "frist", f"{CELEB}/YouTube-real/00000.mp4", says=("frist",))


def test_no_results_yet(pinned):
    refused(pinned, "results", says=("predictions",))


def test_no_store_to_verify(empty):
    refused(empty, "verify", says=("store/shards", "deepshard curate"))
