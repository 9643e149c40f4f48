"""A source that shows a certificate and wants one."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from telemetry_server import telemetry_server
from test_data_live_faults import healthy

from data.errors import TelemetryFault
from data.sources.live.access import access
from data.sources.live.http import Http


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One self-signed certificate for server and client."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificates")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem"
    options = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *options], cwd=folder, check=True, capture_output=True)
    return folder


def asked(url: str, **variables: str) -> bytes:
    async def ask() -> bytes:
        async with Http(access("Prometheus", url, variables), 5) as http:
            return await http.get("/api/v1/label/__name__/values", {})

    return asyncio.run(ask())


def test_certificates_of_both_sides(certificates: Path) -> None:
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cert)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    with telemetry_server(healthy, context) as url:
        ours = {"PROMETHEUS_CA_FILE": cert, "PROMETHEUS_CERT_FILE": cert, "PROMETHEUS_KEY_FILE": key}
        assert b"success" in asked(url, **ours)
        with pytest.raises(TelemetryFault, match="certificate verify failed"):
            asked(url)
        with pytest.raises(TelemetryFault, match="cannot be reached"):
            asked(url, PROMETHEUS_CA_FILE=cert)
