"""Report pages in a real browser, offline: they load without errors, sort, replay and escape HTML."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server import LLMServer, action

from agent.cli import answer
from agent.report.build import make_report
from agent.report.html import render_html

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, which the dev extra brings")

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
SERVICE = "<b onmouseover=alert(1)>auth</b>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium without a network."""
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.add_argument("--window-size=1400,1000")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as running:
        yield running


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's run, a rules' run whose quotes contain HTML, an ablation and an evaluation."""
    folder = tmp_path_factory.mktemp("results")
    played = ("--env", "embedded", "--ranker", "heuristic", "--test-run", "--quiet")
    with LLMServer([action("fetch_logs", "api-gateway")]) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("API_BASE_URL", server.url)
        patch.setenv("OPENAI_API_KEY", "sk-test")
        patch.setenv("MODEL_NAME", "stand-in")
        assert answer(["run", *played, "--policy", "llm", "--out", str(folder / "run")]) in (0, 1)
    assert answer(["run", *played, "--policy", "rules", "--out", str(folder / "hostile")]) == 0
    steps = folder / "hostile/steps.jsonl"
    lines = [json.loads(line.replace("auth-service", SERVICE)) for line in steps.read_text().splitlines()]
    for line in lines:
        quoted = {"feedback": HOSTILE, "reason": HOSTILE, "reply": HOSTILE}
        line |= {**quoted, "prompt": [{"role": HOSTILE, "content": HOSTILE}]}
        for service in line["observation"]["services"].values():
            service["recent_logs"] = [HOSTILE]
            service[HOSTILE] = 1.0
    steps.write_text("".join(json.dumps(line) + "\n" for line in lines))
    episodes = folder / "hostile/episodes.jsonl"
    episodes.write_text(episodes.read_text().replace("auth-service", SERVICE))
    tasks = ("--episodes", "2", "--difficulty", "easy", "--quiet")
    arms = ("--ranker", "heuristic,none", "--policy", "rules,legacy-rules", "--steps", "--jobs", "1")
    assert answer(["ablate", *arms, "--simulate", "10", "--out", str(folder / "ablation"), *tasks]) == 0
    ranked = ("--simulate", "30", "--ranker", "heuristic,zscore")
    assert answer(["evaluate", *ranked, "--json", str(folder / "evaluation.json"), "--quiet"]) == 0
    return folder


def open_page(browser: Any, path: Path, against: Path | None = None) -> None:
    page = path.with_name(f"{path.name}.html")
    page.write_text(render_html(make_report(path, against)), encoding="utf-8")
    browser.get(page.as_uri())
    drawn = "return document.querySelectorAll('figure:not([hidden]) .chart svg').length"
    wanted = "return document.querySelectorAll('figure:not([hidden]) .chart').length"
    until(lambda: browser.execute_script(drawn) == browser.execute_script(wanted))
    until(lambda: not has_replay(browser) or moment(browser) != "")
    browser.execute_script("document.querySelector('#replay')?.scrollIntoView()")


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, "the page never got there"
        time.sleep(0.02)


def texts(browser: Any, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())"
    return list(browser.execute_script(script, selector))


def has_replay(browser: Any) -> bool:
    return bool(texts(browser, "#replay"))


def moment(browser: Any) -> str:
    return texts(browser, "#moment")[0]


def press(browser: Any, key: str) -> None:
    browser.find_element("tag name", "body").send_keys(key)


def click(browser: Any, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


@pytest.mark.parametrize("name", ["run", "ablation", "evaluation.json", "two"])
def test_every_kind_of_page_opens_offline_without_complaint(browser: Any, results: Path, name: str) -> None:
    two = name == "two"
    open_page(browser, results / ("run" if two else name), results / "hostile" if two else None)
    assert browser.get_log("browser") == []
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [address for address in fetched if not address.startswith(("data:", "blob:"))] == []


@pytest.mark.parametrize("name", ["run", "ablation", "evaluation.json"])
def test_a_narrow_window_needs_no_sideways_scrolling(browser: Any, results: Path, name: str) -> None:
    browser.set_window_size(500, 900)
    try:
        open_page(browser, results / name)
        wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(wider) <= 0
    finally:
        browser.set_window_size(1400, 1000)


def test_a_click_on_a_heading_sorts_numbers_as_numbers_and_a_second_one_turns_round(
    browser: Any, results: Path
) -> None:
    open_page(browser, results / "evaluation.json")
    column = texts(browser, "section:nth-of-type(2) th").index("ms") + 1
    cells, heading = (f"section:nth-of-type(2) {part}:nth-child({column})" for part in ("td", "th"))
    click(browser, f"{heading} button")
    up = [float(cell) for cell in texts(browser, cells)]
    click(browser, f"{heading} button")
    down = [float(cell) for cell in texts(browser, cells)]
    assert len(up) == 2 and up == sorted(up) and down == up[::-1]


def test_an_episode_is_stepped_through_by_key_button_and_table(browser: Any, results: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    open_page(browser, results / "run")
    (first, *_) = texts(browser, "#episode option")
    steps = [json.loads(line) for line in (results / "run/steps.jsonl").read_text().splitlines()]
    played = [step for step in steps if step["task"] == first.split(" ")[0]]
    for step in played[:3]:
        assert moment(browser).startswith(f"Step {step['step']} of {len(played)} · tick {step['tick']} ")
        assert texts(browser, "#decision .action") == [
            " ".join(filter(None, (step["action"]["action_type"], step["action"].get("target_service"))))
        ]
        seen = step["observation"]["services"]
        states = "return [...document.querySelectorAll('.service')].map(e => e.getAttribute('aria-label'))"
        said = browser.execute_script(states)
        assert len(said) == len(seen)
        assert all(any(s.startswith(f"{n}: {seen[n]['status']},") for s in said) for n in seen)
        press(browser, Keys.ARROW_RIGHT)
    click(browser, "#back")
    assert moment(browser).startswith("Step 3 ")
    press(browser, Keys.END)
    assert moment(browser).startswith("Afterwards")
    press(browser, Keys.HOME)
    assert moment(browser).startswith("Step 1 ")
    title = "return document.querySelector('#episode').selectedOptions[0].textContent"
    press(browser, "n")
    until(lambda: browser.execute_script(title) != first)
    press(browser, "p")
    until(lambda: browser.execute_script(title) == first)
    click(browser, "tbody tr:last-child button.open")
    task = texts(browser, "tbody tr:last-child button.open")[0]
    until(lambda: browser.execute_script(title).startswith(task))


def test_a_decision_shows_its_prompt_and_reply(browser: Any, results: Path) -> None:
    open_page(browser, results / "run")
    shown = texts(browser, "#decision .conversation pre")
    steps = [json.loads(line) for line in (results / "run/steps.jsonl").read_text().splitlines()]
    assert shown in [
        [*(message["content"].strip() for message in step["prompt"]), step["reply"].strip()] for step in steps
    ]


def test_a_service_that_is_clicked_is_followed(browser: Any, results: Path) -> None:
    open_page(browser, results / "run")
    for index in (0, 1):
        browser.execute_script(
            "document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('click', {bubbles: true}))",
            f"[data-service='{index}']",
        )
        name = texts(browser, ".service.followed title")[0].split(":")[0]
        assert texts(browser, "#followed") == [f"{name} in colour"]


@pytest.mark.parametrize("name", ["run", "ablation", "evaluation.json"])
def test_plots_fill_their_place(browser: Any, results: Path, name: str) -> None:
    open_page(browser, results / name)
    narrowest = """const plots = [...document.querySelectorAll('figure:not([hidden]) .chart')];
        const width = plot => plot.querySelector('.role-frame path').getBoundingClientRect().width;
        return Math.min(...plots.map(plot => width(plot) / plot.clientWidth));"""
    until(lambda: browser.execute_script(narrowest) > 0.5)


def test_html_in_what_is_quoted_stays_text(browser: Any, results: Path) -> None:
    open_page(browser, results / "hostile")
    while not moment(browser).startswith("Afterwards"):
        assert any(HOSTILE in said for said in texts(browser, "#decision p"))
        assert HOSTILE in texts(browser, "#decision pre") and HOSTILE in texts(browser, "#logs pre")
        click(browser, "#forward")
    assert HOSTILE in texts(browser, "#metric option") and any(SERVICE in s for s in texts(browser, "title"))
    assert browser.execute_script("return document.querySelectorAll('img, body b').length") == 0
    assert browser.title != "owned" and browser.get_log("browser") == []


def test_both_colour_schemes_are_readable_and_the_button_changes_between_them(
    browser: Any, results: Path
) -> None:
    colours = """const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
        const light = colour => { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
            return paint.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((a, b) => a + b) / 765; };
        const style = getComputedStyle(document.body);
        return [light(style.backgroundColor), light(style.color)];"""
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        open_page(browser, results / "run")
        paper, ink = browser.execute_script(colours)
        assert (paper > 0.9 and ink < 0.2) if scheme == "light" else (paper < 0.15 and ink > 0.8)
        click(browser, "#scheme")
        other_paper, _ = browser.execute_script(colours)
        assert abs(other_paper - paper) > 0.7


def test_paper_shows_whole_tables_in_light_colours_and_no_controls(browser: Any, results: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        open_page(browser, results / "ablation")
        style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        assert browser.execute_script(style, ".controls", "display") == "none"
        assert browser.execute_script(style, ".table", "overflow") == "visible"
        assert browser.execute_script(style, "body", "backgroundColor") == "rgb(255, 255, 255)"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
