"""`firewatch listen`: diagnoses incidents when Alertmanager sends alerts."""

from agent.auth import authorizations
from agent.cli.command import command
from agent.cli.console import note, write_json
from agent.cli.environ import variables_from_environment
from agent.cli.interrupt import run_interruptible
from agent.listening.app import LIMITS, listening_app
from agent.listening.counters import Counters
from agent.listening.notify import Notifier
from agent.listening.options import ListenOptions
from agent.listening.spool import Spool
from agent.listening.worker import Worker
from agent.live_diagnosis import Diagnosis, LiveOptions, diagnose
from agent.terminal_text import printable
from data.errors import SettingsError
from data.files.folder_lock import hold
from data.simulator.server.guard import quiet_logs
from data.simulator.server.serving import RunningServer

SECRET = "FIREWATCH_LISTEN"


@command(ListenOptions)
def listen(asked: ListenOptions) -> int:
    """Takes alerts from Alertmanager and reports the root cause. Reads only; accepted alerts survive a crash.

    Alertmanager posts to /alerts ("webhook_configs") with the secret that FIREWATCH_LISTEN_TOKEN holds, or
    FIREWATCH_LISTEN_USER and FIREWATCH_LISTEN_PASSWORD; …_TOKEN_FILE and …_PASSWORD_FILE name files.
    --notify sends to NOTIFY_URL (or NOTIFY_URL_FILE), with NOTIFY_TOKEN, NOTIFY_HEADERS and the like as
    secrets. Anyone may read /healthz and /metrics. --json writes {"url"} once it listens.

    [dim]Example:[/dim] firewatch listen --prometheus http://prometheus:9090 --out diagnoses --notify slack
    """
    variables = variables_from_environment()
    sources = asked.sources(variables)
    accepted = authorizations(SECRET, variables)
    if not accepted:
        raise SettingsError(
            f"anybody could post alerts – set {SECRET}_TOKEN, or {SECRET}_USER and {SECRET}_PASSWORD"
        )
    ranker, channels = asked.open_ranker(seed=asked.seed)
    notifier = None if asked.notify == "none" else Notifier(variables)

    async def look(about: LiveOptions) -> Diagnosis:
        return await diagnose(about, sources, ranker, channels, lambda _: None)

    with hold(asked.out):
        spool = Spool(asked.out / "queue.sqlite", asked.waiting)
        counters = Counters(spool)
        worker = Worker(
            asked, spool, look, notifier, counters, lambda line: note(printable(line), asked.quiet)
        )
        quiet_logs()
        with RunningServer(
            listening_app(spool, counters, accepted), LIMITS, asked.host, asked.port
        ) as server:
            note(f"Alerts are taken at {server.url}/alerts; Ctrl+C stops.", asked.quiet)
            write_json(asked.json_to, {"url": server.url})
            run_interruptible(worker.work())
    return 0
