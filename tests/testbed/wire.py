"""A little HTTP/1.1 over asyncio streams: cheap enough for a dozen services on one machine."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

Handler = Callable[[str, Mapping[str, str]], Awaitable[tuple[int, bytes]]]


async def serve(port: int, handler: Handler) -> asyncio.Server:
    """Answers every request with what `handler` makes of its path and headers."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *rest = head.decode("latin-1").split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest if line)}
                status, body = await handler(first.split(" ")[1], headers)
                writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(converse, "127.0.0.1", port)


class Client:
    """At most `size` open connections to one address; further requests wait."""

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self.size, self.waiting, self.used = size, 0, 0
        self._free = asyncio.Semaphore(size)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def take(self) -> None:
        """Takes a connection out of the pool for good: what a leak does."""
        await self._free.acquire()
        self.used += 1

    async def wait(self, timeout_s: float) -> None:
        """Waits for a free connection, which `get` gives back.

        Raises:
            TimeoutError: there is none.
        """
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                await self._free.acquire()
        finally:
            self.waiting -= 1

    async def get(self, path: str, headers: Mapping[str, str], timeout_s: float) -> int:
        """The status of the answer, over the connection that was waited for.

        Raises:
            OSError: refused, reset, or (TimeoutError) too late.
        """
        self.used += 1
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(path, headers)
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("closed before the answer") from None
        finally:
            self.used -= 1
            self._free.release()

    async def _exchange(self, path: str, headers: Mapping[str, str]) -> int:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()
        while True:
            kept = bool(self._idle)
            reader, writer = (
                self._idle.pop() if kept else await asyncio.open_connection("127.0.0.1", self._port)
            )
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                if kept:  # closed while it was idle
                    continue
                raise
            except asyncio.CancelledError:
                writer.close()
                raise
            self._idle.append((reader, writer))
            return int(head.split(b" ")[1])
