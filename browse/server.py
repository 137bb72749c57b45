"""The server of `deepshard browse`: addresses, and which page answers them.

Plain HTML over aiohttp rather than a framework of widgets: every picture is a byte range, a page needs no state but its
address, and nothing is fetched from elsewhere. Questions are asked in threads, few at a time, so that pictures keep
coming while a query runs.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from aiohttp import web

from browse import counts, faces, filters, gallery, guard, pages, pictures, runs, save, splits
from browse.filters import Filters
from browse.place import BrowseError, Place
from queries.errors import QueryError
from queries.sandbox import Children
from shards.errors import ReadError, ShardError

_AT_ONCE = 2  # questions; each may take the memory of the place's limits
_LONGEST = 1 << 16  # bytes of an address: queries are part of it
_KEPT = "private, max-age=604800, immutable"  # a picture's address holds its checksum
_STATIC = Path(__file__).parent / "static"
_MENDED = (QueryError, ShardError, BrowseError)

PLACE = web.AppKey("place", Place)
_TURN = web.AppKey("turn", asyncio.Semaphore)
_T = TypeVar("_T")


def application(place: Place, watch: guard.Guard) -> web.Application:
    """The pages of one place."""
    app = web.Application(middlewares=[guard.middleware(watch)], client_max_size=1 << 20)
    app[PLACE], app[_TURN] = place, asyncio.Semaphore(_AT_ONCE)
    app.add_routes(
        [
            web.get("/", start),
            web.get("/answer", answer),
            web.get("/counts", counted),
            web.get("/face", face),
            web.get("/picture/{shard}/{place}", picture),
            web.post("/save", saved),
            web.get("/splits", split_list),
            web.get("/split", split),
            web.get("/split/faces", split_faces),
            web.get("/split/counts", split_counts),
            web.get("/overlap", overlap),
            web.get("/overlap/found", overlap_found),
            web.get("/runs", run_list),
            web.get("/run", run),
            web.get("/run/scores", run_scores),
            web.get("/run/mistakes", run_mistakes),
            web.get("/heat-map", heat_map),
            web.get("/static/{name}", static),
        ]
    )
    return app


async def serve(place: Place, host: str, port: int, watch: guard.Guard, ready: Callable[[str], None]) -> None:
    """Serves until it is cancelled; ``ready`` is given the address to open. Raises BrowseError: cannot be bound."""
    with Children(_AT_ONCE) as children:
        await _serve(application(replace(place, children=children), watch), host, port, watch.token, ready)


async def _serve(app: web.Application, host: str, port: int, token: str | None, ready: Callable[[str], None]) -> None:
    runner = web.AppRunner(app, max_line_size=_LONGEST, handler_cancellation=True, access_log=None)
    await runner.setup()
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family)
        except OSError as error:
            raise BrowseError(
                f"{host} port {port} cannot be listened on ({error.strerror}): name another --port"
            ) from None
        await web.SockSite(runner, listening).start()
        ready(_address(host, listening.getsockname()[1], token))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _address(host: str, port: int, token: str | None) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


async def _asked(request: web.Request, question: Callable[..., _T], *words: Any) -> _T:
    """The answer to a question that may take long, when it is its turn."""
    async with request.app[_TURN]:
        return await asyncio.to_thread(question, request.app[PLACE], *words)


def _page(template: str, status: int = 200, **facts: Any) -> web.Response:
    return web.Response(text=pages.render(template, **facts), content_type="text/html", status=status)


def _refused(request: web.Request, error: Exception) -> web.Response:
    """A mendable error as a part of a page."""
    message = request.app[PLACE].plain(str(error))
    return _page("error.html", message=message, line=getattr(error, "line", None))


def _missed(request: web.Request, error: Exception) -> web.Response:
    """A mendable error as a page."""
    return _page("problem.html", 404, message=request.app[PLACE].plain(str(error)))


def _offset(request: web.Request) -> int:
    text = request.query.get("offset", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _aside(place: Place, question: Callable[..., _T], *words: Any) -> _T:
    return save.aside(question, place.catalog, place.store, *words)


def _query(request: web.Request) -> tuple[str, Filters | None]:
    """The SQL that an address asks for, its own or its filters'. Raises BrowseError, PinnedError."""
    if sql := request.query.get("sql", "").strip():
        return sql, None
    chosen = Filters.read([(name, value) for name, value in request.query.items() if name not in ("sql", "offset")])
    return chosen.sql(_card(request, chosen)), chosen


def _card(request: web.Request, chosen: Filters) -> dict[str, Any] | None:
    from queries import manifest
    from queries.pinned import find_pinned

    return manifest.read_card(find_pinned(request.app[PLACE].store, chosen.split))[0] if chosen.split else None


async def start(request: web.Request) -> web.Response:
    """The faces' page: filters, SQL box, and room for the answer, which the page asks for itself."""
    place, error, sql, chosen = request.app[PLACE], None, "", None
    try:
        options = await asyncio.to_thread(filters.options, place)
    except _MENDED as raised:
        options, error = filters.NOTHING, raised
    try:
        sql, chosen = _query(request)
    except _MENDED as raised:
        error = raised
    facts = {"options": options, "orders": filters.ORDERS, "chosen": chosen or Filters(), "own": chosen is None}
    said = None if error is None else place.plain(str(error))
    return _page("faces.html", sql=sql, error=said, about=chosen.words() if chosen else "", **facts)


async def answer(request: web.Request) -> web.Response:
    """A page of the answer, as a part of the page."""
    try:
        sql, chosen = _query(request)
        if chosen is not None:
            found = await _asked(request, gallery.page_of_filters, chosen, _card(request, chosen), _offset(request))
        else:
            found = await _asked(request, gallery.page, sql, _offset(request))
    except _MENDED as error:
        return _refused(request, error)
    return _page("answer.html", page=found)


async def counted(request: web.Request) -> web.Response:
    """Counts and distributions of the answer, as a part of the page."""
    try:
        sql, chosen = _query(request)
        if chosen is not None:
            relation = chosen.sql(_card(request, chosen), ", ".join(counts.NEEDED), ordered=False)
            found = await _asked(request, counts.counts_of_filters, relation)
        else:
            found = await _asked(request, counts.counts, sql)
    except _MENDED as error:
        return _refused(request, error)
    return _page("counts.html", counts=found)


async def face(request: web.Request) -> web.Response:
    """One face: a part of the page, or with ``whole`` a page."""
    try:
        found = await asyncio.to_thread(faces.whole, request.app[PLACE], request.query.get("id", ""))
    except _MENDED as error:
        return _refused(request, error) if "part" in request.query else _missed(request, error)
    return _page("face.html" if "part" in request.query else "face_page.html", whole=found)


async def picture(request: web.Request) -> web.Response:
    """The stored bytes of a face or mask."""
    member = pictures.at(request.match_info["shard"], request.match_info["place"])
    if member is None:
        raise web.HTTPNotFound(reason="no such picture")
    tag = f'"{member.xxh3:016x}"'
    headers = {"ETag": tag, "Cache-Control": _KEPT}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    try:
        data = await asyncio.to_thread(pictures.read, request.app[PLACE].shards, member)
    except ReadError as error:
        return web.Response(status=404, text=request.app[PLACE].plain(f"{error}\n"))
    return web.Response(body=data, content_type=pictures.TYPES[member.extension], headers=headers)


async def saved(request: web.Request) -> web.Response:
    """Save a query as a split and pin it; a part of the page that says what became of it."""
    form = await request.post()
    words = [str(form.get(name, "")) for name in ("name", "title", "sql", "about")]
    try:
        found = await _asked(request, save.save, *words)
    except _MENDED as error:
        return _refused(request, error)
    return _page("saved.html", pinned=found.pinned, file=found.file)


async def split_list(request: web.Request) -> web.Response:
    """All pinned splits."""
    found, error = [], None
    try:
        found = await asyncio.to_thread(splits.listed, request.app[PLACE])
    except _MENDED as raised:
        error = request.app[PLACE].plain(str(raised))
    return _page("splits.html", splits=found, error=error, ref_of=splits.ref_of)


async def split(request: web.Request) -> web.Response:
    """One pinned split."""
    try:
        found = await asyncio.to_thread(splits.split, request.app[PLACE], request.query.get("ref", ""))
    except _MENDED as error:
        return _missed(request, error)
    return _page("split.html", split=found)


async def split_faces(request: web.Request) -> web.Response:
    """A page of a split's faces, as a part of the page."""
    try:
        found = await asyncio.to_thread(
            splits.members, request.app[PLACE], request.query.get("ref", ""), _offset(request)
        )
    except _MENDED as error:
        return _refused(request, error)
    return _page("answer.html", page=found)


async def split_counts(request: web.Request) -> web.Response:
    """Distributions of a split, as a part of the page."""
    try:
        found = await _asked(request, _aside, counts.counts_of_split, request.query.get("ref", ""))
    except _MENDED as error:
        return _refused(request, error)
    return _page("counts.html", counts=found)


async def overlap(request: web.Request) -> web.Response:
    """What two splits have in common; the page asks for it itself."""
    return _page("overlap.html", a=request.query.get("a", ""), b=request.query.get("b", ""))


async def overlap_found(request: web.Request) -> web.Response:
    """The findings, as a part of the page."""
    try:
        found = await _asked(request, splits.overlap, request.query.get("a", ""), request.query.get("b", ""))
    except _MENDED as error:
        return _refused(request, error)
    return _page("findings.html", findings=found)


async def run_list(request: web.Request) -> web.Response:
    """All runs."""
    found, error = [], None
    try:
        found = await asyncio.to_thread(runs.listed, request.app[PLACE])
    except _MENDED as raised:
        error = request.app[PLACE].plain(str(raised))
    return _page("runs.html", runs=found, error=error)


async def run(request: web.Request) -> web.Response:
    """One run."""
    try:
        found = await asyncio.to_thread(runs.run, request.app[PLACE], request.query.get("id", ""))
    except _MENDED as error:
        return _missed(request, error)
    return _page("run.html", run=found, heat_map=lambda file: f"/heat-map?file={quote(file)}")


async def run_scores(request: web.Request) -> web.Response:
    """ROC curves and histograms of a run, as a part of the page."""
    try:
        found = await _asked(request, runs.scores, request.query.get("id", ""))
    except _MENDED as error:
        return _refused(request, error)
    return _page("scores.html", scores=found)


async def run_mistakes(request: web.Request) -> web.Response:
    """Mistakes of a run as faces, as a part of the page."""
    name = request.query.get("id", "")
    try:
        found = await _asked(request, runs.mistakes, name)
    except _MENDED as error:
        return _refused(request, error)
    queries = {word: runs.mistakes_sql(name, label) for label, word in enumerate(("real", "fake"))}
    return _page("mistakes.html", mistakes=found, queries=queries)


async def heat_map(request: web.Request) -> web.Response:
    """A picture that `deepshard explain` made."""
    try:
        file = runs.heat_map_file(request.app[PLACE], request.query.get("file", ""))
    except BrowseError as error:
        raise web.HTTPNotFound(reason=str(error)) from None
    return web.Response(body=await asyncio.to_thread(file.read_bytes), content_type="image/png")


async def static(request: web.Request) -> web.StreamResponse:
    """Style, script and icon, which come with the package."""
    known = {
        "style.css": "text/css",
        "page.js": "text/javascript",
        "theme.js": "text/javascript",
        "icon.svg": "image/svg+xml",
    }
    name = request.match_info["name"]
    if name not in known:
        raise web.HTTPNotFound(reason="no such file")
    body = (_STATIC / name).read_bytes()
    return web.Response(body=body, content_type=known[name], charset="utf-8", headers={"Cache-Control": "no-cache"})
