"""An authority of a test's own, and the certificates that it signs; all as PEM files."""

import datetime as dt
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


class Signed(NamedTuple):
    """The files of a certificate and its key."""

    certificate: str
    key: str


class Authority:
    """Signs certificates; `ca` is its own, which others trust."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = subject(name)
        ca = x509.BasicConstraints(ca=True, path_length=None)
        made = unsigned(self._subject, self._subject, self._key).add_extension(ca, critical=True)
        self.ca = str(folder / f"{name}.pem")
        Path(self.ca).write_bytes(made.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def sign(
        self, name: str, address: str = "127.0.0.1", valid_until: dt.datetime | None = None
    ) -> Signed:
        """A certificate for an IP address, valid for a day or until an instant."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = unsigned(subject(name), self._subject, key, valid_until)
        made = made.add_extension(names, critical=False)
        files = Signed(str(self.folder / f"{name}.crt"), str(self.folder / f"{name}.key"))
        signed = made.sign(self._key, SHA256())
        Path(files.certificate).write_bytes(signed.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        Path(files.key).write_bytes(pem)
        return files


def subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def unsigned(
    of: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    valid_until: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(of)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(valid_until or now + DAY)
    )
