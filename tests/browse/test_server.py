"""The server's answers and refusals, over HTTP, from a server that a user started."""

import re
import socket
from urllib.parse import quote

import pytest

from browse import guard
from commands import browsing
from commands.words import UsageError
from queries.catalog import connect_read, connect_write
from tests.browse.conftest import EVIL, serving

PAGES = ["/", "/splits", "/split?ref=f2f_train", "/overlap?a=f2f_val&b=f2f_test", "/runs", "/run?id=first"]
PARTS = [
    "/answer", "/counts", "/split/faces?ref=f2f_test", "/split/counts?ref=f2f_test",
    "/overlap/found?a=f2f_train&b=fs_i", "/run/scores?id=first", "/run/mistakes?id=first",
    "/answer?sql=FROM%20attempts", "/answer?sql=nonsense",
]  # fmt: skip


def ids(text: str) -> list[str]:
    return re.findall(r'class="card \w+[^"]*" href="/face\?id=([^"]+)"', text)


@pytest.mark.parametrize("path", PAGES)
def test_pages_answer_with_headers_that_forbid_what_they_do_not_need(site, path):
    answer = site.ask(path)
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script(?! src=\"/static/)|\son\w+=|\sstyle=|https?://", answer.text)


@pytest.mark.parametrize("path", PAGES + PARTS)
def test_no_page_tells_a_folder_of_this_machine(site, path):
    text = site.ask(path).text
    assert "Traceback" not in text and "Server got itself in trouble" not in text
    assert str(site.place.folder.parent) not in text


def test_a_face_tells_all_and_no_folder(site):
    (one, *_) = ids(site.ask("/answer?method=Face2Face").text)
    text = site.ask(f"/face?id={one}").text
    assert "Original at the same frame" in text and "predictions" in text.lower() and "<circle" in text
    assert str(site.place.folder.parent) not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "localhost.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/", "/answer?sql=FROM%20faces", "/static/page.js"])
def test_other_names_and_other_sites_are_refused(site, headers, path):
    answer = site.ask(path, **headers)
    assert answer.status in (403, 421)
    assert "sample_id" not in answer.text


def test_the_start_page_may_be_opened_by_a_link_but_no_question_asked_by_one(site):
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert site.ask("/", **link).status == 200
    assert site.ask("/?sql=FROM%20faces", **link).status == 403


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_its_own_names_are_known_with_the_port_of_a_tunnel_too(site, name):
    assert site.ask("/", Host=f"{name}:4711").status == 200
    assert site.ask("/", Host=f"{name}:4711", Origin=f"http://{name}:4711").status == 200


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}], ids=str)
def test_a_change_is_accepted_from_its_own_pages_alone(site, headers):
    body = "name=stolen&sql=SELECT+sample_id+FROM+faces"
    answer = site.ask("/save", "POST", body, Content_Type="application/x-www-form-urlencoded", **headers)
    assert answer.status == 403
    assert not (site.place.folder / "stolen.sql").exists()


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/server.py", "/nothing", "/heat-map?file=../x.png"])
def test_there_is_nothing_else(site, path):
    assert site.ask(path).status == 404


def test_a_picture_is_the_bytes_of_the_shard_and_is_asked_for_once(site):
    address = re.search(r'src="(/picture/[^"]+)"', site.ask("/answer").text)[1]
    shard, place = address.split("/")[2:]
    offset, size = map(int, place.split("-")[:2])
    stored = (site.place.folder / f"store/shards/{shard}.tar").read_bytes()[offset : offset + size]
    answer = site.ask(address)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, stored, "image/png")
    assert "immutable" in answer.headers["Cache-Control"]
    again = site.ask(address, If_None_Match=answer.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


def test_only_members_whose_checksum_is_known_can_be_read(site):
    address = re.search(r'src="(/picture/[^"]+)"', site.ask("/answer").text)[1]
    shard, place = address.split("/")[2:]
    offset, size, checksum = re.match(r"(\d+)-(\d+)-(\w+)", place).groups()
    for wrong in (
        f"/picture/{shard}/{offset}-{size}-{'0' * 16}.png",
        f"/picture/{shard}/{int(offset) + 1}-{size}-{checksum}.png",
        f"/picture/{shard}/0-999999999-{checksum}.png",
        f"/picture/{shard}/{10**14}-{size}-{checksum}.png",
        f"/picture/{quote('../shards/' + shard, safe='')}/{place}",
        f"/picture/..%2f..%2fcatalog/{place}",
        f"/picture/nothing/{place}",
    ):
        answer = site.ask(wrong)
        assert answer.status == 404
        assert str(site.place.folder.parent) not in answer.text


def test_pages_of_an_answer_hold_every_face_once(site):
    with connect_read(site.place.folder / "catalog.duckdb") as db:
        wanted = [row[0] for row in db.execute("SELECT sample_id FROM faces ORDER BY draw_key").fetchall()]
    found, after = [], "0"
    while after is not None:
        text = site.ask(f"/answer?offset={after}").text
        assert len(ids(text)) <= 60
        found += ids(text)
        after = (re.search(r'data-after="(\d+)"', text) or [None, None])[1]
    assert found == [quote(one) for one in wanted] and len(wanted) > 300


@pytest.mark.parametrize(
    "sql",
    [
        "COPY faces TO 'stolen.csv'",
        "SELECT 1; SELECT 2",
        "ATTACH 'other.db'",
        "DELETE FROM samples",
        "SELECT * FROM read_csv('/etc/passwd')",
        "FROM duckdb_settings()",
        "SELECT 1) TO 'stolen.csv' --",
        "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range = b.range + 0.5",
    ],
)
def test_what_is_no_modest_question_is_refused_in_words(site, sql):
    for path in ("/answer", "/counts"):
        answer = site.sql(path, sql)
        assert answer.status == 200 and 'role="alert"' in answer.text, answer.text[:500]
    assert not (site.place.folder / "stolen.csv").exists()


def test_html_in_names_stays_text(site):
    where = "SELECT * FROM faces WHERE video_id = 'ffpp/Face2Face/c23/953_974'"
    (one, *_) = ids(site.sql("/answer", where).text)
    for text in (
        site.sql("/answer", where).text,
        site.sql("/answer", f"{where} OR true").text,
        site.sql("/answer", "SELECT name, target_id FROM videos ORDER BY name").text,
        site.sql("/counts", where).text,
        site.sql("/answer", EVIL).text,
        site.ask(f"/?identity={quote(EVIL)}").text,
        site.ask(f"/?sql={quote(EVIL)}").text,
        site.ask(f"/face?id={one}").text,
        site.ask(f"/face?id={quote(EVIL)}").text,
        site.ask(f"/run?id={quote(EVIL)}").text,
        site.ask(f"/split?ref={quote(EVIL)}").text,
        site.ask(f"/overlap?a={quote(EVIL)}&b=x").text,
    ):
        assert "<img src=x" not in text and "<script>" not in text
    assert "&lt;img src=x" in site.ask(f"/face?id={one}").text


def test_the_catalog_can_be_written_between_two_pages(site):
    assert ids(site.ask("/answer").text)
    with connect_write(site.place.folder / "catalog.duckdb", timeout_s=30) as db:
        db.execute("CREATE TABLE written (x INTEGER)")
        db.execute("DROP TABLE written")
    assert ids(site.ask("/answer").text)


def test_beyond_this_machine_a_token_is_asked_for(shown):
    with serving(shown, "--host", "0.0.0.0") as (site, address):
        token = re.search(r"\?token=([\w-]{30,})$", address)[1]
        assert site.ask("/").status == site.ask("/answer").status == site.ask("/static/page.js").status == 401
        assert site.ask(f"/?token={token[:-1]}").status == site.ask("/", Cookie="deepshard-1=x").status == 401
        assert site.ask("/", Host=f"{socket.gethostname()}:1").status == 401  # its name, without the token
        exchanged = site.ask(f"/?token={token}")
        assert (exchanged.status, exchanged.headers["Location"]) == (303, "/")
        cookie = exchanged.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and token not in cookie
        assert site.ask("/", Cookie=cookie.partition(";")[0]).status == 200
        assert site.ask("/", Cookie=cookie.partition(";")[0], Host="evil.example").status == 421


def test_a_token_can_be_asked_for_on_this_machine_too():
    assert guard.Guard.of("127.0.0.1", [], token=True).token
    assert guard.Guard.of("127.0.0.1", [], token=False).token is None
    assert guard.Guard.of("0.0.0.0", [], token=False).token


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("localhost.evil.example", False), ("", False)],
)  # fmt: skip
def test_what_is_loopback(host, loopback):
    assert guard.is_loopback(host) is loopback


def test_a_missing_package_is_told_with_what_brings_it(monkeypatch):
    monkeypatch.setattr(browsing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"aiohttp and jinja2 .* 'deepshard\[browse\]'"):
        browsing._need()


def test_a_port_that_is_taken_is_told(site):
    done = site.place.run("browse", "--port", site.netloc.rpartition(":")[2])
    assert done.returncode == 2 and "name another --port" in done.stderr
