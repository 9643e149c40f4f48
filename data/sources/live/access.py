"""The address of a source and its secrets, which are never shown."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from data.errors import SettingsError


@dataclass(frozen=True)
class Access:
    """One source. Only `name` and `url` are ever printed."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    verify: ssl.SSLContext | bool = field(default=True, repr=False)

    def without_secrets(self, text: str) -> str:
        """The text of a source without the secrets, which it may repeat."""
        secrets = [*self.headers.values(), *(self.auth or ())]
        for secret in filter(None, (part for one in secrets for part in (one, one.removeprefix("Bearer ")))):
            text = text.replace(secret, "…")
        return text

    def client(self, timeout_s: float) -> httpx.AsyncClient:
        """A client that sends the secrets to this source alone: redirects are not followed."""
        return httpx.AsyncClient(
            base_url=self.url, headers=self.headers, auth=self.auth, verify=self.verify, timeout=timeout_s
        )


def access(name: str, url: str, variables: Mapping[str, str]) -> Access:
    """Reads how to access the source `name`, such as "Prometheus".

    Args:
        name: of the source; in upper case, the prefix of its variables.
        url: http or https; a user and password are taken out of it.
        variables: …_TOKEN, …_USER and …_PASSWORD (or …_TOKEN_FILE, …_PASSWORD_FILE), …_HEADERS
            ("X-Scope-OrgID: shop; …"), …_CA_FILE, …_CERT_FILE, …_KEY_FILE.

    Raises:
        SettingsError: no usable address, or a file that cannot be used. Never quotes a secret.
    """
    prefix = name.upper()
    try:
        given = httpx.URL(url if "://" in url else f"http://{url}")
    except httpx.InvalidURL:
        raise SettingsError(f"{name}: no usable address – give one like http://prometheus:9090") from None
    if given.scheme not in ("http", "https") or not given.host:
        raise SettingsError(f"{name}: no usable address – give one like http://prometheus:9090")

    headers = _headers(variables.get(f"{prefix}_HEADERS", ""), f"{prefix}_HEADERS")
    token, user = secret(f"{prefix}_TOKEN", variables), variables.get(f"{prefix}_USER")
    password = secret(f"{prefix}_PASSWORD", variables)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    auth = (given.username, given.password) if given.username else (user, password or "") if user else None
    shown = str(given.copy_with(username=None, password=None, query=None, fragment=None)).rstrip("/")
    return Access(name, shown, headers, auth, _verify(prefix, variables))


def secret(variable: str, variables: Mapping[str, str]) -> str | None:
    """A secret: from the file that `variable`_FILE names, else from the variable itself.

    Raises:
        SettingsError: the file cannot be used.
    """
    if file := variables.get(f"{variable}_FILE"):
        return _content(file, f"{variable}_FILE")
    return variables.get(variable) or None


def _content(file: str, variable: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{variable}: {file}: {reason} – give a readable file") from None


def _headers(text: str, variable: str) -> dict[str, str]:
    headers = {}
    for line in filter(None, (part.strip() for part in text.replace("\n", ";").split(";"))):
        name, colon, value = line.partition(":")
        if not colon or not name.strip().isascii() or " " in name.strip():
            raise SettingsError(f"{variable}: not a header – write 'Name: value', with ';' between several")
        headers[name.strip()] = value.strip()
    return headers


def _verify(prefix: str, variables: Mapping[str, str]) -> ssl.SSLContext | bool:
    files = {what: variables.get(f"{prefix}_{what}_FILE") for what in ("CA", "CERT", "KEY")}
    if not any(files.values()):
        return True
    what = "CA"
    try:
        context = ssl.create_default_context(cafile=files["CA"])
        what = "CERT"
        if files["CERT"]:
            context.load_cert_chain(files["CERT"], files["KEY"])
    except OSError as error:  # ssl's errors are among them
        reason = error.strerror or "unusable"
        raise SettingsError(f"{prefix}_{what}_FILE: {files[what]}: {reason} – give a PEM file") from None
    return context
