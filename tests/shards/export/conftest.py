"""One small store for all forms."""

import pytest

from tests.shards.export.world import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("export") / "store")
