"""The errors of this room and the wording they share: what was wrong, where, and what to write instead.

An error here is about the user's files or the user's words; the command line prints it as one line and stops.
Anything else that is raised is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class SourceError(ValueError):
    """A source cannot be read as it was described; the message says what to do next."""

    deepshard_error = True


class LayoutError(SourceError):
    """A folder does not look like the dataset that was asked for.

    ``looked_for`` and ``found`` are phrases; they stay apart so that whoever knows all adapters can add which of
    them does recognise the folder.
    """

    def __init__(self, adapter: str, root: object, looked_for: str, found: str, hint: str = ""):
        self.adapter, self.root, self.looked_for, self.found = adapter, root, looked_for, found
        message = f"{root} does not look like {adapter}: looked for {looked_for}; found {found}."
        super().__init__(f"{message} {hint}" if hint else message)


def few(names: Iterable[str], limit: int = 5) -> str:
    """``a, b, c and 12 more``; names that hold blanks, quotes or control characters are shown quoted."""
    names = list(names)
    shown = ", ".join(
        name if name.isprintable() and not set(name) & set(" '\",") else repr(name) for name in names[:limit]
    )
    rest = len(names) - limit
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`` Did you mean "x"?`` with a leading blank, or nothing where no allowed word is near."""
    near = difflib.get_close_matches(str(word), list(allowed), n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""


def check_known(words: Iterable[object], allowed: Iterable[str], what: str) -> None:
    """Raise SourceError for the first of ``words`` that is not allowed, with the near match and all allowed ones.

    ``what`` says what the words are: "layout", "rule 2: key".
    """
    allowed = list(allowed)
    for word in words:
        if word not in allowed:
            hint = did_you_mean(str(word), allowed)
            raise SourceError(f'{what} "{word}" is not known.{hint} Allowed: {", ".join(allowed)}.')
