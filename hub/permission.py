"""What must not leave: each source carries a licence and whether its faces may be passed on.

To a public repository goes only what may be passed on. To a private one the rest goes when somebody says so in words,
because a private repository can be opened later by a click. What nobody knows anything of may not be passed on.
"""

from typing import Any

import pyarrow.compute as pc

from hub.errors import Forbidden
from hub.selection import Selection


def withheld(selection: Selection) -> list[str]:
    """The sources that may not be passed on, each with its licence, by name."""
    names = sorted(pc.unique(selection.videos["source"]).to_pylist())
    return [_named(name, selection.sources.get(name)) for name in names if not _may(selection.sources.get(name))]


def check(selection: Selection, repository: str, public: bool, said_so: bool) -> None:
    """Raises Forbidden, with the names of the sources, unless these faces may go to this repository."""
    named = withheld(selection)
    if not named:
        return
    if public:
        raise Forbidden(
            f"{repository} is public, and these sources may not be passed on: {'; '.join(named)}. Push to a private "
            "repository, or choose other faces with --split or --where"
        )
    if not said_so:
        raise Forbidden(
            f"these sources may not be passed on: {'; '.join(named)}. {repository} is private, but whoever is let in "
            "gets their faces, and it can be made public later. If your agreement with them allows that copy, say so: "
            "the same command with --yes-i-may"
        )


def _may(source: dict[str, Any] | None) -> bool:
    return bool(source and source["redistributable"])


def _named(name: str, source: dict[str, Any] | None) -> str:
    if source is None:
        return f"{name} (nothing is known of it: its scan is gone)"
    return f"{name} ({source['licence'] or 'licence unknown'})"
