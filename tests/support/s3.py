"""An S3 server of the tests' own: moto, over HTTP, with If-None-Match like AWS."""

import itertools
import logging
from threading import Thread
from urllib.request import Request, urlopen

from werkzeug.serving import WSGIRequestHandler, make_server

from dataflows.state.remote.bucket import Bucket, Patience
from schemas.settings.model import StateSettings

BUCKETS = itertools.count(1)


class OneRequest(WSGIRequestHandler):
    """A connection for each request: one that is kept would be served after the stop."""

    protocol_version = "HTTP/1.0"


class S3:
    """The server between start and stop; its objects outlive a stop, as they do with a real one."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 - takes a second, which most workers don't need
            DomainDispatcherApplication,
            create_backend_app,
        )

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.application = DomainDispatcherApplication(create_backend_app)
        self.port = 0
        self.start()
        self.port = self.server.server_port

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_bucket(self) -> str:
        name = f"bucket-{next(BUCKETS)}"
        with urlopen(Request(f"{self.endpoint}/{name}", method="PUT")) as answer:  # noqa: S310 - ours
            assert answer.status == 200
        return name

    def settings(self, bucket: str | None = None) -> StateSettings:
        """A bucket, made here if none is named."""
        return StateSettings(
            store="s3",
            bucket=bucket or self.new_bucket(),
            endpoint=self.endpoint,
            access_key="test",
            secret_key="test",
        )

    def start(self) -> None:
        self.server = make_server(
            "127.0.0.1", self.port, self.application, threaded=True, request_handler=OneRequest
        )
        self.thread = Thread(target=self.server.serve_forever, name="moto", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def patient() -> Patience:
    return Patience(lambda: False, lambda _: None)


def bucket_of(settings: StateSettings, folder: str = "000") -> Bucket:
    return Bucket(settings, folder)
