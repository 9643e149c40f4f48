"""Sends diagnoses to a webhook, as JSON or as a Slack message, with retries."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from httpx_retries import Retry, RetryTransport

from data.errors import SettingsError, TelemetryFault
from data.sources.live.access import access, secret

VARIABLE = "NOTIFY_URL"
_LONGEST_TEXT = 3000  # characters that Slack shows without folding
_TIMEOUT_S = 10.0


def message_body(form: str, record: Mapping[str, Any], words: str) -> str:
    """The message for a diagnosis: its record or its words."""
    if form == "json":
        return json.dumps(record, ensure_ascii=False)
    text = words if len(words) <= _LONGEST_TEXT else words[: _LONGEST_TEXT - 1] + "…"
    for letter, spelt in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
    ):  # no mentions
        text = text.replace(letter, spelt)
    title, _, rest = text.partition("\n")
    code = rest.strip().replace("```", "'''")
    return json.dumps({"text": f"{title}\n```\n{code}\n```" if code else title}, ensure_ascii=False)


class Notifier:
    """One webhook. Its address may be a secret, so only its host is ever shown.

    Args:
        variables: NOTIFY_URL or NOTIFY_URL_FILE, and secrets as for sources of telemetry: NOTIFY_TOKEN,
            NOTIFY_USER, NOTIFY_PASSWORD, NOTIFY_HEADERS, NOTIFY_CA_FILE and so on.
        wait_s: before the second retry; each later one waits twice as long.

    Raises:
        SettingsError: no address, or a variable that cannot be used.
    """

    def __init__(self, variables: Mapping[str, str], wait_s: float = 1.0) -> None:
        url = secret(VARIABLE, variables)
        if url is None:
            raise SettingsError(f"--notify: {VARIABLE} and {VARIABLE}_FILE are not set – set one")
        reached = access("Notify", url, variables)
        self.host = urlsplit(reached.url).hostname
        self._url = url if "://" in url else f"http://{url}"
        retry = Retry(
            total=8,
            allowed_methods=["POST"],
            status_forcelist=[408, 425, 429, 500, 502, 503, 504],
            backoff_factor=wait_s / 2,
            backoff_jitter=0.5,
        )
        self._client = httpx.AsyncClient(
            transport=RetryTransport(httpx.AsyncHTTPTransport(verify=reached.verify), retry),
            headers={**reached.headers, "Content-Type": "application/json"},
            auth=reached.auth,
            timeout=_TIMEOUT_S,
        )

    async def send(self, body: str) -> None:
        """Posts a message, with retries for some minutes if that may help.

        Raises:
            TelemetryFault: it was not accepted.
        """
        try:
            # Streamed, so that an answer of any length is not read.
            async with self._client.stream("POST", self._url, content=body.encode()) as response:
                status = response.status_code
        except httpx.HTTPError as error:
            raise TelemetryFault(f"{self.host} cannot be reached: {type(error).__name__}") from None
        if status >= 300:
            raise TelemetryFault(f"{self.host} answered {status}: is {VARIABLE} right?", status)

    async def close(self) -> None:
        """Ends the connections."""
        await self._client.aclose()
