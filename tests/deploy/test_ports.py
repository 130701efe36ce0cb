"""Ports are free when picked, and then stay."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from deploy.stack import ports
from deploy.stack.ports import FIRST, HOST, LAST, free_port, is_free, kept_ports


def test_a_port_is_picked_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "server" / "ports.json"
    picked = kept_ports(path, {"http": None, "transport": None})
    assert len(set(picked.values())) == 2
    assert kept_ports(path, {"http": None, "transport": None}) == picked


def test_a_port_that_is_asked_for_goes_first_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    picked = kept_ports(path, {"http": None, "transport": None})
    asked = kept_ports(path, {"http": 9999, "transport": None})
    assert asked == {"http": 9999, "transport": picked["transport"]}
    assert kept_ports(path, {"http": None, "transport": None}) == asked


def test_a_port_is_never_picked_twice_in_a_process() -> None:
    with ThreadPoolExecutor(4) as threads:
        ports = list(threads.map(lambda _: free_port(), range(12)))
    assert len(set(ports)) == 12
    assert all(FIRST <= port <= LAST for port in ports)


def test_a_port_that_another_process_has_picked_is_passed_over_while_that_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both begin at the same port, and neither listens yet."""
    picking = "from deploy.stack.ports import free_port; print(free_port(), flush=True); input()"
    with Popen([sys.executable, "-c", picking], stdin=PIPE, stdout=PIPE, text=True) as other:
        assert other.stdout is not None
        taken = int(other.stdout.readline())
        monkeypatch.setattr(ports, "_candidates", iter([taken, taken + 1, taken + 2]))
        assert free_port() != taken
        other.communicate("\n")
    monkeypatch.setattr(ports, "_candidates", iter([taken]))
    assert free_port() == taken


def test_a_port_where_somebody_listens_is_not_free() -> None:
    port = free_port()
    assert is_free(port)
    with socket.create_server((HOST, port)):
        assert not is_free(port)
