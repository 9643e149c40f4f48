"""Contract rules for servers: status codes, bodies, sessions."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, WebSocketException

from data.contract.raw_server import PAUSE_S, Server, ask_frame
from data.contract.rule import Broken, ContractRule, ContractRules, NotTried, RuleResult, demand
from data.errors import FirewatchError
from data.wire import Address, decode_body, http_client, one_line

_TIMEOUT_S = 30.0
_PATIENCE = 30
_EASY = {"difficulty": "easy", "seed": 3}
_OTHER = {"difficulty": "easy", "seed": 4}
_LOOK = {"action_type": "escalate"}
_RESOLVE = {"action_type": "declare_resolved"}
_HUGE = "x" * (4 * 2**20)
_TOO_BIG_CLOSE = 1009


SERVER_RULES = ContractRules[Awaitable[None]]()


async def check_server(url: str) -> tuple[RuleResult, ...]:
    """Checks the server at `url` against the protocol's rules for HTTP and WebSocket.

    Raises:
        SettingsError: `url` is not a server's URL.
    """
    address = Address.parse(url)
    results: list[RuleResult] = []
    for rule in SERVER_RULES:
        crowded = any(result.passed and result.why for result in results)
        results.append(await _verdict(rule, address, 1 if crowded else _PATIENCE))
    return tuple(results)


async def _verdict(rule: ContractRule[Awaitable[None]], address: Address, patience: int) -> RuleResult:
    """Checks a rule on its own connections, and once more after a pause if it fails.

    If both transports share one episode, the end of an earlier session may disturb the first try.
    """
    try:
        if await _why(rule, address, patience) is None:
            return rule.verdict(None)
        await asyncio.sleep(PAUSE_S)
        return rule.verdict(await _why(rule, address, patience))
    except NotTried as reason:
        return RuleResult(rule.name, rule.sentence, True, str(reason))


async def _why(rule: ContractRule[Awaitable[None]], address: Address, patience: int) -> str | None:
    try:
        async with http_client(address, _TIMEOUT_S) as http, asyncio.timeout(_TIMEOUT_S):
            await rule.holds(Server(http, address, patience))
    except (Broken, FirewatchError) as error:
        return str(error)
    except (httpx.HTTPError, WebSocketException, OSError, TimeoutError) as error:
        return one_line(f"{type(error).__name__}: {error}")
    return None


def _observation(answer: dict[str, Any], where: str) -> dict[str, Any]:
    observation = answer.get("observation")
    demand(isinstance(observation, dict), f"{where}: the answer carries no observation")
    assert isinstance(observation, dict)
    demand(isinstance(observation.get("services"), dict), f"{where}: the observation carries no services")
    return observation


def _is_nothing(answer: dict[str, Any], where: str) -> None:
    """Demands the answer for "no episode": no services, a reason, and not done."""
    observation = _observation(answer, where)
    demand(not observation["services"], f"{where}: services are shown")
    demand(answer.get("done") is False, f"{where}: done is {answer.get('done')}")
    history = observation.get("action_history") or [{}]
    demand(
        history[-1].get("action_type") == "error" and bool(history[-1].get("feedback_string")),
        f"{where}: no reason in the history",
    )


@SERVER_RULES
async def health_answers(server: Server) -> None:
    """`GET /health` answers 200."""
    status, _ = await server.call("GET", "/health")
    demand(status == 200, f"status {status}")


@SERVER_RULES
async def the_server_describes_itself(server: Server) -> None:
    """`GET /metadata` and `GET /schema` answer 200 with an object."""
    for path in ("/metadata", "/schema"):
        status, body = await server.call("GET", path)
        demand(status == 200 and isinstance(body, dict), f"{path}: status {status}")


@SERVER_RULES
async def answers_have_their_parts(server: Server) -> None:
    """`/reset` answers with observation, reward and done, `/step` with an `info` as well."""
    begun = await server.post("/reset", _EASY)
    _observation(begun, "/reset")
    demand(
        {"reward", "done"} <= begun.keys() and begun["done"] is False, f"/reset answers with {sorted(begun)}"
    )
    looked = await server.post("/step", {"action": _LOOK})
    _observation(looked, "/step")
    demand({"reward", "done", "info"} <= looked.keys(), f"/step answers with {sorted(looked)}")
    info = looked["info"]
    demand(
        isinstance(info, dict) and {"action_valid", "action_feedback"} <= info.keys(),
        f"the info is {one_line(info)}",
    )


@SERVER_RULES
async def the_state_counts_steps(server: Server) -> None:
    """`/state` counts the steps of the running episode; its id stays until the next reset changes it."""
    await server.post("/reset", _EASY)
    begun = await server.state()
    await server.post("/step", {"action": _LOOK})
    moved = await server.state()
    demand(begun.get("step_count") == 0, f"after a reset step_count is {begun.get('step_count')}")
    demand(moved.get("step_count") == 1, f"after a step step_count is {moved.get('step_count')}")
    demand(bool(begun.get("episode_id")), "there is no episode_id")
    demand(begun["episode_id"] == moved.get("episode_id"), "a step changed the episode_id")
    await server.post("/reset", _EASY)
    again = await server.state()
    demand(again.get("episode_id") != begun["episode_id"], "a reset kept the episode_id")
    demand(again.get("step_count") == 0, f"after a reset step_count is {again.get('step_count')}")


@SERVER_RULES
async def what_is_no_action_is_refused_with_422(server: Server) -> None:
    """An unknown action type, parameters that are no object and an extra key get a 422 with the reason."""
    await server.post("/reset", _EASY)
    for action in (
        {"action_type": "no_such_action"},
        {**_LOOK, "parameters": "oops"},
        {**_LOOK, "colour": "red"},
    ):
        status, body = await server.call("POST", "/step", {"action": action})
        demand(status == 422, f"{one_line(action)}: status {status}")
        demand(isinstance(body, dict) and bool(body.get("detail")), f"{one_line(action)}: no detail")


@SERVER_RULES
async def what_is_no_request_is_answered_flat(server: Server) -> None:
    """A body without `action` and a seed that is no number are answered 200 without an `observation`."""
    for path, body in (("/step", {}), ("/step", _LOOK), ("/reset", {**_EASY, "seed": "abc"})):
        answer = await server.post(path, body)
        demand("observation" not in answer, f"{path} {one_line(body)}: it was played")
        demand("services" in answer, f"{path} {one_line(body)}: the flat body has no services")


@SERVER_RULES
async def unknown_tasks_start_nothing(server: Server) -> None:
    """An unknown task id and an unknown difficulty are answered 200, without services and with the reason."""
    for body in ({**_EASY, "task_id": "task_nobody_knows"}, {**_EASY, "difficulty": "nightmare"}):
        _is_nothing(await server.post("/reset", body), one_line(body))


@SERVER_RULES
async def unknown_targets_cost_half_a_point(server: Server) -> None:
    """A remedy for an unknown service has `action_valid: false` and a reward of -0.5."""
    await server.post("/reset", _EASY)
    action = {"action_type": "restart_service", "target_service": "no-such-service"}
    answer = await server.post("/step", {"action": action})
    info = answer.get("info") or {}
    demand(info.get("action_valid") is False, f"action_valid is {info.get('action_valid')}")
    demand(answer.get("reward") == -0.5, f"the reward is {answer.get('reward')}")


@SERVER_RULES
async def after_the_end_nothing_moves(server: Server) -> None:
    """A step after the end is answered 200, not done, without services, with the old score in `info`."""
    await server.post("/reset", _EASY)
    ended = await server.post("/step", {"action": _RESOLVE})
    demand(ended.get("done") is True, f"declare_resolved: done is {ended.get('done')}")
    score = (ended.get("info") or {}).get("episode_score")
    demand(isinstance(score, (int, float)), f"declare_resolved: the score in info is {score}")
    after = await server.post("/step", {"action": _LOOK})
    _is_nothing(after, "after the end")
    stale = (after.get("info") or {}).get("episode_score")
    demand(stale == score, f"after the end the score in info is {stale}, it was {score}")


@SERVER_RULES
async def frames_are_like_answers_without_info(server: Server) -> None:
    """WebSocket frames carry type and data: observation, reward and done, no `info`; `state` counts steps."""
    async with server.session() as connection:
        for kind, data in (("reset", _EASY), ("step", _LOOK)):
            frame = await ask_frame(connection, kind, data)
            demand(frame.get("type") == "observation", f"{kind}: a frame of type {frame.get('type')}")
            demand("info" not in frame["data"], f"{kind}: the frame carries info")
            demand({"reward", "done"} <= frame["data"].keys(), f"{kind}: {sorted(frame['data'])}")
            demand(bool(_observation(frame["data"], kind)["services"]), f"{kind}: no services")
        frame = await ask_frame(connection, "state")
        demand(frame.get("type") == "state", f"state: a frame of type {frame.get('type')}")
        count = frame["data"].get("step_count")
        demand(count == 1, f"after a step the state frame counts {count}")


@SERVER_RULES
async def frames_that_are_none_get_an_error(server: Server) -> None:
    """An unknown action brings an `error` frame with code VALIDATION_ERROR; the session goes on."""
    async with server.session() as connection:
        await ask_frame(connection, "reset", _EASY)
        frame = await ask_frame(connection, "step", {"action_type": "no_such_action"})
        demand(frame.get("type") == "error", f"a frame of type {frame.get('type')}")
        code = frame["data"].get("code")
        demand(code == "VALIDATION_ERROR", f"the code is {code}")
        frame = await ask_frame(connection, "step", _LOOK)
        demand(frame.get("type") == "observation", "the session did not go on")


@SERVER_RULES
async def a_second_session_is_its_own_or_turned_away(server: Server) -> None:
    """A second WebSocket has an episode of its own, or is told CAPACITY_REACHED and closed with 1000."""
    async with server.session() as first:
        begun = await ask_frame(first, "reset", _EASY)
        async with server.connection() as second:
            try:
                frame = await ask_frame(second, "reset", _OTHER)
            except ConnectionClosed:
                raise Broken("the second session was closed without a word") from None
            if frame.get("type") == "error":
                code = frame["data"].get("code")
                demand(code == "CAPACITY_REACHED", f"the second session was refused with {code}")
                await second.wait_closed()
                demand(second.close_code == 1000, f"the second session was closed with {second.close_code}")
        after = await ask_frame(first, "step", _LOOK)
        one, other = (_observation(frame["data"], "first session") for frame in (begun, after))
        demand(
            one["services"].keys() == other["services"].keys(), "the second session's reset changed the first"
        )


@SERVER_RULES
async def both_transports_show_the_same(server: Server) -> None:
    """The same reset and step bring the same observations over HTTP and over WebSocket."""
    # One after the other, because both transports may share one episode.
    async with server.session() as connection:
        frames = [
            (await ask_frame(connection, kind, data))["data"]
            for kind, data in (("reset", _EASY), ("step", _LOOK))
        ]
    for frame, path, body in zip(frames, ("/reset", "/step"), (_EASY, {"action": _LOOK}), strict=True):
        answer = await server.post(path, body)
        demand(frame.get("observation") == answer.get("observation"), f"{path}: they differ")


@SERVER_RULES
async def huge_requests_do_no_harm(server: Server) -> None:
    """A body and a frame of 4 MiB that mean nothing are refused or complained about; the server goes on."""
    # A server may answer and close before reading all of it.
    with suppress(httpx.TransportError):
        status = (await server.http.post("/reset", content=_HUGE)).status_code
        demand(status < 500, f"a huge body: status {status}")
    await server.call("GET", "/state")
    async with server.session() as connection:
        try:
            await connection.send(_HUGE)
            frame = decode_body(await connection.recv(), "/ws")
            demand(frame.get("type") == "error", f"a huge frame: answered by {one_line(frame)}")
        except ConnectionClosed:
            code = connection.close_code
            demand(code == _TOO_BIG_CLOSE, f"a huge frame: closed with {code}")
    async with server.session() as connection:
        demand(
            (await ask_frame(connection, "state")).get("type") == "state", "after a huge frame: no session"
        )
