"""Whatever a face's JSON tells is in an export too."""

import re
from pathlib import Path

from shards.export import facts


def test_every_field_of_the_json_has_a_column_or_is_said_otherwise():
    page = Path(__file__).parents[3] / "docs" / "read-shards.md"  # a test of the docs holds it to real JSONs
    table = page.read_text().partition("## The fields of the JSON")[2]
    fields = {name for line in table.splitlines() if "|" in line for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    columns = {field.name for field in facts.FACTS}
    assert len(fields) > 30
    assert fields == (columns & fields) | set(facts.SAID_BY_SPLIT)
    assert not columns & set(facts.SAID_BY_SPLIT)
