"""Finds the service that an alert is about, from the alert's labels."""

from collections.abc import Mapping

from data.sources.samples import Samples

# Labels that name what an alert is about, most reliable first; who detected it, as in `job`, comes last.
ABOUT = (
    "service_name", "deployment", "statefulset", "daemonset", "workload", "destination_workload",
    "destination_service_name", "app_kubernetes_io_name", "app", "application", "exported_service",
    "k8s_deployment_name", "pod", "exported_job", "service", "container", "job", "instance",
)  # fmt: skip


def alerted_service(labels: Mapping[str, str], samples: Samples) -> str | None:
    """The service that an alert with these labels is about, or None."""
    plain = {label.replace(".", "_").replace("-", "_"): value for label, value in labels.items()}
    return samples.service(plain, ABOUT)
