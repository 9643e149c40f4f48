"""The plots of a report, in Vega-Lite; colours come from the page, for light and dark mode."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from agent.report.document import Chart

Row = Mapping[str, Any]

_ACCENT, _INK, _MUTED, _FAINT = "var(--accent)", "var(--ink)", "var(--muted)", "var(--line)"
_SERIES = [f"var(--series-{number})" for number in range(1, 9)]
_BEST_TO_WORST = [_ACCENT, "var(--healthy)", "var(--degraded)", "var(--down)"]
_ROW_HEIGHT = 26
_WHOLE = alt.Axis(tickMinStep=1, format="d")
_WORDS = frozenset({"name", "kind", "verdict", "outcome", "service"})  # fields that are not numbers


def dots(
    rows: Sequence[Row], title: str, choices: Mapping[str, str], description: str, *, reference: str = ""
) -> Chart:
    """Values with their intervals, one line per `name`.

    Args:
        rows: with "name", "value", and optionally "low", "high" and "chance".
        choices: drop-downs that select rows, {field: label}.
        reference: the name that the others are compared with; drawn in the accent colour.
    """
    y, height = _by_name(rows)
    base = _chosen([{**row, "is_reference": row["name"] == reference} for row in rows], choices)
    tooltip = _tooltips("name", "value", "low", "high", "chance", "n")
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False, nice=True))
    color = (
        alt.when("datum.is_reference").then(alt.value(_ACCENT)).otherwise(alt.value(_INK))
        if reference
        else alt.value(_ACCENT)
    )
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=color),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y, color=color, tooltip=tooltip),
    ]
    if any(row.get("chance") is not None for row in rows):
        layers.insert(
            0, base.mark_tick(color=_MUTED, thickness=2, height=14).encode(x=alt.X("chance:Q"), y=y)
        )
    return _chart(_layered(*layers), height, description)


def differences(rows: Sequence[Row], title: str, choices: Mapping[str, str], description: str) -> Chart:
    """Differences with their intervals around zero; significant ones are highlighted."""
    y, height = _by_name(rows)
    base = _chosen(rows, choices)
    color = (
        alt.when("datum.verdict === 'no difference shown'")
        .then(alt.value(_MUTED))
        .otherwise(alt.value(_ACCENT))
    )
    zero = alt.Chart(_data([{"zero": 0}])).mark_rule(color=_INK, strokeDash=[3, 3]).encode(x="zero:Q")
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=color)
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=alt.X("value:Q", title=title),
        y=y,
        color=color,
        tooltip=_tooltips("name", "value", "low", "high", "n", "p", "verdict"),
    )
    return _chart(_layered(zero, bars, points), height, description)


def lines(
    rows: Sequence[Row],
    x: tuple[str, str],
    y: tuple[str, str],
    choices: Mapping[str, str],
    description: str,
    *,
    diagonal: bool = False,
    shares: bool = True,
) -> Chart:
    """One line per `name`; a click in the legend highlights one.

    Args:
        rows: with "name" and the fields of `x` and `y`.
        choices: drop-downs that select rows, {field: label}.
        diagonal: draw the line where y equals x.
        shares: y ranges from 0 to 1.
    """
    picked = alt.selection_point(fields=["name"], bind="legend")
    names = list(dict.fromkeys(row["name"] for row in rows))
    base = _chosen(rows, choices)
    is_whole = all(isinstance(row[x[0]], int) for row in rows)
    drawn = base.mark_line(point=alt.OverlayMarkDef(size=45), strokeWidth=2).encode(
        x=alt.X(f"{x[0]}:Q", title=x[1], axis=_WHOLE if is_whole else alt.Axis()),
        y=alt.Y(f"{y[0]}:Q", title=y[1], scale=alt.Scale(domain=[0, 1]) if shares else alt.Scale()),
        color=alt.Color("name:N", sort=names, title=None, scale=alt.Scale(domain=names, range=_SERIES)),
        opacity=alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.15)),
        tooltip=_tooltips("name", x[0], y[0], "n"),
    )
    layers: list[alt.Chart] = [drawn.add_params(picked)]
    if diagonal:
        layers.insert(0, _diagonal().encode(x="at:Q", y="at:Q"))
    return _chart(_layered(*layers), 260, description)


def shares(rows: Sequence[Row], title: str, kinds: Sequence[str], description: str) -> Chart:
    """Stacked counts of four `kinds`, from best to worst, one bar per `name`."""
    y, height = _by_name(rows)
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(height=14)
        .encode(
            x=alt.X("value:Q", title=title, axis=_WHOLE),
            y=y,
            color=alt.Color(
                "kind:N",
                sort=list(kinds),
                title=None,
                scale=alt.Scale(domain=list(kinds), range=_BEST_TO_WORST),
            ),
            order=alt.Order("place:Q"),
            tooltip=_tooltips("name", "kind", "value"),
        )
    )
    return _chart(bars, height, description)


def strips(rows: Sequence[Row], title: str, description: str) -> Chart:
    """One dot per row at its "value", in the line of its "group"; the tooltip shows the name."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    points = (
        alt.Chart(_data(rows))
        .mark_point(filled=True, size=70, opacity=0.65)
        .encode(
            x=alt.X("value:Q", title=title, scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("group:N", sort=groups, title=None),
            color=alt.when("datum.solved").then(alt.value(_ACCENT)).otherwise(alt.value("var(--down)")),
            tooltip=_tooltips("name", "value", "outcome"),
        )
    )
    return _chart(points, 36 * len(groups) + 10, description)


def against_each_other(rows: Sequence[Row], first: str, second: str, description: str) -> Chart:
    """One dot per task: its score in one run against its score in the other."""
    scale = alt.Scale(domain=[0, 1])
    diagonal = _diagonal().encode(x=alt.X("at:Q", scale=scale), y=alt.Y("at:Q", scale=scale))
    points = (
        alt.Chart(_data(rows))
        .mark_point(filled=True, size=60, opacity=0.6, color=_ACCENT)
        .encode(
            x=alt.X("first:Q", title=f"score in {first}", scale=scale),
            y=alt.Y("second:Q", title=f"score in {second}", scale=scale),
            tooltip=_tooltips("name", "first", "second"),
        )
    )
    return _chart(_layered(diagonal, points), 320, description)


def timeline() -> Mapping[str, Any]:
    """The plot of a replay; the page's script fills in `series`, and `now` and `last` (steps from 1)."""
    now, last = alt.param(name="now", value=1), alt.param(name="last", value=1)
    # Rows: service, picked, step, value.
    series = alt.Chart(alt.NamedData(name="series"))
    x = alt.X(
        "step:Q",
        title="step",
        axis=_WHOLE,
        scale=alt.Scale(domainMin=1, domainMax=alt.ExprRef("last"), nice=False),
    )
    # A fixed width for labels, so that the steps of both plots line up.
    y = alt.Y("value:Q", title=None, axis=alt.Axis(minExtent=40, tickCount=4))
    others = series.transform_filter("!datum.picked").mark_line(
        color=_MUTED, opacity=0.45, strokeWidth=1.2, point=alt.OverlayMarkDef(size=14, color=_MUTED)
    )
    picked = series.transform_filter("datum.picked").mark_line(
        color=_ACCENT, strokeWidth=3, point=alt.OverlayMarkDef(size=40, color=_ACCENT)
    )
    cursor = (
        alt.Chart(_data([{}])).transform_calculate(step="now").mark_rule(color=_INK, strokeDash=[2, 3])
    ).encode(x="step:Q")
    tooltip = _tooltips("service", "step", "value")
    layers = (
        others.encode(x=x, y=y, detail="service:N", tooltip=tooltip),
        picked.encode(x=x, y=y, tooltip=tooltip),
        cursor,
    )
    return _chart(_layered(*layers).add_params(now, last), 150, "").spec


def _by_name(rows: Sequence[Row]) -> tuple[alt.Y, int]:
    """One line per "name", in the order of the rows, and the height of the chart."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=340))
    return y, _ROW_HEIGHT * len(names) + 10


def _diagonal() -> alt.Chart:
    line: alt.Chart = alt.Chart(_data([{"at": 0}, {"at": 1}])).mark_line(color=_MUTED, strokeDash=[3, 3])
    return line


def _layered(*layers: alt.Chart) -> alt.LayerChart:
    return alt.LayerChart(layer=list(layers))


def _chosen(rows: Sequence[Row], choices: Mapping[str, str]) -> alt.Chart:
    """A chart of the rows that the drop-downs select; fields with a single value get none."""
    chart = alt.Chart(_data(rows))
    for field, label in choices.items():
        options = list(dict.fromkeys(row[field] for row in rows))
        if len(options) > 1:
            chosen = alt.param(
                name=f"chosen_{field}", value=options[0], bind=alt.binding_select(options=options, name=label)
            )
            chart = chart.add_params(chosen).transform_filter(f"datum.{field} === {chosen.name}")
    return chart


def _data(rows: Iterable[Row]) -> alt.InlineData:
    """The rows in JSON form; values that are not finite are not drawn."""
    return alt.InlineData(values=[{name: _finite(value) for name, value in row.items()} for row in rows])


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tooltips(*fields: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(f"{field}:N") if field in _WORDS else alt.Tooltip(f"{field}:Q", format=".4~g")
        for field in fields
    ]


def _chart(chart: alt.Chart | alt.LayerChart, height: int, description: str) -> Chart:
    """Applies the page's width and colours."""
    sized = chart.properties(width="container", height=height, background="transparent").configure(
        font="system-ui, sans-serif",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=_INK,
            titleColor=_MUTED,
            titleFontWeight="normal",
            gridColor=_FAINT,
            domainColor=_FAINT,
            tickColor=_FAINT,
            labelFontSize=12,
            titleFontSize=12,
        ),
        axisQuantitative=alt.AxisConfig(tickCount=8),
        legend=alt.LegendConfig(
            labelColor=_INK, orient="bottom", labelFontSize=12, columns=4, labelLimit=260
        ),
    )
    return Chart(sized.to_dict(), description)
