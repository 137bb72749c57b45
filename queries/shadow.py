"""Temporary views that take the place of a catalog's own for one connection.

Statements cannot name a schema, and what is temporary is found first. The catalog's own views do not see them: they
were bound in their own schema.
"""

import duckdb

from queries.catalog import script


def hide_machine(db: duckdb.DuckDBPyConnection) -> None:
    """Tables and views without what tells of this machine; see untrusted.sql."""
    db.execute(script("untrusted").replace("catalog.main.", _own(db)))


def keep_recipe(db: duckdb.DuckDBPyConnection, recipe_hash: str, hidden: bool = False) -> None:
    """`faces`, `faceless` and `faces_or_none` with one recipe's rows; ``hidden``: after ``hide_machine``."""
    columns = "* REPLACE (without_folders(reason) AS reason)" if hidden else "*"
    for view in ("faces", "faceless"):
        db.execute(
            f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT {columns} FROM {_own(db)}{view} "
            f"WHERE recipe_hash = '{recipe_hash.replace(chr(39), '')}'"
        )
    db.execute("CREATE OR REPLACE TEMP VIEW faces_or_none AS FROM faces UNION ALL FROM faceless")


def _own(db: duckdb.DuckDBPyConnection) -> str:
    """What names of the catalog's own tables begin with, in full."""
    ((own,),) = db.execute("SELECT current_database()").fetchall()
    return f'"{own.replace(chr(34), chr(34) * 2)}".main.'
