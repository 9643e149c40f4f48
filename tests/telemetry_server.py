"""A small real HTTP server that stands for a source of telemetry: recorded answers, and faults."""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

# method, path, parameters, headers → answer: JSON, bytes, or a status
Answer = Callable[[str, str, Mapping[str, list[str]], Mapping[str, str]], object]


class Slow:
    """A delayed answer."""

    def __init__(self, seconds: float, answer: object) -> None:
        self.seconds, self.answer = seconds, answer


@contextmanager
def telemetry_server(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Yields its address; an answer that is a number is a status without a body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._answer(parts.path, parse_qs(parts.query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(urlsplit(self.path).path, parse_qs(body))

        def _answer(self, path: str, parameters: Mapping[str, list[str]]) -> None:
            made = answer(self.command, path, parameters, dict(self.headers))
            if isinstance(made, Slow):
                time.sleep(made.seconds)
                made = made.answer
            status, body = (made, b"") if isinstance(made, int) else (200, made)
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
            try:
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # nobody waits any more
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
