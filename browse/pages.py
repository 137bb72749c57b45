"""Templates to HTML. Everything that is put into one is escaped, unless charts.py made it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from browse import charts
from browse.gallery import cell


@cache
def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("browse"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"n": "{:,}".format, "cell": cell, "figure": _figure, "histogram": charts.histogram}
    found.globals |= {"share": charts.share, "curve": charts.curve}
    return found


def render(template: str, picture: Callable[[Any], str | None] | None = None, **facts: Any) -> str:
    """``picture``: the address of a Member, or None where it cannot be had; by default that of the server."""
    address = picture or (lambda member: member.address)
    return _environment().get_template(template).render(picture=address, report=picture is not None, **facts)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def safe(markup: str) -> Markup:
    """Markup of our own, made by `render` or lying in this package."""
    return Markup(markup)
