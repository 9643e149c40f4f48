"""A real HTTP server that speaks the OpenAI chat API, with scripted replies and faults."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Character = Callable[[Mapping[str, Any]], "Answer | str"]


@dataclass(frozen=True)
class Answer:
    """One scripted answer: a completion's text, or a fault."""

    text: str = ""
    status: int = 200
    headers: Mapping[str, str] | None = None
    body: str | bytes | None = None  # sent as it is, instead of a completion
    delay_s: float = 0.0
    reset: bool = False  # tear the connection down without an answer
    cut: bool = False  # close the connection in the middle of the answer
    drip_s: float = 0.0  # wait so long before each byte of the body
    usage: Any = True  # whether to count tokens; or what to say instead of the counts


class LLMServer:
    """Answers `POST …/chat/completions`; a context manager, on a free port of this machine.

    Args:
        script: answers in order, text or `Answer`, the last one for ever; or a character: a callable from the
            request's body to its answer.
        refuses: names of request fields that this endpoint does not know; it says 400 to them.
    """

    def __init__(
        self,
        script: Iterable[Answer | str] | Character = ("",),
        refuses: Iterable[str] = (),
        refused_formats: Iterable[str] = (),
        refusing_status: int = 400,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.paths: list[str] = []
        self._script = script if callable(script) else list(script)
        self._refuses = frozenset(refuses)
        self._refused_formats = frozenset(refused_formats)
        self._refusing_status = refusing_status
        self._lock = threading.Lock()
        self._answered = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "LLMServer":
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet: two would wait 40 ms for each other.
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                owner._serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.requests.append(request)
            self.paths.append(handler.path)
            self.authorizations.append(handler.headers.get("Authorization", ""))
        answer = self._refusal(request) or self._next(request)
        time.sleep(answer.delay_s)
        if answer.reset:
            # Without lingering, closing sends a reset.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True
            return
        body = answer.body if answer.body is not None else json.dumps(_completion(request, answer))
        try:
            _send(handler, answer, body if isinstance(body, bytes) else body.encode())
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
        if answer.cut:
            handler.close_connection = True

    def _refusal(self, request: Mapping[str, Any]) -> Answer | None:
        form = request.get("response_format") or {}
        kind = form.get("type", "") + (" with schema" if "schema" in form else "")
        if self._refuses & set(request) or kind in self._refused_formats:
            return Answer(
                status=self._refusing_status, body='{"error": {"message": "unsupported parameter"}}'
            )
        return None

    def _next(self, request: Mapping[str, Any]) -> Answer:
        if callable(self._script):
            given = self._script(request)
        else:
            with self._lock:
                given = self._script[min(self._answered, len(self._script) - 1)]
                self._answered += 1
        return Answer(given) if isinstance(given, str) else given


def action(action_type: str, target: str | None = None, **fields: Any) -> str:
    """A valid reply with this action."""
    return json.dumps({"action_type": action_type, "target_service": target, **fields})


def _completion(request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    completion: dict[str, Any] = {
        "id": "test",
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model"),
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer.text}}
        ],
    }
    if answer.usage:
        counted = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        completion["usage"] = counted if answer.usage is True else answer.usage
    return completion


def _send(handler: BaseHTTPRequestHandler, answer: Answer, body: bytes) -> None:
    handler.send_response(answer.status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in (answer.headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    if answer.drip_s:
        for byte in body:
            handler.wfile.write(bytes((byte,)))
            handler.wfile.flush()
            time.sleep(answer.drip_s)
    else:
        handler.wfile.write(body[: len(body) // 2] if answer.cut else body)
