"""The pages as a person uses them, in a real Chromium: what is typed and clicked, and what is then to be seen.

Screenshots of every page at two widths and in both themes are kept (DEEPSHARD_SHOTS names the folder). What a script
can judge of them is judged: nothing overlaps, nothing is cut, text can be read.
"""

from pathlib import Path
from urllib.parse import quote

import pytest

from queries.pinned import list_pinned
from tests.browse.conftest import EVIL

# every part of the page has come, every picture that is to be seen too
THERE = (
    "[...document.querySelectorAll('[data-ask]')].every((part) => part.dataset.done) && [...document.images]"
    ".filter((image) => image.checkVisibility({contentVisibilityAuto: true}))"
    ".filter((image) => image.getBoundingClientRect().top < innerHeight)"
    ".every((image) => image.complete && image.naturalWidth)"
)
CARDS = "[...document.querySelectorAll('#answer .card img')].filter((image) => image.naturalWidth).length"
PAIR = "ffpp/Face2Face/c23/054_071"  # a fake whose original is in the demo


@pytest.fixture
def tab(browser, site):
    """A page of its own; at the end no error was told and nothing was asked of anybody else."""
    found = browser.tab()
    yield found
    assert not found.faults
    elsewhere = [url for url in found.requests if not url.startswith((site.url + "/", "about:"))]
    assert not elsewhere and len(found.requests) > 3


def test_a_typed_query_shows_faces_one_opens_with_its_pair_and_the_next_by_a_key(tab, site):
    tab.open(site.url + "/")
    tab.wait(f"{CARDS} >= 7")
    tab.type("#sql", f"SELECT sample_id, sharpness FROM faces WHERE video_id = '{PAIR}' ORDER BY frame_index")
    tab.click("#query button[type=submit]")
    tab.wait(f"location.search.startsWith('?sql=') && {CARDS} === 6")
    tab.wait("document.querySelector('#totals').innerText.replace(/\\s+/g, ' ').includes('6 faces')")
    tab.click("#answer .card")
    tab.wait("document.querySelector('dialog[open] .strip .now img')?.naturalWidth")
    assert "Original at the same frame" in tab.ask("document.querySelector('dialog').innerText")
    assert tab.ask("document.querySelector('dialog .pair .card.real').title").endswith("/000000-0")
    assert "ffpp/original/c23/054" in tab.ask("document.querySelector('dialog .pair .card.real').title")
    assert tab.ask("document.querySelectorAll('dialog .strip .cell').length") == 6
    assert not tab.ask("document.querySelector('.landmarks').getClientRects().length")
    tab.click("dialog .show-landmarks")
    tab.wait("document.querySelector('.landmarks').getClientRects().length")
    tab.click("dialog .show-mask")
    tab.wait("document.querySelector('.overmask').getBoundingClientRect().width > 100")
    first = tab.ask("document.querySelector('dialog article').dataset.id")
    tab.press("ArrowRight")
    tab.wait(f"document.querySelector('dialog article')?.dataset.id > '{first}'")
    tab.click("dialog .pair .card.real")
    tab.wait(
        "document.querySelector('dialog h3 ~ *') && document.querySelector('dialog h2').innerText.includes('real')"
    )
    tab.wait("document.querySelector('dialog').innerText.includes('Forgeries of this frame')")
    tab.press("Escape")
    tab.wait("!document.querySelector('dialog').open")


def test_filters_show_their_sql_and_scrolling_fetches_pages(tab, site):
    tab.open(site.url + "/")
    tab.wait(f"{CARDS} >= 7")
    assert tab.ask("document.querySelectorAll('#answer .card').length") == 60
    tab.wait("(scrollTo(0, document.body.scrollHeight), document.querySelectorAll('#answer .card').length >= 120)")
    tab.click("#filters input[name=method][value=Face2Face]")
    tab.wait("location.search === '?method=Face2Face'")
    tab.wait("document.querySelector('#sql').value.includes(\"WHERE method = 'Face2Face'\")")
    tab.wait("document.querySelectorAll('#answer .card.fake').length && !document.querySelector('#answer .card.real')")
    tab.click("[aria-controls=counts]")
    tab.wait("document.querySelectorAll('#counts .chart').length === 6")
    assert tab.ask("document.querySelector('#answer').hidden")


def test_a_query_that_fails_says_why_and_where(tab, site):
    wrong = quote("SELECT sample_id\nFROM faces WHERE WHERE")
    tab.open(f"{site.url}/?sql={wrong}")
    tab.wait("document.querySelector('#answer [role=alert]')?.innerText.includes('WHERE')")
    assert tab.ask("document.querySelector('#answer [role=alert]').innerText").startswith("Line 2")


def test_what_is_looked_at_becomes_a_split_with_its_lints(tab, site):
    store = site.place.folder / "store"
    before = len(list_pinned(store))
    tab.open(f"{site.url}/?method=Face2Face&quality=c23")
    tab.wait(f"{CARDS} >= 7")
    tab.click("#tosave")
    tab.type("#save input[name=name]", "looked_at")
    tab.type("#save input[name=title]", "Face2Face\n-- param x: 1")
    tab.click("#save button")
    tab.wait("document.querySelector('#savedas .done a')")
    assert "there is only one class" in tab.ask("document.querySelector('#savedas').innerText")
    text = (site.place.folder / "looked_at.sql").read_text()
    assert text.startswith("-- Face2Face") and "\n-- param" not in text and "the filters method Face2Face" in text
    assert len(list_pinned(store)) == before + 1
    tab.click("#savedas .done a")
    tab.wait("document.querySelector('.finding')")
    tab.wait("[...document.querySelectorAll('.lint.warning')].some((it) => it.innerText.includes('only one class'))")
    tab.wait(THERE)
    # again under the same name: refused, and the file is as it was
    tab.open(f"{site.url}/?method=FaceSwap")
    tab.click("#tosave")
    tab.type("#save input[name=name]", "looked_at")
    tab.click("#save button")
    tab.wait("document.querySelector('#savedas [role=alert]')?.innerText.includes('choose another name')")
    assert (site.place.folder / "looked_at.sql").read_text() == text


def test_lints_and_overlaps_show_the_faces_that_they_are_about(tab, site):
    tab.open(f"{site.url}/overlap?a=f2f_train&b=fs_i")
    tab.wait("document.querySelectorAll('.finding .lint.error').length")
    tab.wait("[...document.querySelectorAll('.finding .card img')].some((image) => image.naturalWidth)")
    tab.click(".finding .card")
    tab.wait("document.querySelector('dialog[open] .strip')")


def test_a_run_shows_its_curves_and_mistakes(tab, site):
    tab.open(f"{site.url}/run?id=first")
    tab.wait(THERE)
    assert tab.ask("document.querySelectorAll('svg.roc').length") == 2
    assert tab.ask("document.querySelectorAll('a.card .score').length") > 0
    assert "deepshard explain heatmaps first" in tab.ask("document.body.innerText")


def test_html_in_names_is_shown_and_never_run(tab, site):
    where = "SELECT sample_id, name, target_id FROM faces WHERE video_id = 'ffpp/Face2Face/c23/953_974'"
    tab.open(f"{site.url}/?sql={quote(where)}")
    tab.wait(THERE)
    tab.click("[aria-controls=counts]")
    tab.wait("document.querySelector('#counts .bars')")
    tab.click("[aria-controls=answer]")
    tab.click("#answer .card")
    tab.wait("document.querySelector('dialog[open] .strip .now img')?.naturalWidth")
    assert EVIL in tab.ask("document.querySelector('dialog .facts').innerText")
    tab.open(f"{site.url}/?identity={quote(EVIL)}")
    tab.wait(f"{CARDS} === 6")
    names = quote("SELECT name FROM videos ORDER BY name")
    tab.open(f"{site.url}/?sql={names}")
    tab.wait(THERE)
    assert EVIL in tab.ask("document.querySelector('#answer').innerText")
    assert tab.ask("document.title") == "Faces · deepshard"
    assert not tab.ask("document.querySelector('img[src=x]')")


def test_the_theme_is_the_systems_until_one_is_chosen(tab, site):
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    tab.open(site.url + "/splits")
    light = tab.ask(ground)
    tab.look(1280, 900, dark=True)
    dark = tab.ask(ground)
    assert dark != light
    tab.click("#theme")
    assert tab.ask(ground) == light
    tab.open(site.url + "/runs")
    assert tab.ask(ground) == light


VIEWS = {
    "faces": ("/", ()),
    "distributions": ("/", ("[aria-controls=counts]",)),
    "face": ("/?method=Face2Face&quality=c23&run=first&order=lowest%20score", ("#answer .card",)),
    "rows": (
        "/?sql=SELECT%20dataset%2C%20method%2C%20count%28%2A%29%20AS%20faces%20FROM%20faces%20GROUP%20BY%20ALL",
        (),
    ),
    "splits": ("/splits", ()),
    "split": ("/split?ref=fs_i", ()),
    "overlap": ("/overlap?a=f2f_train&b=fs_i", ()),
    "runs": ("/runs", ()),
    "run": ("/run?id=first", ()),
}
JUDGED = Path(__file__).with_name("judge.js").read_text()


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_overlaps_is_cut_or_hard_to_read(tab, site, shots, view):
    address, clicks = VIEWS[view]
    tab.open(site.url + address)
    tab.wait(THERE)
    for selector in clicks:
        tab.click(selector)
    if view == "face":
        tab.wait("document.querySelector('dialog[open] .strip .now img')?.naturalWidth")
    faults = {}
    for width, height in ((1280, 900), (1920, 1080)):
        for dark in (False, True):
            tab.look(width, height, dark)
            tab.wait(THERE)
            name = f"{view}-{width}-{'dark' if dark else 'light'}"
            tab.shoot(shots / f"{name}.png")
            if found := tab.ask(JUDGED):
                faults[name] = found
    assert not faults
