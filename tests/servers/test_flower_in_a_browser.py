"""Flower in a real browser: servers, queues and tasks of a fleet that runs, and no content."""

from __future__ import annotations

import pytest
from celery import Celery

from tests.support.fleet import Fleet
from tests.support.flower import PASSWORD, running_flower
from tests.support.process_table import wait_until
from tests.support.programs import program
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import Services
from tests.support.sink import SinkProcess
from worker import db

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

PLANTED = "jana.novakova@zakaznik.example"
MESSAGES = 12
PATIENCE_SECONDS = 60

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)
"""A machine without a screen and without a way out."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium")
    for one in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(one)
    # With the driver's path Selenium looks for none on the network.
    service = webdriver.ChromeService(program("chromedriver", "chromium-driver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(PATIENCE_SECONDS)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def flower(services: Services):
    """Beat, a worker for the server `main`, and Flower, after some mail has gone out."""
    url = services.fresh_database()
    engine = db.make_engine(url, name="tests")
    with (
        services.extra_valkey() as valkey,
        SinkProcess() as sink,
        Fleet(engine, valkey.url) as fleet,
        running_flower(fleet) as running,
    ):
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port)
            task = make_task(connection, company, account)
            for _ in range(MESSAGES):
                make_message(connection, task, recipients=[PLANTED])
        fleet.beat()
        fleet.worker()
        assert fleet.settled(PATIENCE_SECONDS) == {"sent": MESSAGES}
        with Celery("stranger", broker=valkey.url, set_as_current=False) as stranger:
            stranger.conf.task_send_sent_event = True
            stranger.send_task("kadencia.send", args=[PLANTED], queue="nowhere")
        yield running
    engine.dispose()
    services.drop_database(url)


def read(browser, url, *words):
    """Open a page and wait until these words are on it; what a person sees of it."""
    browser.get(url)

    def seen() -> str:
        return browser.execute_script("return document.body.innerText")

    wait_until(lambda: all(word in seen() for word in words), PATIENCE_SECONDS)
    assert "zakaznik" not in browser.page_source
    return seen()


def test_who_does_not_know_the_password_sees_no_page(browser, flower):
    browser.get(flower.url.replace("://", "://kadencia:ine-heslo@"))

    assert "Workers" not in browser.page_source
    assert "OAC" not in browser.page_source


def test_servers_queues_and_tasks_are_read_from_the_pages(browser, flower):
    # The browser remembers a password that came with an address.
    browser.get(flower.url.replace("://", f"://kadencia:{PASSWORD}@"))

    workers = read(browser, f"{flower.url}/workers", "send.main", "control.main", "Online")
    assert workers.count("Online\t") == 2

    wait_until(lambda: "oac.main.sweep" in flower.get("/broker").text, PATIENCE_SECONDS)
    queues = read(browser, f"{flower.url}/broker", "oac.main.first", "kadencia.control")
    assert "kadencia.process." not in queues

    tasks = read(browser, f"{flower.url}/tasks", "kadencia.", "SUCCESS")
    assert "(no task of ours)" not in tasks


def test_a_task_is_found_by_its_name_and_shows_ids_alone(browser, flower):
    browser.get(flower.url.replace("://", f"://kadencia:{PASSWORD}@"))
    found = [
        (number, task)
        for number, task in flower.get("/api/tasks").json().items()
        if task["name"] == "kadencia.send" and task["state"] == "SUCCESS"
    ]
    assert len(found) == MESSAGES
    number, task = found[0]

    shown = read(browser, f"{flower.url}/task/{number}", "kadencia.send", number)

    assert task["args"].startswith(("[", "("))
    assert task["args"] in shown


def test_what_a_stranger_puts_into_the_arguments_is_hidden(browser, flower):
    browser.get(flower.url.replace("://", f"://kadencia:{PASSWORD}@"))

    def hidden() -> list[str]:
        tasks = flower.get("/api/tasks").json()
        return [number for number, task in tasks.items() if task["args"] == "(hidden)"]

    wait_until(hidden, PATIENCE_SECONDS)

    assert "(hidden)" in read(browser, f"{flower.url}/task/{hidden()[0]}", "kadencia.send")
