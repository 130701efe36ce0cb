"""GET from a server on loopback, for those whose real client is HTTP itself."""

import http.client
from urllib.parse import urlsplit

from deploy.stack.errors import NoAnswer

TIMEOUT_S = 2.0


def get(url: str) -> bytes:
    """The body of a 200 answer.

    Raises:
        NoAnswer: no connection, or another status; with the beginning of what came instead.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise NoAnswer(f"{answer.status} {answer.reason}: {body[:200].decode('utf-8', 'replace')}")
    return body
