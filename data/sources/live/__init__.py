"""Live telemetry: bounded, read-only queries to Prometheus, Jaeger, Tempo, Loki, Alertmanager and kubectl."""
