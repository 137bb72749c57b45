"""What a statement from a stranger may be: one SELECT over the catalog's tables, nothing that tells of the machine.

DuckDB's settings keep files, network and extensions shut and the file read-only; this is the other half: system tables
and functions that show paths and settings, statements inside a SELECT that write, and, for splits, whatever could give
another answer tomorrow. It reads DuckDB's own syntax tree, so there is one parser.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from queries.errors import SqlError

_QUERY_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLE_FUNCTIONS = {"range", "generate_series", "unnest"}
_TABLE_PARAMETERS = {"t", "other"}  # how our macros call the tables that they are given
_OF_IDS = {"without": 1}  # our macro that asks a table, at this place, for sample_id and video_id alone
_TELLING = re.compile(
    r"@@|(current_(setting|query|query_id|user|role|catalog|database|schemas?|connection_id|transaction_id)"
    r"|session_user|user|getvariable|getenv|in_search_path|txid_current|which_secret|sleep_ms|pg_.*|duckdb_.*|pragma_.*"
    r"|read_.*|write_.*|.*_sql|json_serialize_plan|inet_.*|has_.*_privilege|get_block_size|nextval|currval|setval"
    r"|stats|vector_type|parse_duckdb_log_message|query|query_table|set_?seed|col_description|obj_description"
    r"|__internal_.*|index_key)"
)
_CHANGING = re.compile(
    r"random|uuid.*|gen_random_uuid|now|today|ago|age|get_current_time(stamp)?|transaction_timestamp|hash"
    r"|current_(date|time|timestamp|localtime|localtimestamp)|localtime|localtimestamp|(list_)?approx_.*|reservoir_quantile"
)
# functions that DuckDB takes to vary between sessions, or defines in SQL, and that do no more than they say; the first
# ones vary with the time zone, which is UTC here
_PLAIN = re.compile(
    r"[-+]|((iso|week)?year|quarter|month|week|day|hour|minute|(milli|micro)?second|decade|century|millennium|era|julian)"
    r"|(day|month)name|dayof(month|week|year)|last_day|isodow|weekday|weekofyear|yearweek|date_?(diff|part|sub|trunc)"
    r"|make_timestamptz|range|generate_series|strftime|time_bucket|timezone(_hour|_minute)?|date_add|days_in_month"
    r"|error|assert_true|if|nullif|split_part|fdiv|geomean|geometric_mean|wavg|weighted_avg|generate_subscripts|ago"
    r"|(list|array)_.*|map_contains_(entry|value)|md5_number_(lower|upper)|json|json_group_(array|object|structure)"
    r"|regexp_split_to_table|variant_group_array"
)
_BARE_WORDS = re.compile(r"current_.*|session_user|user|localtime|localtimestamp")  # functions that need no brackets


@dataclass(frozen=True)
class Statement:
    """A checked statement. ``sql`` has no semicolon, so that it may stand in brackets; its lines are the original's."""

    sql: str
    parameters: frozenset[str]
    tree: Mapping[str, Any]

    def asks_ids_alone(self, table: str) -> bool:
        """Whether sample_id and video_id are surely all that is asked of a table, wherever it is mentioned."""
        mentions = plain = 0
        for node in _nodes(self.tree):
            mentions += node.get("type") == "BASE_TABLE" and _names(node, table)
            mentions += node.get("type") == "COLUMN_REF" and _is_bare(node, table)  # given to a macro, or a whole row
            if node.get("type") == "SELECT_NODE":
                plain += _is_plain(node, table)
            elif node.get("type") == "TABLE_FUNCTION":
                plain += _gives_ids(node["function"], table)
        return mentions == plain


@dataclass(frozen=True)
class Vocabulary:
    """Names, in small letters: tables of the system; functions that may tell or change something and that nobody here
    has looked at, as a newer DuckDB may bring; our table macros with the positions of their tables."""

    system: frozenset[str]
    unknown: frozenset[str]
    macros: dict[str, tuple[int, ...]]


def vocabulary(db: duckdb.DuckDBPyConnection) -> Vocabulary:
    """Read from the database itself, before it is locked."""
    system = db.execute(
        "SELECT lower(view_name) FROM duckdb_views() WHERE internal "
        "UNION SELECT lower(table_name) FROM duckdb_tables() WHERE internal"
    ).fetchall()
    functions = db.execute(
        "SELECT lower(function_name), function_type, parameters FROM duckdb_functions() "
        "WHERE CASE function_type WHEN 'table_macro' THEN NOT internal WHEN 'macro' THEN internal "
        "ELSE function_type NOT IN ('table', 'pragma') AND stability IS DISTINCT FROM 'CONSISTENT' END"
    ).fetchall()
    macros = {
        name: tuple(i for i, parameter in enumerate(parameters) if parameter in _TABLE_PARAMETERS)
        for name, kind, parameters in functions
        if kind == "table_macro"
    }
    unsure = {name for name, kind, _ in functions if kind != "table_macro"}
    unknown = {name for name in unsure if not _PLAIN.fullmatch(name) and not _CHANGING.fullmatch(name)}
    return Vocabulary(frozenset(row[0] for row in system), frozenset(unknown), macros)


def check(db: duckdb.DuckDBPyConnection, sql: str, words: Vocabulary, repeatable: bool = False) -> Statement:
    """The one SELECT in ``sql``. Raises SqlError, with the line where it is known, if it is not one or may not be run.

    ``repeatable``: refuse functions whose answer changes from run to run or from version to version.
    """
    try:
        sql.encode()
        found = db.extract_statements(sql)
    except UnicodeEncodeError:
        raise SqlError("this is no text: it has half a character (a lone surrogate) in it") from None
    except duckdb.Error as error:
        raise from_duckdb(error) from error
    if not found:
        raise SqlError("there is no statement: write a SELECT")
    if len(found) > 1:
        raise SqlError(f"these are {len(found)} statements: write one SELECT")
    if found[0].type != duckdb.StatementType.SELECT:
        kind = str(found[0].type).rpartition(".")[2]
        raise SqlError(f"this is {'a PIVOT' if kind == 'MULTI' else kind}: only one SELECT can be run here")
    ((text,),) = db.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    tree = json.loads(text)
    if tree["error"]:
        raise SqlError(f"this cannot be run here: {tree['error_message']}")
    for node in _nodes(tree):
        fault = _fault(node, words, repeatable)
        if fault:
            raise SqlError(fault, _line(sql, node))
    return Statement(_without_semicolons(sql), frozenset(found[0].named_parameters), tree)


def from_duckdb(error: Exception) -> SqlError:
    """DuckDB's error as ours, with its own words and the line that it names."""
    message = str(error).strip()
    line = re.search(r"^LINE (\d+):", message, re.MULTILINE)
    if isinstance(error, duckdb.OutOfMemoryException):
        message = f"the query needs more memory than it may have: {message.splitlines()[0]}"
    return SqlError(message, int(line[1]) if line else None)


def _fault(node: dict[str, Any], words: Vocabulary, repeatable: bool) -> str | None:
    kind = node.get("type")
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _QUERY_NODES:
        return f"{kind.removesuffix('_NODE').replace('_', ' ').lower()} inside a SELECT is refused: a query only reads"
    if repeatable and node.get("sample"):
        return "a SAMPLE is refused in a split, it changes from run to run: use drawn(t, n := 100, seed := 1)"
    if kind == "BASE_TABLE":
        return _table_fault(node.get("qualified_name", {}).get("path") or [node["table_name"]], words)
    if kind == "SHOW_REF":
        shown = str(node.get("table_name", "")).strip('"').lower()
        return None if shown in ("", "tables") else f"SHOW {shown} is refused: DESCRIBE a table, or SHOW tables"
    if kind == "TABLE_FUNCTION":
        return _call_fault(node["function"], words)
    if repeatable and (fault := _order_fault(node)):
        return fault
    if repeatable and kind == "COLUMN_REF" and str(node["column_names"][-1]).lower() == "attempt":
        return "attempt is refused in a split, it is a number of this catalog alone: use video_id"
    name = str(node.get("function_name") or "").lower()
    if kind == "COLUMN_REF" and len(node.get("column_names", ())) == 1:
        word = str(node["column_names"][0]).lower()
        name = word if _BARE_WORDS.fullmatch(word) else ""
    if name and (_TELLING.fullmatch(name) or name in words.unknown):
        return f"{name} is refused: a query sees the catalog and nothing of the machine"
    if repeatable and name and _CHANGING.fullmatch(name):
        instead = "draw(draw_key, $seed)" if name in ("random", "hash", "uuid", "gen_random_uuid") else "a parameter"
        return f"{name} is refused in a split, its answer changes by the run or the version: use {instead}"
    return None


def _order_fault(node: dict[str, Any]) -> str | None:
    """Where rows are taken by their place but no ORDER BY gives them one, threads would decide."""
    modifiers = {modifier["type"]: modifier for modifier in node.get("modifiers") or ()}
    if "ORDER_MODIFIER" not in modifiers:
        if "LIMIT_MODIFIER" in modifiers or "LIMIT_PERCENT_MODIFIER" in modifiers:
            return "LIMIT without ORDER BY takes whatever comes first: use drawn(t, n := 100, seed := 1), or order rows"
        if modifiers.get("DISTINCT_MODIFIER", {}).get("distinct_on_targets"):
            return "DISTINCT ON without ORDER BY takes whatever comes first: order the rows"
    if node.get("type") == "WINDOW_ROW_NUMBER" and not node.get("orders"):
        return "row_number() without ORDER BY numbers rows as they come: order them, by draw(draw_key, $seed) say"
    return None


def _table_fault(path: list[str], words: Vocabulary) -> str | None:
    if len(path) > 1:
        return f"{'.'.join(path)}: name tables without a database or schema"
    if path[0].lower() in words.system:
        return f"{path[0]} is refused: it is a table of the system, a query sees the catalog's own"
    return None


def _call_fault(call: dict[str, Any], words: Vocabulary) -> str | None:
    name = call["function_name"].lower()
    if len(call.get("qualified_name", {}).get("path") or [name]) > 1:
        return f"{name}: name functions without a database or schema"
    if name not in words.macros:
        return None if name in _TABLE_FUNCTIONS else f"{name}(...) is refused as a table"
    for position, argument in enumerate(call["arguments"]):
        given, expression = argument["name"], argument["expression"]
        if given in _TABLE_PARAMETERS or (not given and position in words.macros[name]):
            if expression["type"] != "COLUMN_REF" or len(expression["column_names"]) != 1:
                return f"{name} takes the bare name of a table, view or WITH query"
            if fault := _table_fault(expression["column_names"], words):
                return fault
    return None


def _names(base: dict[str, Any], table: str) -> bool:
    return base["table_name"].lower() == table


def _is_bare(node: dict[str, Any], name: str) -> bool:
    names = node.get("column_names", ())
    return len(names) == 1 and str(names[0]).lower() == name


def _is_plain(select: dict[str, Any], table: str) -> bool:
    """A SELECT of sample_id, video_id and constants from the table, and nothing else."""
    source = select["from_table"]
    return (
        source["type"] == "BASE_TABLE"
        and _names(source, table)
        and not source["column_name_alias"]
        and not any(select[part] for part in ("modifiers", "where_clause", "group_expressions", "having", "qualify"))
        and all(
            item["type"] == "VALUE_CONSTANT"
            or (item["type"] == "COLUMN_REF" and str(item["column_names"][-1]).lower() in ("sample_id", "video_id"))
            for item in select["select_list"]
        )
    )


def _gives_ids(call: dict[str, Any], table: str) -> bool:
    """A macro that gets the table where it asks for ids alone; once, as its other tables are mentions too."""
    given = call["arguments"]
    place = _OF_IDS.get(call["function_name"].lower())
    return (
        place is not None
        and place < len(given)
        and not any(argument["name"] for argument in given[: place + 1])
        and _is_bare(given[place]["expression"], table)
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the tree, parents first; without recursion, a statement may be nested deeply."""
    left = [tree]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            yield item
            left.extend(reversed(list(item.values())))
        elif isinstance(item, list):
            left.extend(reversed(item))


def _line(sql: str, node: dict[str, Any]) -> int | None:
    place = node.get("query_location")
    if not isinstance(place, int) or place > len(sql.encode()):
        return None
    return sql.encode()[:place].count(b"\n") + 1


def _without_semicolons(sql: str) -> str:
    text = bytearray(sql.encode())
    for place, kind in duckdb.tokenize(sql):
        if text[place : place + 1] == b";" and kind == duckdb.token_type.operator:
            text[place : place + 1] = b" "
    return text.decode()
