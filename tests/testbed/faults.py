"""What goes wrong in the shop: each scenario spoils a process or the network, and mends it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx

from testbed.shop import LOAD_PER_S, Shop, chosen

_LARGEST = 140e6  # bytes that a leaking process may have until the "kernel" kills it


def _burnt_cpu(shop: Shop, pod: str) -> Callable[[], None]:
    shop.fault(pod, burn=2, for_s=600)
    return lambda: shop.restart(pod)


def _leak(shop: Shop, pod: str) -> Callable[[], None]:
    """Every request leaks memory; a process that grows too large is killed, like a container."""

    def watch() -> None:
        if shop.memory_bytes(pod) > _LARGEST:
            shop.restart(pod)
        with suppress(httpx.HTTPError):  # it may not listen yet
            shop.fault(pod, leak_bytes=2_000_000)

    stop = _repeat(watch, 0.5)
    return lambda: (stop(), shop.restart(pod))[0]


def _delay(shop: Shop, pod: str) -> Callable[[], None]:
    shop.network(pod, delay_s=0.15)
    return lambda: shop.network(pod)


def _dropped(shop: Shop, pod: str) -> Callable[[], None]:
    shop.network(pod, drop=0.3)
    return lambda: shop.network(pod)


def _stopped(shop: Shop, pod: str) -> Callable[[], None]:
    shop.signal(pod, signal.SIGSTOP)
    return lambda: shop.signal(pod, signal.SIGCONT)


def _killed(shop: Shop, pod: str) -> Callable[[], None]:
    return _repeat(lambda: shop.restart(pod), 4.0)


def _deploy(shop: Shop, pod: str) -> Callable[[], None]:
    shop.versions[pod] = "1.1.0"
    shop.restart(pod, error_rate=0.4)
    shop.versions[pod] = "1.0.0"
    return lambda: shop.restart(pod)


def _pool(shop: Shop, pod: str) -> Callable[[], None]:
    shop.fault(pod, hold=8)
    return lambda: shop.restart(pod)


def _slow(shop: Shop, pod: str) -> Callable[[], None]:
    shop.fault(pod, slower_s=0.3)
    return lambda: shop.fault(pod, slower_s=0)


def _surge(shop: Shop, _: str) -> Callable[[], None]:
    shop.load(LOAD_PER_S * 1.8)
    return lambda: shop.load(LOAD_PER_S)


def _nothing(shop: Shop, _: str) -> Callable[[], None]:
    return lambda: None


# name: (action, possible targets; none if healthy)
SCENARIOS: dict[str, tuple[Callable[[Shop, str], Callable[[], None]], tuple[str, ...]]] = {
    "nothing": (_nothing, ()),
    "surge": (_surge, ()),
    "burnt cpu": (_burnt_cpu, ("catalog", "users", "payment", "inventory")),
    "network delay": (_delay, ("orders-0", "orders-1")),
    "dropped connections": (_dropped, ("inventory", "users", "payment")),
    "stopped": (_stopped, ("catalog", "users", "inventory")),
    "killed in a loop": (_killed, ("catalog", "payment", "users")),
    "bad deploy": (_deploy, ("payment", "catalog", "inventory")),
    "exhausted pool": (_pool, ("users", "inventory")),
    "slow datastore": (_slow, ("db",)),
    "slow third party": (_slow, ("bank",)),
    "memory leak": (_leak, ("catalog", "users", "inventory")),
}


@contextmanager
def struck(shop: Shop, scenario: str) -> Iterator[str | None]:
    """Holds the fault while the block runs; yields the affected pod."""
    act, among = SCENARIOS[scenario]
    pod = chosen(shop.seed, scenario, among) if among else ""
    mend = act(shop, pod)
    try:
        yield pod or None
    finally:
        mend()


def _repeat(act: Callable[[], None], every_s: float) -> Callable[[], None]:
    """Repeats an action; call the result to stop."""
    done = threading.Event()

    def loop() -> None:
        while True:
            act()
            if done.wait(every_s):
                return

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()

    def stop() -> None:
        done.set()
        thread.join()

    return stop
