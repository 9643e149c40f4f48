"""The composed agent on a running system: looks, rivals, a checked answer and the next action."""
