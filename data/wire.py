"""Shared by the HTTP and WebSocket clients: addresses, bodies, and checks that the episode is still ours."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict

from data.bounded import PACKED_HEADER, bounded
from data.errors import EpisodeLost, ProtocolError, SchemaError, SettingsError, TaskRefused
from data.files import json_text
from data.limits import MIB, limits
from data.observation import Action, Step, Task, parse, parse_step

_SCHEMES = {"http": ("http", "ws"), "https": ("https", "wss"), "ws": ("http", "ws"), "wss": ("https", "wss")}
_LONGEST_REASON = 300


class ServerState(BaseModel):
    """The answer of `/state` or of a WebSocket `state` frame."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    episode_id: str | None = None
    step_count: int = 0


@dataclass(frozen=True)
class Address:
    """The two base URLs of a server, without a trailing slash."""

    http: str
    ws: str
    # Servers on this machine are reached without a proxy.
    is_local: bool

    @staticmethod
    def parse(url: str) -> "Address":
        """Reads a server's URL, `http(s)://` or `ws(s)://`, with or without a path.

        Raises:
            SettingsError: not a server's URL.
        """
        try:
            parts = urlsplit(url.strip())
            host = parts.hostname or ""
            host.encode("idna")
            httpx.URL(url.strip())
            is_server = parts.scheme in _SCHEMES and host != "" and parts.port != 0
        except (ValueError, httpx.InvalidURL):
            is_server = False
        if not is_server:
            # What stands before an "@" or behind a "?" may be a secret.
            shown = url.strip().rpartition("@")[2].partition("?")[0]
            raise SettingsError(f"'{shown}' is not a server's URL – write it like http://localhost:8000")
        if parts.query or parts.fragment or parts.username is not None:
            raise SettingsError(f"'{host}': a server's URL has no user, query or fragment")
        http, ws = _SCHEMES[parts.scheme]
        return Address(_with_scheme(parts, http), _with_scheme(parts, ws), is_local(host))


def is_local(hostname: str) -> bool:
    """Whether this host name or address is this machine."""
    return hostname in ("localhost", "::1") or hostname.startswith("127.")


def _with_scheme(parts: SplitResult, scheme: str) -> str:
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def http_client(address: Address, timeout: float | httpx.Timeout) -> httpx.AsyncClient:
    """An HTTP client for the server at `address`; redirects are not followed, and bodies are bounded.

    Raises:
        SettingsError: the proxy in the process environment cannot be used.
    """
    try:
        return httpx.AsyncClient(
            base_url=address.http,
            timeout=timeout,
            trust_env=not address.is_local,
            headers=PACKED_HEADER,
            event_hooks={"response": [bounded(limits().answer_mib * MIB)]},
            # Loading certificates is slow, so only do it if needed.
            verify=address.http.startswith("https:"),
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise bad_proxy(error) from None


def bad_proxy(error: Exception) -> SettingsError:
    """The error for an unusable proxy in the process environment; the URL may hold a password."""
    known = "a SOCKS proxy, which is not supported" if isinstance(error, ImportError) else "not a proxy's URL"
    return SettingsError(
        f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY: {known} – write it like http://proxy:3128, or unset it"
    )


def one_line(text: object) -> str:
    """`text` without line breaks, shortened to fit a message."""
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


def decode_body(text: str | bytes, where: str, *, finite: bool = False) -> Any:
    """Decodes a body.

    Raises:
        ProtocolError: it is not JSON, or too large to read safely.
    """
    try:
        return json_text.read_json(text, limits().memory_mib * MIB, finite=finite)
    except json_text.NotJson as error:
        if error.line is None:
            raise ProtocolError(f"{where}: not JSON that can be read: {error}") from None
        shown = text[:80] if isinstance(text, str) else text[:80].decode(errors="replace")
        raise ProtocolError(
            f"{where}: not JSON but '{one_line(shown)}' – is this a FirewatchEnv server?"
        ) from None


def read_state(raw: object, where: str) -> ServerState:
    """Reads the response of `/state`.

    Raises:
        ProtocolError: it has another shape.
    """
    try:
        return parse(ServerState, raw, where)
    except SchemaError as error:
        raise ProtocolError(str(error)) from None


def reset_request(task: Task) -> dict[str, Any]:
    """The body for `/reset` or a WebSocket `reset` frame."""
    request: dict[str, Any] = {"difficulty": task.difficulty, "seed": task.seed}
    return request | ({"task_id": task.task_id} if task.task_id else {})


def refusal(detail: object) -> str:
    """A 422's `detail` or a frame's `errors` in one line: "action_type: Input should be …"."""
    if not isinstance(detail, list):
        return one_line(detail)
    return one_line("; ".join(_complaint(entry) for entry in detail))


def _complaint(entry: object) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    loc = entry.get("loc")
    path = ".".join(str(part) for part in loc) if isinstance(loc, (list, tuple)) else ""
    # Long lists of allowed values would hide what was sent.
    message = one_line(entry.get("msg", "refused"))
    if len(message) > 120:
        message = message[:119] + "…"
    given = f" (sent: {one_line(entry['input'])[:60]})" if "input" in entry else ""
    return f"{path}: {message}{given}" if path else f"{message}{given}"


def read_reset(raw: object, where: str, task: Task) -> Step:
    """Reads the response to a reset.

    Raises:
        TaskRefused: the server does not know the task or cannot start it; with its reason.
        ProtocolError: the response is not an observation.
    """
    step = _read(raw, where)
    if not step.observation.services:
        raise TaskRefused(f"{where}: {task.name}: {step.error or 'the server started no service'}")
    return step


def read_step(raw: object, where: str, before: Step) -> Step:
    """Reads the response to a step and checks that it continues the episode of `before`.

    Raises:
        EpisodeLost: the server no longer has this episode; with its reason.
        ProtocolError: the response is not an observation.
    """
    step = _read(raw, where)
    seen, now = before.observation, step.observation
    if not now.services:
        reason = step.feedback or "no episode is running"
        raise EpisodeLost(
            f"{where}: {one_line(reason)} (a server that keeps no episode over HTTP needs --transport ws)"
        )
    if set(now.services) != set(seen.services):
        new = ", ".join(sorted(set(now.services) ^ set(seen.services))[:4])
        raise EpisodeLost(f"{where}: another client has reset the episode: the services changed ({new})")
    if now.sim_tick <= seen.sim_tick:
        raise EpisodeLost(
            f"{where}: another client has reset the episode: tick {now.sim_tick} after tick {seen.sim_tick}"
        )
    return step


def stale_step(before: Step, action: Action, why: str) -> Step:
    """A stand-in for a step that took effect but whose response was lost: the previous observation.

    Observing again would cost another tick, so the caller sees the action's effect only after the next one.
    If the episode ended, its score stays unknown.
    """
    done = action.action_type == "declare_resolved"
    return Step(before.observation, done, error=one_line(f"answer lost, the action took hold: {why}"))


def _read(raw: object, where: str) -> Step:
    observation = raw.get("observation") if isinstance(raw, dict) else None
    services = observation.get("services") if isinstance(observation, dict) else None
    if isinstance(services, dict) and len(services) > limits().services:
        raise ProtocolError(f"{where}: {len(services)} services, at most {limits().services} can be handled")
    try:
        return parse_step(raw, where)
    except SchemaError as error:
        raise ProtocolError(str(error)) from None
