"""TLS and logins: from the settings to librdkafka's properties."""

from collections.abc import Iterator
from pathlib import Path

from schemas.errors import SettingsError
from schemas.settings.model import BrokerSettings

# Setting → librdkafka's property, for each half of a security protocol.
SASL = {"user": "sasl.username", "password": "sasl.password", "sasl_mechanism": "sasl.mechanism"}
TLS = {
    "ca": "ssl.ca.location",
    "certificate": "ssl.certificate.location",
    "key": "ssl.key.location",
    "key_password": "ssl.key.password",
}


def security_properties(settings: BrokerSettings) -> dict[str, str]:
    """The properties that log in and encrypt; empty for a broker without either.

    Raises:
        SettingsError: settings are missing, contradict each other, or name a missing file.
    """
    faults = list(faults_of(settings))
    if faults:
        raise SettingsError("; ".join(faults))
    protocol = settings.security_protocol
    if protocol == "PLAINTEXT":
        return {}
    wanted = (SASL if has_login(protocol) else {}) | (TLS if has_tls(protocol) else {})
    values = {name: getattr(settings, key) for key, name in wanted.items()}
    return {"security.protocol": protocol} | {k: v for k, v in values.items() if v is not None}


def faults_of(settings: BrokerSettings) -> Iterator[str]:
    """Faults of the security settings, each with its remedy."""
    protocol = settings.security_protocol
    own = settings.properties
    for key in ("user", "password"):
        is_set = getattr(settings, key) is not None
        if has_login(protocol) and not is_set and SASL[key] not in own:
            variable = f"ORDERTIDE_BROKER_{key.upper()}"
            yield f"broker.{key} is missing, which {protocol} needs: set {variable}"
        if is_set and not has_login(protocol):
            yield f"broker.{key} is set, but {protocol} has no login: use SASL_SSL, or leave it out"
    for key in ("ca", "certificate", "key"):
        path = getattr(settings, key)
        if path is not None and not has_tls(protocol):
            yield f"broker.{key} is set, but {protocol} is not encrypted: use SSL or SASL_SSL"
        elif path is not None and not Path(path).is_file():
            yield f"broker.{key}: there is no file {path}"


def has_login(protocol: str) -> bool:
    """Return True if the protocol authenticates a user."""
    return protocol.startswith("SASL")


def has_tls(protocol: str) -> bool:
    """Return True if the connection is encrypted."""
    return protocol.endswith("SSL")
