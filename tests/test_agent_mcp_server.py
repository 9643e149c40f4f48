"""Other agents reach the tools over both transports, get short typed answers, and can break nothing."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

ROOT = Path(__file__).resolve().parents[1]
INCIDENT = {
    "incident_id": "demo",
    "call_graph": {"web": ["api"], "api": ["db", "cache"]},
    "telemetry": {
        "api": {"latency_p99_s": {"baseline": [0.2, 0.21, 0.19, 0.2], "incident": [1.1, 1.3]}},
        "db": {
            "latency_p99_s": {"baseline": [0.05, 0.04, 0.05, 0.05], "incident": [0.9, 1.2]},
            "cpu_usage": {"baseline": [0.3, 0.31, 0.3, 0.3], "incident": [0.97, 0.99]},
        },
    },
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "demo.json").write_text(json.dumps(INCIDENT), encoding="utf-8")
    (tmp_path / "secret.json").write_text(json.dumps(INCIDENT), encoding="utf-8")
    return folder


def command(*more: str) -> list[str]:
    return [sys.executable, "-m", "agent", "mcp", *more]


def over_stdio(saved: Path) -> Any:
    _, *args = command("--incidents", str(saved), "--quiet")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return stdio_client(StdioServerParameters(command=sys.executable, args=args, env=env))


async def answer(client: Client, tool: str, **arguments: object) -> Any:
    return await client.call_tool(tool, arguments)


def test_every_tool_answers_over_stdio(saved: Path) -> None:
    async def talk() -> None:
        async with Client(over_stdio(saved)) as client:
            tools = (await client.list_tools()).tools
            assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
            assert (await answer(client, "saved_incidents")).structured_content == {"result": ["demo.json"]}
            found = (await answer(client, "diagnose", incident="demo.json")).structured_content
            assert found["suspects"][0]["service"] == "db"
            assert found["suspects"][0]["evidence"]
            wrong = (await answer(client, "is_anything_wrong", incident="demo.json")).structured_content
            assert "db" in wrong["summary"]
            around = (
                await answer(client, "explain_service", service="api", incident="demo.json")
            ).structured_content
            assert (around["callers"], around["callees"]) == (["web"], ["db", "cache"])
            drawn = (await answer(client, "topology", incident="demo.json")).structured_content
            assert drawn["call_graph"]["web"] == ["api"]
            text = (await client.read_resource("incident://demo.json")).contents[0].text
            assert json.loads(text)["incident_id"] == "demo"

    asyncio.run(talk())


def test_wrong_arguments_are_errors_and_the_server_goes_on(saved: Path) -> None:
    calls: list[tuple[str, dict[str, object]]] = [
        ("diagnose", {"incident": "../secret.json"}),
        ("diagnose", {"incident": "nothing.json"}),
        ("diagnose", {"incident": 7}),
        ("diagnose", {"incident": "demo.json", "top": "many"}),
        ("diagnose", {}),  # there is no live telemetry
        ("explain_service", {"incident": "demo.json"}),
        ("explain_service", {"incident": "demo.json", "service": "\u202e\x1b[31m"}),
        ("restart_everything", {}),
    ]

    async def talk() -> None:
        async with Client(over_stdio(saved)) as client:
            for tool, arguments in calls:
                try:
                    assert (await client.call_tool(tool, arguments)).is_error, (tool, arguments)
                except Exception as error:  # the SDK raises what the protocol calls an error
                    assert type(error).__module__.startswith("mcp"), error
            found = await answer(client, "diagnose", incident="demo.json", top=10**6)
            assert found.structured_content["suspects"]

    asyncio.run(talk())


def test_http_needs_the_token(saved: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "FIREWATCH_MCP_TOKEN": "open-sesame"}
    process = subprocess.Popen(
        command("--incidents", str(saved), "--transport", "http", "--port", str(port)),
        env=env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/mcp"
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert url in line and "open-sesame" not in line
        for _ in range(200):
            try:
                refused = httpx2.post(url, json={})
                break
            except httpx2.ConnectError:
                time.sleep(0.05)
        assert refused.status_code == 401

        async def talk() -> None:
            headers = {"Authorization": "Bearer open-sesame"}
            async with (
                httpx2.AsyncClient(headers=headers) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                found = await answer(client, "diagnose", incident="demo.json")
                assert found.structured_content["suspects"][0]["service"] == "db"

        asyncio.run(talk())
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize("options", [[], ["--incidents", "nowhere"]])
def test_without_anything_to_look_at_it_says_so(options: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        command(*options), capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
