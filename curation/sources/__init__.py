"""Adapters: one file per family of datasets, each turning a folder on disk into rows of videos.

A new dataset is one module with ``NAME``, ``open_source(root, **options)`` and ``recognise(root)``, entered in
``ADAPTERS``. An adapter says what it looked for and what it found; who else recognises the folder is said here.
"""

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from curation.sources import (
    celeba,
    celebdf,
    deeperforensics,
    df40,
    dfd,
    dfdc,
    dfdcp,
    faceforensics,
    fakeavceleb,
    ffhq,
    ffiw,
    folder,
    lfw,
    uadfv,
    wilddeepfake,
)
from curation.sources.error import LayoutError, SourceError, check_known
from curation.sources.remote import Place, place_of
from curation.sources.source import CompletenessRow, Source, read_source, write_source
from curation.sources.video import Video, to_table

__all__ = [
    "ADAPTERS",
    "CompletenessRow",
    "LayoutError",
    "Source",
    "SourceError",
    "Video",
    "nearest",
    "open_source",
    "read_source",
    "to_table",
    "write_source",
]

ADAPTERS: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        faceforensics,
        dfd,
        celebdf,
        dfdc,
        dfdcp,
        deeperforensics,
        wilddeepfake,
        fakeavceleb,
        df40,
        uadfv,
        ffiw,
        ffhq,
        celeba,
        lfw,
        folder,
    )
}

_NEIGHBOURS = 200  # folders beside and below a wrong root that are looked into for the error's hint


def open_source(adapter: str, root: str | Place | None = None, **options: Any) -> Source:
    """Read the dataset in ``root``, a folder or an address, with the adapter of that name.

    Options are the keyword arguments of the adapter's own ``open_source``; all take ``name``, the source's name. Raises
    SourceError for an unknown adapter or option and for whatever the adapter finds wrong; a LayoutError also says which
    adapter recognises the folder, or one near it.
    """
    check_known([adapter], ADAPTERS, "adapter")
    module = ADAPTERS[adapter]
    parameters = inspect.signature(module.open_source).parameters
    check_known(options, [name for name in parameters if name != "root"], f"{adapter}: option")
    if root is None and parameters["root"].default is inspect.Parameter.empty:
        raise SourceError(f"{adapter}: give the folder that holds the dataset.")
    try:
        return module.open_source(root, **options)
    except LayoutError as error:
        hint = nearest(place_of(root))
        if hint is None:
            raise
        raise LayoutError(error.adapter, error.root, error.looked_for, error.found, hint) from error
    except OSError as error:
        raise SourceError(f"{root}: {error.filename} cannot be read ({error.strerror}).") from error


def nearest(root: Place) -> str | None:
    """Which adapter recognises ``root``, else its parents, else the folders in it: a sentence, or None.

    An address is looked at alone.
    """
    resolved, beside = root, []
    if isinstance(root, Path):
        resolved = root.expanduser().resolve()
        below = [child for child in sorted(resolved.iterdir())[:_NEIGHBOURS] if child.is_dir()]
        beside = [*list(resolved.parents)[:3], *below]
    for candidate in (resolved, *beside):
        scores = [(*_recognise(module, candidate), name) for name, module in ADAPTERS.items() if name != folder.NAME]
        score, reason, name = max(scores)
        if score > 0:
            return f"`deepshard scan {name} {candidate}` would read it ({reason})."
    score, reason = folder.recognise(resolved)
    if score > 0:
        return f"No adapter knows this layout ({reason}): describe it in a YAML file for `deepshard scan folder`."
    return None


def _recognise(module: ModuleType, candidate: Place) -> tuple[float, str]:
    try:
        return module.recognise(candidate)
    except (SourceError, OSError):  # a neighbour that cannot be read must not hide what is wrong with the root
        return 0.0, ""
