"""Fixtures that every test module may use."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest

# One thread per process, also in child processes: a fixed order of sums gives the same bytes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
RawServer = Callable[[Conversation], AbstractAsyncContextManager[int]]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recorded traffic and real incidents, which exist only in the maintainers' tree."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared, which only the maintainers' tree has")
    return folder


@asynccontextmanager
async def _raw_server(converse: Conversation) -> AsyncIterator[int]:
    writers = []

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await converse(reader, writer)
        writer.close()

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture(scope="session")
def raw_server() -> RawServer:
    """`async with raw_server(converse) as port`: a TCP server; `converse` handles every connection."""
    return _raw_server


@pytest.fixture(scope="session")
def tiny_ranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small, untrained network."""
    import torch

    from gnn.checkpoint import card_for, save
    from gnn.network.model import ModelConfig, RootCauseNet

    torch.manual_seed(0)
    config = ModelConfig(hidden=8, layers=1)
    folder = tmp_path_factory.mktemp("tiny")
    save(RootCauseNet(config), card_for(config), folder)
    return folder
