"""Addresses that a channel may connect to: public ones, and private ones that are allowed by name.

Against server-side request forgery: a name is resolved once, each address is checked, and the
connection goes to that very address, so that a name that resolves differently a moment later
(DNS rebinding) changes nothing.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from schemas.display import printable
from schemas.errors import Busy, SettingsError
from schemas.os_faults import connection_fault

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

NAT64 = ip_network("64:ff9b::/96")


def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the system's resolver.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [*dict.fromkeys(str(each[4][0]) for each in found)]


class Allowed:
    """Addresses that a receiver may have: `private` are host names and networks, with commas.

    This machine, written as such, is one of them, unless receivers come from users (`has_own`
    False): then `private` has to name it.
    """

    def __init__(
        self, private: str = "", resolve: Resolve = resolved, *, has_own: bool = True
    ) -> None:
        """Read the list of what is allowed besides public addresses.

        Raises:
            SettingsError: an entry is a network with host bits, or empty.
        """
        self.names: set[str] = set()
        self.networks = []
        self._resolve = resolve
        self._has_own = has_own
        for entry in (part.strip() for part in private.split(",") if part.strip()):
            try:
                self.networks.append(ip_network(entry))
            except ValueError as error:
                if "/" in entry:
                    remedy = "write host names and networks like 10.1.0.0/16"
                    raise SettingsError(f"act.private: {error}; {remedy}") from error
                self.names.add(entry.lower())

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of `host` that may be connected to.

        Raises:
            Busy: it doesn't resolve, or to private addresses only.
        """
        try:
            found = self._resolve(host, port)
        except OSError as error:
            raise Busy(f"{host}: no address ({error.strerror or error})") from error
        is_named = host.lower() in self.names or (self._has_own and is_loopback(host))
        usable = [each for each in found if is_named or self._is_allowed(ip_address(each))]
        if not usable:
            raise Busy(
                f"{host}: resolves to {', '.join(found)}, which is not public; allow the host or "
                "its network in act.private"
            )
        return usable

    def fault(self, host: str, port: int) -> str | None:
        """Return the fault of a host that resolves to private addresses alone."""
        try:
            self.addresses(host, port)
        except Busy as busy:
            is_unknown = isinstance(busy.__cause__, OSError)  # without a name server, perhaps
            return None if is_unknown else busy.reason
        return None

    def _is_allowed(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.networks)


def is_public(address: Address) -> bool:
    """Return True for an address that is reached over the internet, whatever it is wrapped in."""
    return all(each.is_global and not each.is_multicast for each in (address, *inner(address)))


def inner(address: Address) -> Iterator[Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if address in NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def is_loopback(host: str) -> bool:
    """Return True for an address of this machine itself, written as such."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {printable(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {printable(error.reason or str(error))}"
    return connection_fault(error) or printable(str(error) or type(error).__name__)


def connected(allowed: Allowed, host: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to the first allowed address that answers.

    Raises:
        Busy: none is allowed. OSError: none answers.
    """
    failure = OSError(f"{host}: no address")
    for address in allowed.addresses(host, port):
        try:
            made = socket.create_connection((address, port), timeout_s)
        except OSError as error:
            failure = error
        else:
            # http.client sends head and body apart; with Nagle's algorithm the body waits for the
            # acknowledgement of the head, which a receiver delays by 40 ms.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
    raise failure


def cut(connected_socket: socket.socket) -> None:
    """End a connection under the thread that waits for it."""
    with suppress(OSError):
        connected_socket.shutdown(socket.SHUT_RDWR)
