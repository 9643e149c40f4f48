"""Takes Alertmanager's webhooks and reports diagnoses; accepted alerts survive restarts."""
