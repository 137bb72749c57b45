"""pyarrow without pandas, which it imports at the first array it makes wherever it finds it.

That takes longer than most commands: a third of the time of `deepshard sql`. Nothing here uses pandas, and pyarrow asks
for it once, so it is answered before it matters. Given up: `to_pandas` in such a process.
"""

import sys
from typing import Any

import pyarrow as pa


class _Absent:
    """Says of pandas alone that it is not there."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def without_pandas() -> None:
    """Have pyarrow ask for pandas now, in vain. For processes of ours, as they begin; `import pandas` still works."""
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _Absent)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(_Absent)
