"""An HTTP proxy that disturbs chosen requests."""

import asyncio
import re

import httpx


class Proxy:
    """Hands requests on to a server, except for those that it was told to spoil.

    `faults` maps a request line's beginning ("POST /step") to what happens to the next such requests, one
    each: "pass", "cut" (closed before the server sees it), "cut after" (closed after the server has
    answered), "hang" (never seen by the server), "hang after" (seen, its answer withheld), a number (that
    status, unseen), "502 after" (seen, then that status).
    """

    def __init__(self, upstream: str, faults: dict[str, list[str | int]]) -> None:
        self.upstream = httpx.URL(upstream)
        self.faults = faults
        self.requests: list[str] = []
        self.forwarded: list[str] = []  # those that the server has seen

    def count(self, line: str) -> int:
        return sum(request.startswith(line) for request in self.requests)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1])) if length else b""
            line = head.split(b"\r\n")[0].decode()
            self.requests.append(line)
            if not await self._answer(line, head + body, writer):
                return

    async def _answer(self, line: str, request: bytes, writer: asyncio.StreamWriter) -> bool:
        queue = next((faults for start, faults in self.faults.items() if line.startswith(start)), [])
        fault = queue.pop(0) if queue else "pass"
        if fault == "cut":
            return False
        if fault == "hang":
            await asyncio.sleep(60)
        if isinstance(fault, int):
            writer.write(b"HTTP/1.1 %d Broken\r\nContent-Length: 4\r\n\r\noops" % fault)
            return True
        self.forwarded.append(line)
        answer = await self._forward(request)
        if fault == "cut after":
            return False
        if fault == "hang after":
            await asyncio.sleep(60)
        if fault == "502 after":
            answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
        writer.write(answer)
        return True

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self.upstream.host, self.upstream.port)
        writer.write(re.sub(rb"(?i)connection: keep-alive", b"Connection: close", request))
        answer = await reader.read(-1)
        writer.close()
        return answer
