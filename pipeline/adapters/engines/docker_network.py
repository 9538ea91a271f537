"""The bridge of one deployment, on which containers reach the outside and not one another."""

import socket
import threading
from contextlib import closing
from ipaddress import ip_network
from typing import Any

from pipeline.adapters.engines.docker_finding import harmless
from pipeline.adapters.engines.model import DEPLOYMENT_LABEL

_OPTIONS = {"com.docker.network.bridge.enable_icc": "false"}


def network_name(deployment: str, name: str) -> str:
    """Return what the deployment's network of that name is called on the host."""
    return f"{name}-{deployment}"


_making = threading.Lock()


def ensure(client: Any, deployment: str, full_name: str) -> None:
    """The network is there, once."""
    with _making:
        found = _found(client, deployment, full_name)
        if not found:
            _create(client, deployment, full_name)
            found = _found(client, deployment, full_name)
        # Docker lets two callers at the same time make two of one name; this process is one.
        for surplus in found[1:]:
            harmless(client.remove_network, surplus["Id"])


def gateway(client: Any) -> str | None:
    """Return the address that ``host.docker.internal`` means; None when it is not this machine's.

    The socket may be this machine's and the daemon not: in a virtual machine, or without root.
    """
    found = client.networks(names=["bridge"], filters={"driver": "bridge"})
    told = [_gateway(config) for each in found for config in each["IPAM"]["Config"] or []]
    return next((address for address in told if _is_ours(address)), None)


def _gateway(config: dict[str, str]) -> str:
    # Docker may name the subnet alone; the bridge then has its first address.
    return config.get("Gateway") or str(ip_network(config["Subnet"])[1])


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _found(client: Any, deployment: str, full_name: str) -> list[dict[str, Any]]:
    told = client.networks(
        names=[full_name], filters={"label": [f"{DEPLOYMENT_LABEL}={deployment}"]}
    )
    exact = [network for network in told if network["Name"] == full_name]
    return sorted(exact, key=lambda network: (network["Created"], network["Id"]))


def _create(client: Any, deployment: str, full_name: str) -> None:
    harmless(
        client.create_network,
        full_name,
        driver="bridge",
        options=_OPTIONS,
        labels={DEPLOYMENT_LABEL: deployment},
        check_duplicate=True,
    )
