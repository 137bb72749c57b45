"""A real Ray cluster of several nodes on this machine, whose nodes a test can end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300}  # a lost node is noticed in 2 s, not in 15


@contextmanager
def cluster_of(nodes: int) -> Iterator:
    """A ``ray.cluster_utils.Cluster``: ``nodes`` nodes of one CPU beside a head that has none.

    This process is connected to it, and RAY_ADDRESS names it.
    """
    import ray  # not above: workers import the tests that import this
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": SOON}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        os.environ["RAY_ADDRESS"] = cluster.address
        yield cluster
    finally:
        os.environ.pop("RAY_ADDRESS", None)
        ray.shutdown()
        cluster.shutdown()
