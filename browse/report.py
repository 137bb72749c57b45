"""A split's or a run's page as one HTML file to send to somebody: pictures inside, no script, nothing to be fetched.

It is bounded: so many faces of each kind, each as a JPEG of at most 256 pixels, and no further picture once the file
has its size. What was left out is said in it.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from browse import counts, pages, pictures, runs, splits
from browse.pictures import Member
from browse.place import Place
from browse.save import aside
from queries.errors import PinnedError
from queries.whole import whole_file
from shards.errors import ReadError

FACES = 120  # of a split
_BYTES = 16 << 20  # of pictures


@dataclass
class _Pictures:
    """Pictures as data URIs until there are enough of them."""

    place: Place
    used: int = 0
    left_out: int = 0
    lost: int = 0

    def member(self, member: Member) -> str | None:
        try:
            found = pictures.inline(self.place.shards, member)
        except ReadError:
            self.lost += 1
            return None
        return self._room_for(found)

    def heat_map(self, name: str) -> str | None:
        data = runs.heat_map_file(self.place, name).read_bytes()
        return self._room_for(f"data:image/png;base64,{base64.b64encode(data).decode()}")

    def _room_for(self, address: str) -> str | None:
        if self.used + len(address) > _BYTES:
            self.left_out += 1
            return None
        self.used += len(address)
        return address


def report(place: Place, name: str, out: Path | None = None) -> Path:
    """Write NAME.html, of the pinned split or the run of that name, and return where. A run is meant where both fit.

    Raises PinnedError for neither, SqlError, CatalogError, CatalogBusy.
    """
    shown = _Pictures(place)
    with place.look() as db:
        known = db.execute("SELECT count(*) FROM runs WHERE run_id = ?", [name]).fetchall()[0][0]
    if known:
        text, title = _run(place, name, shown), name
    else:
        try:
            found = splits.split(place, name)
        except PinnedError as error:
            raise PinnedError(f"there is no run {name} in the catalog, and as a split: {error}") from None
        text, title = _split(place, found, shown), found.ref
    style = Path(__file__).with_name("static").joinpath("style.css").read_text(encoding="utf-8")
    path = out or Path(f"{title}.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    page = pages.render(
        "report.html",
        title=title,
        body=pages.safe(text),
        style=pages.safe(style),
        left_out=shown.left_out,
        lost=shown.lost,
    )
    with whole_file(path) as file:
        file.write(page.encode())
    return path


def _split(place: Place, found: splits.OneSplit, shown: _Pictures) -> str:
    render = _renderer(shown)
    members = splits.members(place, found.ref, size=FACES)
    return (
        render("split_body.html", split=found)
        + "<h2>Distributions</h2>"
        + render("counts.html", counts=aside(counts.counts_of_split, place.catalog, place.store, found.ref))
        + f"<h2>Faces: {len(members.rows):,} of {found.shown.listed.faces:,}</h2>"
        + render("answer.html", page=members)
    )


def _run(place: Place, name: str, shown: _Pictures) -> str:
    render = _renderer(shown)
    found = runs.run(place, name)
    return (
        render("run_body.html", run=found)
        + "<h2>Scores</h2>"
        + render("scores.html", scores=runs.scores(place, name))
        + "<h2>The mistakes it is surest of</h2>"
        + render("mistakes.html", mistakes=runs.mistakes(place, name), queries={})
        + "<h2>Heat maps</h2>"
        + render("heat_maps.html", run=found, heat_map=shown.heat_map)
    )


def _renderer(shown: _Pictures) -> Callable[..., str]:
    def render(template: str, **facts: object) -> str:
        return pages.render(template, shown.member, **facts)

    return render
