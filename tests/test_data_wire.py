"""The common parts of both clients: addresses, decoding, refusals in one line."""

import pytest

from data.errors import ProtocolError, SettingsError
from data.wire import Address, decode_body, one_line, refusal


@pytest.mark.parametrize(
    ("url", "http", "ws", "is_local"),
    [
        ("http://localhost:8000", "http://localhost:8000", "ws://localhost:8000", True),
        (" https://x.hf.space/ ", "https://x.hf.space", "wss://x.hf.space", False),
        ("ws://127.0.0.1:1/base/", "http://127.0.0.1:1/base", "ws://127.0.0.1:1/base", True),
        ("wss://example.org", "https://example.org", "wss://example.org", False),
        ("http://[::1]:80", "http://[::1]:80", "ws://[::1]:80", True),
    ],
)
def test_addresses(url: str, http: str, ws: str, is_local: bool) -> None:
    assert Address.parse(url) == Address(http, ws, is_local)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host:8000",
        "http://user:secret@host:port",
        "http://user:secret@",
        "ftp://user:secret@host",
        "http://[secret@host",
        "http://host:0/?key=secret",
        "http://user:secret@host:8000\x00",
    ],
)
def test_a_url_with_a_password_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Address.parse(url)
    assert "secret" not in str(refused.value)


def test_decoded_text_can_always_be_written() -> None:
    """Unpaired surrogates are replaced; pairs and all other text stay."""
    assert decode_body(r'{"a": "\ud83d\ude00 \ud800 \uDFFF", "b": 1.5}', "x") == {"a": "😀 � �", "b": 1.5}
    assert decode_body(b'["\\\\ud800"]', "x") == ["\\ud800"]


@pytest.mark.parametrize("text", ["", "{", "NaN,", b"\xff", "[" * 100_000])
def test_what_is_not_json(text: str | bytes) -> None:
    with pytest.raises(ProtocolError, match="x: not JSON"):
        decode_body(text, "x")


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "1e999", '{"a": -1e999}'])
def test_infinite_numbers_are_refused_only_where_asked(text: str) -> None:
    decode_body(text, "x")
    with pytest.raises(ProtocolError):
        decode_body(text, "x", finite=True)


def test_refusals_are_one_short_line() -> None:
    detail = [
        {"loc": ["body", "action"], "msg": "Input\nshould be " + "x" * 500, "input": "y" * 500},
        "odd",
        3,
    ]
    line = refusal(detail)
    assert line.startswith("body.action: Input should be x") and "sent: yyy" in line and len(line) <= 300
    assert refusal("a\n b") == "a b"
    assert len(one_line("z" * 1000)) == 300
