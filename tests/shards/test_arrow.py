"""Commands do not wait for pandas, and who wants it may have it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from shards.arrow import without_pandas
without_pandas()
import pyarrow as pa
assert pa.array([1, 2]).to_pylist() == [1, 2]
assert pa.table({"a": ["x"]}).to_pydict() == {"a": ["x"]}
assert "pandas" not in sys.modules
import pandas
without_pandas()  # too late, and no harm
assert pandas.DataFrame({"a": [1]}).a[0] == 1
print("done")
"""
COMMAND = """
import sys
from deepshard import main
sys.argv[1:] = ["catalog", "rebuild", "--catalog", {catalog!r}, "--store", {store!r}]
status = main()
print(status, "pyarrow" in sys.modules, "pandas" in sys.modules)
"""


def printed(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_arrow_works_without_pandas_and_pandas_can_be_imported_after_it():
    pytest.importorskip("pandas")  # without it there is nothing to keep out
    assert printed(PROGRAM) == "done\n"


def test_a_command_does_not_import_pandas(tmp_path):
    (tmp_path / "store" / "shards").mkdir(parents=True)
    said = printed(COMMAND.format(catalog=str(tmp_path / "catalog.duckdb"), store=str(tmp_path / "store")))
    assert said.splitlines()[-1] == "0 True False"
