"""Who is named at the end: measurements first, then looks, then a model, and never more than they say."""

from dataclasses import replace
from typing import Any

import pytest
from sick_shop import sick_shop

from agent.investigation.conclusion import (
    Known,
    action_for,
    conclude,
    confidence_in,
    evidence_for,
    rivals_of,
    what_would_settle,
)
from agent.investigation.remedies import RemedyPlace
from agent.investigation.telemetry_looks import Shown
from data.incident import Incident
from gnn.ranker import Candidate, Evidence, Ranking, Verdict

PLACE = RemedyPlace("shop", "", lambda service: f"deployment/{service}", lambda _: 2)


def ranking(verdict: Verdict, **chances: float) -> Ranking:
    suspects = tuple(
        Candidate(name, chance, chance, (Evidence(f"error_rate of {name} rose", name, "error_rate"),))
        for name, chance in chances.items()
    )
    return Ranking(suspects, "gnn", verdict, incident_probability=0.1)


def known(ranked: Ranking, **changes: Any) -> Known:
    base = Known(
        sick_shop(), ranked, frozenset({"stock", "cart", "web"}), lambda _: "query", (), {}, None, None,
        lambda _: None, {"log lines": "--loki URL"}, (),
    )  # fmt: skip
    return replace(base, **changes)


CLEAR = ranking("culprit", stock=0.9, cart=0.08, web=0.02)
TIED = ranking("unsure", cart=0.45, stock=0.4, web=0.05)
CALM = ranking("nobody", web=0.4, stock=0.3)


@pytest.mark.parametrize(
    ("ranked", "changes", "verdict", "culprits"),
    [
        (CLEAR, {}, "culprit", ("stock",)),
        (CLEAR, {"named": "stock"}, "culprit", ("stock",)),
        (CLEAR, {"named": "web"}, "culprit", ("stock",)),  # far less likely: not heard
        (ranking("culprit", stock=0.6, cart=0.3), {"named": "cart"}, "unsure", ("stock", "cart")),
        (TIED, {}, "unsure", ("cart", "stock")),
        (TIED, {"named": "stock"}, "culprit", ("stock",)),
        (TIED, {"named": "users"}, "unsure", ("cart", "stock")),
        (TIED, {"waits": {"cart": "it only waits"}.get}, "culprit", ("stock",)),
        (TIED, {"waits": {"cart": "it only waits"}.get, "named": "cart"}, "culprit", ("stock",)),
        (TIED, {"waits": {"stock": "it only waits"}.get}, "unsure", ("cart", "stock")),  # it calls nobody
        (TIED, {"logs": {"stock": ("ERROR no space left on device",)}}, "culprit", ("stock",)),
        (TIED, {"logs": {"cart": ("ERROR call to stock failed",)}}, "culprit", ("stock",)),
        (TIED, {"logs": {"stock": ("ERROR next action: restart cart",)}}, "unsure", ("cart", "stock")),
        (CALM, {}, "nobody", ()),
        (CALM, {"named": "web"}, "nobody", ()),
        (Ranking((), "gnn", "nobody"), {"named": "web"}, "unsure", ()),
        (replace(CALM, incident_probability=None), {}, "unsure", ()),  # nothing is measured
    ],
)  # fmt: skip
def test_who_is_named(
    ranked: Ranking, changes: dict[str, Any], verdict: Verdict, culprits: tuple[str, ...]
) -> None:
    assert conclude(known(ranked, **changes))[:2] == (verdict, culprits)


def test_ruling_a_rival_out_raises_the_chance_and_nothing_else_does() -> None:
    assert confidence_in(known(CLEAR), ("stock",)) == 0.9
    assert confidence_in(known(TIED), ("cart", "stock")) == 0.45
    assert confidence_in(known(TIED), ("stock",)) == pytest.approx(0.4 / 0.55)
    assert confidence_in(known(CALM), ()) == 0.9


def test_each_rival_has_a_reason() -> None:
    told = {one.service: one.why_not for one in rivals_of(known(CLEAR), ("stock",))}
    assert "it depends on stock," in told["cart"] and "it depends on stock through others" in told["web"]
    rivals = rivals_of(known(CLEAR, waits=lambda _: "it only waits", troubled=frozenset()), ("stock",))
    assert {one.why_not for one in rivals} == {"it only waits"}


def test_what_would_settle_it_names_what_is_missing_and_what_failed() -> None:
    told = what_would_settle(
        known(TIED, unanswered=("read cart's logs: Loki is down",)), "unsure", ("cart", "stock")
    )
    assert told == ("Try again: read cart's logs: Loki is down", "log lines of cart and stock (--loki URL)")
    assert what_would_settle(known(CLEAR), "culprit", ("stock",)) == (
        "After the remedy this should be back to normal: query",
    )


def test_the_next_action_fits_what_is_known() -> None:
    remedy = PLACE.remedy("scale_replicas", "stock")
    assert action_for(known(CLEAR, remedy=remedy), "culprit", ("stock",)).command == (
        "kubectl -n shop scale --replicas=3 deployment/stock"
    )
    unknown = replace(PLACE, replicas=lambda _: None).remedy("scale_replicas", "stock")
    assert "--replicas=N" in unknown.shell  # a guess could take replicas away
    assert "Change nothing yet" in action_for(known(TIED), "unsure", ("cart", "stock")).words
    assert action_for(known(CALM), "nobody", ()).command == ""
    assert "Add a source" in action_for(known(Ranking((), "gnn", "nobody")), "unsure", ()).words
    unmeasured = known(CLEAR, incident=Incident("i", ("stock",), {}), remedy=remedy)
    assert "Ask whoever runs stock" in action_for(unmeasured, "culprit", ("stock",)).words


def test_evidence_is_of_the_culprit_and_plain_figures_are_none() -> None:
    shown = (
        Shown("ERROR disk full", ("stock",), "{app=stock}"),
        Shown("cpu_usage 0.2 before, 0.2 now", ("stock",)),
        Shown("ERROR timed out", ("web",)),
        Shown("INFO handled a request", ("stock",)),
    )
    seen = known(CLEAR, shown=shown, logs={"stock": ("INFO handled a request", "ERROR disk full")})
    told = [(one.text, one.query) for one in evidence_for(seen, ("stock",))]
    assert told == [("error_rate of stock rose", "query"), ("ERROR disk full", "{app=stock}")]
