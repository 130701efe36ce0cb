"""Certificate of `serve`: its two PEM files, read and compared before anything listens.

uvicorn would only report that OpenSSL failed, or ask the terminal for a passphrase.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate, load_pem_x509_certificates

from schemas.errors import SettingsError
from schemas.os_faults import os_fault_text

CERTIFICATE, KEY = "serve.tls_certificate", "serve.tls_key"


class PemFiles(NamedTuple):
    """Paths of a TLS server's certificate, with its chain, and of its key."""

    certificate: str
    key: str


def check_certificate(files: PemFiles) -> None:
    """Refuse files that no server can use; an expired certificate is left to its clients.

    Raises:
        SettingsError: a line for each fault.
    """
    if faults := [*file_faults(files)]:
        raise SettingsError("\n".join(faults))


def file_faults(files: PemFiles) -> Iterator[str]:
    """Files that can't be read, that hold something else, or that don't belong together."""
    certificates: list[Certificate] = []
    public: bytes | None = None
    try:
        certificates = certificates_in(files.certificate)
    except SettingsError as error:
        yield str(error)
    try:
        public = public_part(files.key)
    except SettingsError as error:
        yield str(error)
    if certificates and public and der_of(certificates[0]) != public:
        if any(der_of(each) == public for each in certificates):
            remedy = "put the server's own certificate first, then its chain"
        else:
            remedy = "name the key that it was issued for"
        yield f"{KEY}: {files.key} isn't the key of {files.certificate}; {remedy}"


def expiry_faults(files: PemFiles, now: datetime) -> Iterator[str]:
    """A certificate that clients refuse at `now`; none of a file that can't be read."""
    try:
        own = certificates_in(files.certificate)[0]
    except SettingsError:
        return
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
    if now > ends:
        yield f"{CERTIFICATE}: {files.certificate} expired on {ends:%Y-%m-%d}; renew it"
    elif now < begins:
        yield (
            f"{CERTIFICATE}: {files.certificate} is valid from {begins:%Y-%m-%d} on; name one that "
            "is valid today, or correct this host's clock"
        )


def certificates_in(path: str) -> list[Certificate]:
    """The certificates in a PEM file, at least one.

    Raises:
        SettingsError: it can't be read, or holds none.
    """
    data = content_of(path, CERTIFICATE)
    try:
        return load_pem_x509_certificates(data)
    except ValueError as error:
        problem = f"{path} holds no certificate in PEM"
        remedy = "name the file that begins with -----BEGIN CERTIFICATE-----"
        raise SettingsError(f"{CERTIFICATE}: {problem}; {remedy}") from error


def public_part(path: str) -> bytes:
    """The public part (DER) of the private key in a PEM file.

    Raises:
        SettingsError: it can't be read, holds none, or needs a passphrase.
    """
    data = content_of(path, KEY)
    try:
        key = load_pem_private_key(data, None).public_key()
    except TypeError as error:
        problem = f"{path} needs a passphrase"
        remedy = f"write it without one: openssl pkey -in {path} -out PLAIN"
        raise SettingsError(f"{KEY}: {problem}; {remedy}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        problem = f"{path} holds no private key in PEM"
        remedy = "name the file with a line like -----BEGIN PRIVATE KEY-----"
        raise SettingsError(f"{KEY}: {problem}; {remedy}") from error
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def der_of(certificate: Certificate) -> bytes:
    """The public key (DER) that a certificate is for."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def content_of(path: str, setting: str) -> bytes:
    """Content of the file that a setting names.

    Raises:
        SettingsError: it can't be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        problem = os_fault_text(error) or f"{path}: {error.strerror}; name a file that can be read"
        raise SettingsError(f"{setting}: {problem}") from error
