"""The HTTP endpoints: /alerts for Alertmanager, /healthz and /metrics for monitoring."""

import time
from collections.abc import Collection

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from agent.auth import SecretRequired
from agent.listening.alertmanager import posted_alerts
from agent.listening.counters import Counters
from agent.listening.spool import QueueRefusal, Spool
from data.errors import SchemaError
from data.simulator.server.app import Limits
from data.simulator.server.guard import OwnCallersOnly, bounded_body

LIMITS = Limits(body_bytes=4 * 2**20, connections=256, idle_s=60.0)


def listening_app(spool: Spool, counters: Counters, accepted: Collection[str]) -> Starlette:
    """The application.

    Args:
        accepted: values of the header `Authorization` that are accepted.
    """

    async def alerts(request: Request) -> Response:
        body = await bounded_body(request, LIMITS.body_bytes, LIMITS.receive_s)
        try:
            received = spool.receive(posted_alerts(body), time.time())
        except SchemaError as error:
            counters.alerts.labels("unreadable").inc()
            return PlainTextResponse(f"{error}\n", 400)
        except QueueRefusal as error:  # Alertmanager retries after a 503
            counters.alerts.labels("put off").inc()
            return PlainTextResponse(f"{error}: try again later\n", 503, {"Retry-After": "30"})
        for outcome, count in received._asdict().items():
            counters.alerts.labels(outcome).inc(count)
        return JSONResponse(received._asdict())

    async def healthz(_: Request) -> Response:
        try:
            return JSONResponse({"status": "ok", "waiting": spool.count()})
        except QueueRefusal as error:
            return JSONResponse({"status": str(error)}, 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(counters.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/alerts", alerts, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/metrics", metrics),
        ],
        middleware=[
            Middleware(OwnCallersOnly),
            Middleware(SecretRequired, accepted=accepted, unguarded=("/healthz", "/metrics")),
        ],
    )
