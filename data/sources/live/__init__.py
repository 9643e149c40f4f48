"""Live telemetry: bounded, read-only questions to Prometheus, Jaeger, Tempo and Alertmanager."""
