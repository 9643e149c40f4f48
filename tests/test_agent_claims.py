"""What a model may say: numbers and causes that were observed of the services it speaks of."""

import pytest

from agent.investigation.claims import LEFT_OUT, checked
from agent.investigation.telemetry_looks import Shown

SHOWN = (
    Shown("error_rate rose from 0 % to 61.1 %, since 10:44 UTC", ("cart",)),
    Shown("latency_p99_s 120 ms before, 1.24 s now", ("cart",)),
    Shown("memory_bytes 26.8 MB before, 27 MB now", ("cart",)),
    Shown("cart: deployed 4 min before the end of the window", ("cart",)),
    Shown("ERROR write failed: no space left on device, 1,234 blocks", ("db-2",)),
    Shown("error_rate rose from 1 % to 9 %", ("web",)),
)
SERVICES = ("cart", "db-2", "web", "cart-db")


@pytest.mark.parametrize(
    "sentence",
    [
        "Errors of cart rose to 61 %.",
        "The error rate of cart is 0.61.",
        "cart takes 1240 ms where it took 0.12 s.",
        "Since 10:44 cart fails.",
        "cart was deployed 4 minutes ago, or 240 s.",
        "db-2 has no space left for 1234 blocks.",
        "Most likely cart broke.",
        "Something fails at 9 %.",
        "cart holds 27 MB.",
    ],
)
def test_what_was_observed_may_be_said(sentence: str) -> None:
    [claim] = checked(sentence, SHOWN, SERVICES)
    assert claim.is_supported and claim.text == sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "Errors of cart rose to 75 %.",
        "Errors of web rose to 61 %.",
        "cart takes 1.24 ms.",
        "Since 11:02 cart fails.",
        "cart was deployed 9 minutes ago.",
        "web was rolled out before.",
        "cart ran out of memory.",
        "The certificate of cart expired.",
        "db-2 lost 98765 packets.",
        "cart-db fails at 61 %.",
    ],
)
def test_what_was_not_observed_is_not_repeated(sentence: str) -> None:
    [claim] = checked(sentence, SHOWN, SERVICES)
    assert (claim.text, claim.is_supported) == (LEFT_OUT, False)


def test_each_sentence_is_checked_by_itself() -> None:
    said = checked("cart fails at 61 %. It lost 98765 rows!\nSo look at cart.", SHOWN, SERVICES)
    assert [claim.is_supported for claim in said] == [True, False, True]
    assert checked("", SHOWN, SERVICES) == () and checked(" \n ", (), ()) == ()


def test_nothing_observed_supports_no_number() -> None:
    assert [claim.is_supported for claim in checked("It is 5. It is bad.", (), ())] == [False, True]
