"""Globs and templates: how a description speaks of paths.

A glob is matched against a whole relative path. ``*`` and ``?`` stay within one name, ``**`` stands for any number of
folders, ``[ab]`` for one of some characters; as in a shell none of them matches a dot that begins a name. A template is
text with ``{name}`` in it. Both are strict: what other tools understand differently is refused rather than guessed.
"""

import re
from collections.abc import Mapping

from curation.sources.error import SourceError, did_you_mean

_NAME = r"(?!\.)[^/]+"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def compile_glob(glob: str) -> re.Pattern[str]:
    """The regular expression of a glob, to be used with ``fullmatch`` on a relative path with ``/``.

    ``**`` must stand alone between slashes: ``a/**`` is everything below ``a``, ``**/x.mp4`` any ``x.mp4``. Raises
    SourceError for an empty or absolute glob, a trailing slash, ``..``, braces and an unclosed bracket.
    """
    parts = glob.split("/")
    if not glob or glob.startswith("/"):
        raise SourceError(f'glob "{glob}": give a path relative to the root, like "fake/**/*.mp4".')
    if parts[-1] == "":
        raise SourceError(f'glob "{glob}" names a folder: write "{glob}**" for everything in it.')
    if {"..", "."} & set(parts):
        raise SourceError(f'glob "{glob}": paths are relative to the root, without "." and "..".')
    pattern = ""
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if part == "**":
            pattern += f"(?:{_NAME}/)*{_NAME if last else ''}"
        elif not part:
            raise SourceError(f'glob "{glob}": // is no path.')
        elif "**" in part:
            raise SourceError(f'glob "{glob}": ** must stand alone between slashes, like "fake/**/*.mp4".')
        else:
            pattern += _component(part, glob) + ("" if last else "/")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise SourceError(f'glob "{glob}": {error}.') from error


def _component(part: str, glob: str) -> str:
    pattern, position = "(?!\\.)" if part[0] in "*?[" else "", 0
    while position < len(part):
        char = part[position]
        position += 1
        if char == "*":
            pattern += "[^/]*"
        elif char == "?":
            pattern += "[^/]"
        elif char == "[":
            end = part.find("]", position + 1 + (part[position : position + 1] == "!"))
            if end < 0:
                raise SourceError(f'glob "{glob}": [ is not closed (for a bracket in a name write [[]).')
            negated = part[position] == "!"
            inner = part[position + negated : end].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            pattern += f"[{'^/' if negated else ''}{inner}]"
            position = end + 1
        elif char in "{}":
            raise SourceError(f'glob "{glob}": there are no braces in globs, write a list of globs.')
        else:
            pattern += re.escape(char)
    return pattern


def placeholders(template: str) -> list[str]:
    """The names in braces: ``["stem"]`` for ``masks/{stem}.png``. Other braces are plain text."""
    return _PLACEHOLDER.findall(template)


def check_template(template: str, known: set[str], where: str) -> None:
    """SourceError where a template uses a name that nothing can fill."""
    for name in placeholders(template):
        if name not in known:
            raise SourceError(
                f"{where}: nothing gives {{{name}}} of {template!r}.{did_you_mean(name, known)} "
                f"Known: {', '.join(sorted(known))}."
            )


def expand(template: str, values: Mapping[str, str]) -> str:
    """The template with its names filled in. Raises KeyError for a name without a value."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)
