"""Alertmanager's webhook, version 4, as it is posted."""

import hashlib
import json
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from data.errors import SchemaError
from data.files.json_text import NotJson, read_json
from data.observation import parse


class PostedAlert(BaseModel):
    """One alert, as it is now."""

    model_config = ConfigDict(frozen=True)

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    startsAt: AwareDatetime

    @property
    def started_s(self) -> float:
        """When it began to fire, Unix seconds."""
        return self.startsAt.timestamp()

    @property
    def key(self) -> str:
        """The same for each repetition of one firing; another one when it fires again."""
        told = json.dumps([sorted(self.labels.items()), self.started_s])
        return hashlib.sha256(told.encode()).hexdigest()


class _Posted(BaseModel):
    version: Literal["4"]
    alerts: tuple[PostedAlert, ...]


def posted_alerts(body: bytes) -> tuple[PostedAlert, ...]:
    """The alerts of one request.

    Raises:
        SchemaError: it is no webhook of Alertmanager.
    """
    try:
        return parse(_Posted, read_json(body), "body").alerts
    except NotJson as error:
        raise SchemaError("body", "", str(error), "post what Alertmanager's webhook_configs send") from None
