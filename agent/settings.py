"""Settings from environment variables and `.env`: the model's endpoint and key, a hosted FirewatchEnv."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from data.errors import SettingsError

DEFAULT_API_BASE_URL = "https://router.huggingface.co/v1"
DEFAULT_MODEL = "Qwen/Qwen2.5-72B-Instruct"
# Suffix of a policy whose model doesn't see the ranker's suspects.
NO_HINTS = "-without-hints"
# Local endpoints need no key, but the client must send one.
NO_KEY = "none"


@dataclass(frozen=True)
class Settings:
    """Settings that don't come from the command line."""

    api_base_url: str = DEFAULT_API_BASE_URL
    model_names: tuple[str, ...] = (DEFAULT_MODEL,)  # in order of preference
    api_key: str | None = field(default=None, repr=False)
    # {model: US dollars per million prompt tokens, and per million completion tokens}
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    space_url: str | None = None
    report_rewards: bool = False

    @property
    def key(self) -> str | None:
        """The API key, a placeholder for a local endpoint; None: no model can be used."""
        return self.api_key or (NO_KEY if _is_local(self.api_base_url) else None)

    @property
    def public_api_base_url(self) -> str:
        """The endpoint without credentials, to write down."""
        parts = urlsplit(self.api_base_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    def models_for(self, policy: str) -> tuple[str, ...]:
        """The models to use in a run with this policy."""
        return self.model_names if policy in ("auto", "llm") and self.key is not None else ()


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Reads the settings from variables, which include those of `.env`.

    Raises:
        SettingsError: names a variable with an invalid value.
    """
    base_url = environ.get("API_BASE_URL") or DEFAULT_API_BASE_URL
    space_url = environ.get("SPACE_URL") or None
    for name, url in (("API_BASE_URL", base_url), ("SPACE_URL", space_url)):
        if url and not _is_url(url):
            # A URL may hold credentials.
            raise SettingsError(f"{name}: not a URL – write it as https://host/path")
    rewards = environ.get("INFERENCE_REPORT_REWARDS") or "0"
    if rewards not in ("0", "1"):
        raise SettingsError(f"INFERENCE_REPORT_REWARDS={rewards}: must be 0 or 1")
    models = tuple(
        name.strip() for name in (environ.get("MODEL_NAME") or DEFAULT_MODEL).split(",") if name.strip()
    )
    key = (environ.get("HF_TOKEN") or environ.get("OPENAI_API_KEY") or "").strip() or None
    prices = _prices(environ.get("MODEL_PRICES") or "")
    return Settings(base_url, models or (DEFAULT_MODEL,), key, prices, space_url, rewards == "1")


def _prices(text: str) -> dict[str, tuple[float, float]]:
    """Reads `model=prompt/completion`, several separated by commas."""
    prices = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        model, _, price = entry.rpartition("=")
        prompt, _, completion = price.partition("/")
        try:
            prices[model] = (float(prompt), float(completion))
        except ValueError:
            raise SettingsError(
                f"MODEL_PRICES: '{entry}' – write model=PROMPT/COMPLETION in US dollars for a million tokens"
            ) from None
    return prices


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(httpx.URL(url).host) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False


def _is_local(url: str) -> bool:
    """Whether the host is this machine or on the local network."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local"))
    return address.is_loopback or address.is_private
