"""Protects a server with a secret: a bearer token, or a user and password."""

import hmac
from base64 import b64encode
from collections.abc import Collection, Mapping

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from data.sources.live.access import secret


def authorizations(prefix: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The accepted `Authorization` headers; empty if no secret is set.

    Args:
        variables: …_TOKEN, and …_USER with …_PASSWORD (or …_TOKEN_FILE, …_PASSWORD_FILE).

    Raises:
        SettingsError: a file cannot be used.
    """
    token, password = secret(f"{prefix}_TOKEN", variables), secret(f"{prefix}_PASSWORD", variables)
    basic = b64encode(f"{variables.get(f'{prefix}_USER', '')}:{password}".encode()).decode()
    return (*([f"Bearer {token}"] if token else []), *([f"Basic {basic}"] if password else []))


class SecretRequired:
    """Refuses requests without one of these headers."""

    def __init__(self, app: ASGIApp, accepted: Collection[str], unguarded: Collection[str] = ()) -> None:
        self._app, self._unguarded = app, unguarded
        self._accepted = [value.encode() for value in accepted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401 or passes the request on."""
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        is_known = any(hmac.compare_digest(given, value) for value in self._accepted)
        if scope["type"] == "http" and scope["path"] not in self._unguarded and not is_known:
            schemes = ", ".join(dict.fromkeys(value.split()[0].decode() for value in self._accepted))
            refusal = PlainTextResponse("wrong or missing credentials\n", 401, {"WWW-Authenticate": schemes})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)
