"""Service names: well-known ones with their callees, and made-up ones for large graphs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Role:
    """The kind of a well-known service, and its callees where these exist."""

    kind: str = "service"
    calls: tuple[str, ...] = ()
    stands_in_for: str = ""  # the service that it can replace, in another zone or version


_DB = "db-proxy"
ROLES: dict[str, Role] = {
    "api-gateway": Role("gateway", ("auth-service", "user-service", "search-service")),
    "api-gateway-az-a": Role("gateway", ("user-service", "auth-service"), "api-gateway"),
    "api-gateway-az-b": Role("gateway", ("user-service", "auth-service"), "api-gateway"),
    "load-balancer": Role("gateway", ("api-gateway", "checkout-service")),
    "auth-service": Role(calls=(_DB, "session-service")),
    "user-service": Role(calls=(_DB, "cache")),
    "user-service-az-b": Role(calls=(_DB, "cache"), stands_in_for="user-service"),
    "session-service": Role(calls=("cache",)),
    "checkout-service": Role(calls=("payment-service", "auth-service", "inventory-service")),
    "checkout-v2-service": Role(calls=("payment-service", "auth-service"), stands_in_for="checkout-service"),
    "order-service": Role(calls=("payment-service", "inventory-service", "notification-service")),
    "payment-service": Role(calls=(_DB, "fraud-detection", "payment-provider")),
    "payment-service-az-b": Role(calls=(_DB,), stands_in_for="payment-service"),
    "payment-processor": Role(calls=(_DB, "payment-provider")),
    "payment-provider": Role("external"),
    "fraud-detection": Role(calls=("feature-store",)),
    "inventory-service": Role(calls=("inventory-db",)),
    "pricing-service": Role(calls=(_DB, "cache")),
    "product-catalog": Role(calls=("pricing-service", "product-db")),
    "search-service": Role(calls=("search-index", "cache")),
    "ranking-service": Role(calls=("search-service", "ml-inference-service")),
    "recommendation-engine": Role(calls=("product-catalog", "user-service", "feature-store")),
    "notification-service": Role(calls=("user-service", "message-queue")),
    "analytics-service": Role(calls=(_DB, "event-ingestion")),
    "event-ingestion": Role(calls=("feature-pipeline", "message-queue")),
    "feature-pipeline": Role(calls=("feature-store",)),
    "ml-inference-service": Role(calls=("feature-store",)),
    "config-service": Role(calls=(_DB,)),
    "batch-processor": Role(calls=(_DB, "message-queue")),
    "metrics-exporter": Role(),
    "template-service": Role(calls=("cache",)),
    "cache": Role("cache"),
    "cache-service": Role("cache"),
    "message-queue": Role("queue"),
    "feature-store": Role("datastore"),
    "search-index": Role("datastore"),
    "db-proxy": Role("datastore", ("user-db-primary",)),
    "user-db": Role("datastore"),
    "user-db-primary": Role("datastore"),
    "user-db-replica": Role("datastore", ("user-db-primary",)),
    "product-db": Role("datastore"),
    "inventory-db": Role("datastore"),
    "pricing-db": Role("datastore"),
    "notification-db": Role("datastore"),
}

_SUBJECTS = tuple(
    re.findall(
        r"\w+",
        """cart order user price stock route seat ticket offer review media mail sms geo rate profile ledger
        invoice claim basket catalog feed search graph asset theme quote risk fraud wallet card token
        consent audit report ad coupon shipment parcel courier depot menu kitchen booking flight hotel
        visa lesson exam clip stream chat photo album""",
    )
)
_SUFFIX = {
    "gateway": ("gateway", "frontend", "edge", "bff", "ingress"),
    "service": ("service", "api", "svc", "worker", "manager", "engine", ""),
    "datastore": ("db", "mongo", "postgres", "mysql", "store", "index"),
    "cache": ("cache", "redis", "memcached"),
    "queue": ("queue", "kafka", "events", "topic"),
    "external": ("provider", "partner", "thirdparty"),
    "sidecar": ("proxy", "envoy", "agent"),
}


def stand_ins(names: Sequence[str]) -> list[int]:
    """A number for every service, the same for those that can stand in for each other."""
    numbers: dict[str, int] = {}
    found = []
    for number, name in enumerate(names):
        role = ROLES.get(name)
        found.append(numbers.setdefault((role.stands_in_for if role else "") or name, number))
    return found


def service_names(rng: np.random.Generator, kinds: Sequence[str]) -> list[str]:
    """A distinct name for each service, in one style for the whole system."""
    joint = str(rng.choice(["-", "_", ""]))
    taken: dict[str, int] = {}
    names = []
    subjects = rng.integers(0, len(_SUBJECTS), len(kinds)).tolist()
    suffixes = rng.random(len(kinds)).tolist()
    for kind, subject, pick in zip(kinds, subjects, suffixes, strict=True):
        options = _SUFFIX[kind]
        suffix = options[int(pick * len(options))]
        name = _SUBJECTS[subject] + (joint + suffix if suffix else "")
        seen = taken[name] = taken.get(name, 0) + 1
        names.append(name if seen == 1 else f"{name}{joint or '-'}{seen}")
    return names
