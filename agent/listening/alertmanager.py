"""Parses Alertmanager's webhook, version 4."""

import hashlib
import json
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from data.errors import SchemaError
from data.files.json_text import NotJson, read_json
from data.observation import parse


class PostedAlert(BaseModel):
    """One alert."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    startsAt: AwareDatetime

    @property
    def started_s(self) -> float:
        """When it started to fire, Unix seconds."""
        return self.startsAt.timestamp()

    @property
    def key(self) -> str:
        """Identifies one firing: the same for its repetitions, different when it fires again."""
        told = json.dumps([sorted(self.labels.items()), self.started_s])
        return hashlib.sha256(told.encode()).hexdigest()


class _Posted(BaseModel):
    version: Literal["4"]
    alerts: tuple[PostedAlert, ...]


def posted_alerts(body: bytes) -> tuple[PostedAlert, ...]:
    """Reads the alerts in one request.

    Raises:
        SchemaError: it is not Alertmanager's webhook.
    """
    try:
        return parse(_Posted, read_json(body), "body").alerts
    except NotJson as error:
        raise SchemaError("body", "", str(error), "post what Alertmanager's webhook_configs send") from None
