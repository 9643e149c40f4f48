"""A TCP proxy with faults, and the load: the two processes of the testbed that nobody measures."""

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testbed.wire import Client, serve


class Proxy:
    """Forwards bytes between two ports, with delay or not at all."""

    def __init__(self, target: int) -> None:
        self.target, self.delay_s, self.drop = target, 0.0, 0.0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.drop and random.random() < self.drop:
                    break
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


async def proxies(config: Mapping[str, Any]) -> None:
    """Every proxy of the testbed in one process, and a port to set faults: /fault?pod=…&delay_s=…&drop=…"""
    known = {pod: Proxy(target) for pod, (_, target) in config["proxies"].items()}
    for pod, (port, _) in config["proxies"].items():
        await asyncio.start_server(known[pod].handle, "127.0.0.1", port)

    async def fault(path: str, _: Mapping[str, str]) -> tuple[int, bytes]:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        proxy = known[asked["pod"]]
        proxy.delay_s, proxy.drop = float(asked.get("delay_s", 0)), float(asked.get("drop", 0))
        return 200, b"ok"

    await serve(config["port"], fault)
    await asyncio.Event().wait()


async def load(config: Mapping[str, Any]) -> None:
    """Requests at random moments, answered or not; /rate?per_s=… changes how many."""
    rng, client, rate = random.Random(config["seed"]), Client(config["target"], 500), config["per_s"]
    asking: set[asyncio.Task[None]] = set()

    async def change(path: str, _: Mapping[str, str]) -> tuple[int, bytes]:
        nonlocal rate
        rate = float(parse_qs(urlsplit(path).query)["per_s"][0])
        return 200, b"ok"

    async def ask() -> None:
        with suppress(OSError):
            await client.wait(10)
            await client.get(rng.choice(config["paths"]), {}, 10)

    await serve(config["port"], change)
    while True:
        await asyncio.sleep(rng.expovariate(rate))
        task = asyncio.ensure_future(ask())
        asking.add(task)
        task.add_done_callback(asking.discard)


if __name__ == "__main__":
    asyncio.run({"proxies": proxies, "load": load}[sys.argv[1]](json.loads(sys.argv[2])))
