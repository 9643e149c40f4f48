"""Settings are read once, errors name the variable, and the key is never shown."""

import pytest

from agent.settings import DEFAULT_API_BASE_URL, DEFAULT_MODEL, NO_KEY, read_settings
from data.errors import SettingsError
from data.limits import InputLimits, read_limits


def test_nothing_set_means_the_documented_defaults_and_no_model() -> None:
    settings = read_settings({})
    assert (settings.api_base_url, settings.model_names) == (DEFAULT_API_BASE_URL, (DEFAULT_MODEL,))
    assert (settings.key, settings.space_url, settings.report_rewards) == (None, None, False)
    assert settings.models_for("auto") == settings.models_for("llm") == ()


def test_a_key_brings_the_model_in_where_the_policy_asks_one() -> None:
    settings = read_settings({"OPENAI_API_KEY": "sk-1", "MODEL_NAME": "a, b"})
    assert settings.models_for("auto") == settings.models_for("llm") == ("a", "b")
    assert settings.models_for("rules") == settings.models_for("legacy-rules") == ()
    assert "sk-1" not in repr(settings)
    assert read_settings({"HF_TOKEN": "hf", "OPENAI_API_KEY": "sk"}).key == "hf"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://localhost:11434/v1", NO_KEY),
        ("http://127.0.0.1:8000/v1", NO_KEY),
        ("http://[::1]:8000/v1", NO_KEY),
        ("http://192.168.0.5/v1", NO_KEY),
        ("http://ollama:11434/v1", NO_KEY),
        ("https://api.openai.com/v1", None),
    ],
)
def test_only_a_local_endpoint_needs_no_key(url: str, key: str | None) -> None:
    assert read_settings({"API_BASE_URL": url}).key == key


@pytest.mark.parametrize(
    "variables",
    [
        {"API_BASE_URL": "router.huggingface.co"},
        {"API_BASE_URL": "http://[bad/v1"},
        {"API_BASE_URL": "http://localhost:abc/v1"},
        {"SPACE_URL": "ftp://space"},
        {"INFERENCE_REPORT_REWARDS": "yes"},
        {"MODEL_PRICES": "model=cheap"},
    ],
)
def test_what_cannot_be_used_is_refused_by_name(variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(variables))):
        read_settings(variables)


def test_a_refused_url_is_not_shown_since_it_may_hold_credentials() -> None:
    with pytest.raises(SettingsError, match="API_BASE_URL") as refused:
        read_settings({"API_BASE_URL": "ftp://user:hunter2@host/v1"})
    assert "hunter2" not in str(refused.value)


def test_empty_variables_are_unset_ones() -> None:
    empty = dict.fromkeys(("HF_TOKEN", "API_BASE_URL", "MODEL_NAME", "SPACE_URL", "MODEL_PRICES"), "")
    assert read_settings(empty) == read_settings({})


def test_prices() -> None:
    prices = read_settings({"MODEL_PRICES": "Qwen/Qwen2.5=0.35/0.4, b=1/2"}).prices
    assert prices == {"Qwen/Qwen2.5": (0.35, 0.4), "b": (1.0, 2.0)}


def test_what_may_be_written_down_holds_no_credentials() -> None:
    settings = read_settings({"API_BASE_URL": "https://user:pass@host:1/v1?key=x"})
    assert settings.public_api_base_url == "https://host:1/v1"


def test_bounds_are_set_by_name() -> None:
    assert read_limits({}) == InputLimits()
    assert read_limits({"FIREWATCH_LIMITS": " services=5, answer_mib=64 "}) == InputLimits(
        answer_mib=64, services=5
    )


@pytest.mark.parametrize(
    "text", ["services", "services=0", "services=-1", "speed=5", "services=5x", "services=²"]
)
def test_a_bound_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"FIREWATCH_LIMITS: .* names are answer_mib, "):
        read_limits({"FIREWATCH_LIMITS": text})
