"""Other agents reach the tools over both transports, get short typed answers, and can break nothing."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_server import telemetry_server
from test_agent_cli_diagnose import sick

pytest.importorskip("mcp")

from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer

from agent.cli import answer as answer_of
from agent.investigation.conclusion import Conclusion
from agent.investigation.investigate import investigate
from agent.investigation.options import InvestigateOptions
from agent.mcp.server import create_server
from data.channels import default_channel_map
from gnn.registry import make_ranker

ROOT = Path(__file__).resolve().parents[1]
OLDER = ("2024-11-05", "2025-03-26", "2025-06-18")
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
            advised = (await answer(client, "suggest_remedy", incident="demo.json")).structured_content
            assert advised["culprits"] == ["db"] and "deployment/db" in advised["command"]
            assert advised["evidence"] and all(rival["why_not"] for rival in advised["rivals"])
            [listed] = (await client.list_resources()).resources
            text = (await client.read_resource(listed.uri)).contents[0].text
            assert json.loads(text)["incident_id"] == "demo"

    asyncio.run(talk())


@pytest.fixture(scope="module")
def asked_in_memory(tmp_path_factory: pytest.TempPathFactory) -> MCPServer:
    """The server without a process around it; a folder and a file that is no text lie among the incidents."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "demo.json").write_text(json.dumps(INCIDENT), encoding="utf-8")
    (folder / "two.jsonl").write_text(2 * (json.dumps(INCIDENT) + "\n"), encoding="utf-8")
    (folder / "noise.bin").write_bytes(bytes(range(256)))
    (folder / "folder").mkdir()
    (folder / "an öd%20d name#1.json").write_text("{}", encoding="utf-8")

    async def recommend(path: Path | None) -> Conclusion:
        asked = InvestigateOptions(incident=(path,) if path else (), policy="rules")
        return (await investigate(asked, {})).conclusion

    return create_server(make_ranker("gnn"), default_channel_map(), folder, None, recommend)


def test_wrong_arguments_are_errors(asked_in_memory: MCPServer) -> None:
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
        async with Client(asked_in_memory) as client:
            for tool, arguments in calls:
                try:
                    assert (await client.call_tool(tool, arguments)).is_error, (tool, arguments)
                except Exception as error:  # the SDK raises what the protocol calls an error
                    assert type(error).__module__.startswith("mcp"), error
            found = await answer(client, "diagnose", incident="demo.json", top=10**6)
            assert found.structured_content["suspects"]

    asyncio.run(talk())


NAMES = st.sampled_from(["demo.json", "two.jsonl", "noise.bin", "folder", "..", "live", "", "db", "\x00"])
VALUES = NAMES | st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(NAMES)
ARGUMENTS = st.fixed_dictionaries({}, optional=dict.fromkeys(("incident", "service", "top", "more"), VALUES))
TOOLS = ("is_anything_wrong", "diagnose", "explain_service", "topology", "suggest_remedy", "saved_incidents")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from((*TOOLS, "no_such_tool")), ARGUMENTS), min_size=1, max_size=3))
def test_any_arguments_get_an_answer_or_an_error(
    asked_in_memory: MCPServer, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    async def talk() -> None:
        async with Client(asked_in_memory) as client:
            for tool, arguments in calls:
                try:
                    found = await client.call_tool(tool, arguments)
                except MCPError:
                    continue
                assert found.is_error or found.structured_content is not None
                assert "Traceback" not in str(found.content)
            assert not (await answer(client, "topology", incident="demo.json")).is_error

    asyncio.run(talk())


@pytest.mark.parametrize("name", ["noise.bin", "folder", "../demo.json", "nothing.json"])
def test_what_is_no_text_is_no_resource(asked_in_memory: MCPServer, name: str) -> None:
    async def talk() -> None:
        async with Client(asked_in_memory) as client:
            with suppress(MCPError):
                assert (await client.read_resource(f"incident://{name}")).contents[0].text.startswith("\x00")

    asyncio.run(talk())


def test_clients_of_older_protocol_versions_and_noise_are_served(saved: Path) -> None:
    """Spoken by hand, line by line, as clients of these versions do."""
    with subprocess.Popen(
        command("--incidents", str(saved), "--quiet"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout

        def say(text: str) -> None:
            process.stdin.write(text + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]

        def ask(number: int, method: str, **parameters: object) -> Any:
            say(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}))
            for line in process.stdout:  # type: ignore[union-attr]
                if (told := json.loads(line)).get("id") == number:
                    return told
            raise AssertionError("no answer")

        client = {"name": "old", "version": "1"}
        for number, version in enumerate(OLDER):
            begun = ask(number, "initialize", protocolVersion=version, capabilities={}, clientInfo=client)
            assert begun["result"]["protocolVersion"] == version
            say('{"jsonrpc": "2.0", "method": "notifications/initialized"}')
            for noise in ("{", "[" * 10**4, "null", '{"jsonrpc": "2.0", "id": [], "method": 7}'):
                say(noise)
            found = ask(100 + number, "tools/call", name="diagnose", arguments={"incident": "demo.json"})
            told = json.loads(found["result"]["content"][0]["text"])
            assert told["suspects"][0]["service"] == "db"
        process.terminate()


@pytest.fixture
def prometheus() -> Iterator[str]:
    with telemetry_server(sick) as url:
        yield url


def test_over_http_live_telemetry_is_told_to_who_has_the_token(saved: Path, prometheus: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "FIREWATCH_MCP_TOKEN": "open-sesame"}
    process = subprocess.Popen(
        command("--incidents", str(saved), "--prometheus", prometheus, "--transport", "http", "--port", "0"),
        env=env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("Tools at http://127.0.0.1:") and "open-sesame" not in line
        url = line.split()[2].rstrip(",")
        headers = {"Authorization": "Bearer open-sesame"}
        assert httpx2.post(url, json={}).status_code == 401
        for body in (b"", b"{", b"[]", b"\xff", b"[" * 10**5, b'{"jsonrpc": "2.0", "method": "tools/call"}'):
            assert 400 <= httpx2.post(url, content=body, headers=headers).status_code < 500
        other = httpx2.post(url, json={}, headers={**headers, "Host": "evil.example"})
        assert 400 <= other.status_code < 500

        async def talk() -> None:
            async with (
                httpx2.AsyncClient(headers=headers) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                found = await answer(client, "diagnose", incident="demo.json")
                assert found.structured_content["suspects"][0]["service"] == "db"
                live = (await answer(client, "diagnose")).structured_content
                assert live["suspects"][0]["service"] == "b"
                assert any('"b"' in fact["query"] for fact in live["suspects"][0]["evidence"])
                advised = (await answer(client, "suggest_remedy")).structured_content
                assert (advised["verdict"], advised["culprits"]) == ("culprit", ["b"])

        asyncio.run(talk())
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize("options", [[], ["--incidents", "nowhere"]])
def test_without_anything_to_look_at_it_says_so(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_of(["mcp", *options]) == 2
    assert "--incidents" in capsys.readouterr().err


def test_every_listed_resource_can_be_read(asked_in_memory: MCPServer) -> None:
    async def talk() -> None:
        async with Client(asked_in_memory) as client:
            listed = {one.name: one.uri for one in (await client.list_resources()).resources}
            assert set(listed) == {"demo.json", "two.jsonl", "noise.bin", "an öd%20d name#1.json"}
            for uri in listed.values():
                assert (await client.read_resource(uri)).contents
            assert (await client.read_resource(listed["an öd%20d name#1.json"])).contents[0].text == "{}"

    asyncio.run(talk())
