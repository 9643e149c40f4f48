"""The heads of the network, by the names under which they are exported and kept in a card."""

from typing import Generic, NamedTuple, TypeVar

A = TypeVar("A")


class Scores(NamedTuple, Generic[A]):
    """What each head says of a batch; a new head is a field here, layers in `model`, a loss in `losses`."""

    root: A  # (S,) higher is more suspect
    family: A  # (S, families) logits, as if the service were the root
    incident: A  # (B,) logit that something is wrong at all
