"""An HTTP client of an ASGI application, without a server."""

import asyncio
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from starlette.types import ASGIApp, Message


class Reply(NamedTuple):
    """An answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return msgspec.json.decode(self.body)


class Client:
    """Sends requests to an application; `headers` come with each of them."""

    def __init__(self, app: ASGIApp, **headers: str) -> None:
        self.app = app
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def get(self, url: str, **headers: str) -> Reply:
        return self.request("GET", url, b"", **headers)

    def post(self, url: str, body: object = b"", **headers: str) -> Reply:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.request("POST", url, data, **headers)

    def request(self, method: str, url: str, body: bytes, **headers: str) -> Reply:
        return asyncio.run(self.exchange(method, url, body, **headers))

    async def exchange(self, method: str, url: str, body: bytes, **headers: str) -> Reply:
        """Send a request in the loop that runs."""
        came: list[Message] = []
        unread = [body]

        async def receive() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            await asyncio.Event().wait()  # the client stays
            raise AssertionError

        async def send(message: Message) -> None:
            came.append(message)

        await self.app(scope_of(method, url, {**self.headers, **headers}), receive, send)
        found = {name.decode(): value.decode() for name, value in came[0]["headers"]}
        cookies = [value.decode() for name, value in came[0]["headers"] if name == b"set-cookie"]
        if cookies:  # the one header that comes several times
            found["set-cookie"] = "; ".join(cookies)
        return Reply(came[0]["status"], found, b"".join(each.get("body", b"") for each in came[1:]))


def scope_of(method: str, url: str, headers: dict[str, str]) -> dict[str, Any]:
    """The scope of a request as uvicorn makes it."""
    parts = urlsplit(url)
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"board.test"),
            *((name.encode(), value.encode()) for name, value in named.items()),
        ],
        "client": ("127.0.0.1", 50_000),
        "server": ("board.test", 80),
    }
