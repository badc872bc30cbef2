"""A Ray cluster of two nodes on this machine."""

from __future__ import annotations

import logging
from typing import Self

import pytest

# One cluster is enough for all processes in which tests run: they go to the same one.
on_ray = pytest.mark.xdist_group("ray")

_NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
# A killed node is missed after a second, not fifteen.
_SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}


class TwoNodes:
    """Two nodes with one CPU each; this process is connected to them. Use it in a ``with`` statement."""

    def __enter__(self) -> Self:
        import ray
        from ray.cluster_utils import Cluster

        head = {**_NODE, "include_dashboard": False, "_system_config": _SOON}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._second = self._cluster.add_node(**_NODE)
        self.address: str = self._cluster.address
        ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()

    def kill_second(self) -> None:
        """Kill the processes of the node that holds nothing but workers."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def replace_second(self) -> None:
        """Give the cluster a second node again."""
        self._second = self._cluster.add_node(**_NODE)
        self._cluster.wait_for_nodes()
