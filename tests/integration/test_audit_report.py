"""The page that an operator sends to others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from sqlalchemy import text

from tests.support.command_line import CommandLine
from tests.support.rows import make_account, make_attempt, make_company, make_message, make_task
from worker.audit import render_report
from worker.core.instants import to_us
from worker.core.windows import worst_window

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
VOID = {"meta", "line", "path", "br"}


class Page(HTMLParser):
    """Reads a page, and refuses one whose tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.fixture
def start():
    return datetime.now(UTC).replace(microsecond=7) - timedelta(days=1)


@pytest.fixture
def sent(engine, start):
    """The times at which a task of 100 an hour has sent."""
    times = [start + HOUR + n * 40 * SECOND for n in range(200)]
    with engine.begin() as connection:
        company = make_company(connection, name="Firma & synovia")
        account = make_account(connection, company, name="Pošta", domain_hourly_limit=500)
        task = make_task(connection, company, account, name="<b>Pozvánky</b>", cadence=100)
        made = make_message(
            connection, task, recipients=["tajna.anna@ina.example"], state="sent", subject="Tajné"
        )
        for at in times:
            make_attempt(
                connection,
                task,
                made.id,
                state="accepted",
                opened_at=at - SECOND,
                closed_at=at,
                text="250 ok tajna.anna@ina.example",
            )
    return times


def rendered(engine, start, until=None):
    with engine.connect() as connection:
        return render_report(
            connection,
            start,
            until or datetime.now(UTC),
            HOUR,
            dot_by=MINUTE,
            handover_max=11 * MINUTE,
            grace=13 * MINUTE,
        )


def test_the_page_is_well_formed_and_fetches_nothing(engine, start, sent):
    page = Page(rendered(engine, start).html)

    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "image", "use"}
    for _, attributes in page.tags:
        assert not {"src", "href", "xlink:href", "action"} & set(attributes)
    assert "url(" not in rendered(engine, start).html
    assert "@import" not in rendered(engine, start).html


def test_the_page_holds_no_address_no_subject_and_no_words_of_servers(engine, start, sent):
    html = rendered(engine, start).html

    assert "@" not in html
    assert "ajn" not in html


def test_names_are_text_and_nothing_else(engine, start, sent):
    page = Page(rendered(engine, start).html)

    assert "<b>Pozvánky</b>" in page.text


def test_the_highest_point_is_the_worst_window(engine, start, sent):
    report = rendered(engine, start)

    worst = worst_window([(to_us(at), 1) for at in sent], HOUR // timedelta(microseconds=1))
    (task,) = [one for one in report.rate.findings if one.kind == "task"]
    assert worst.total == task.worst == 90
    assert "most in a window: 90;" in " ".join(Page(report.html).text.replace("/ ", "").split())


def test_it_says_in_both_languages_whether_the_limits_were_kept(engine, start, sent):
    kept = Page(rendered(engine, start).html).text
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE automatic_task DISABLE TRIGGER log_limit"))
        connection.execute(text("DELETE FROM audit_log"))
        connection.execute(text("UPDATE account SET hourly_limit = 50"))
        connection.execute(text("DELETE FROM audit_log"))
    exceeded = Page(rendered(engine, start).html).text

    assert "Žiadny limit nebol prekročený." in kept
    assert "No limit was exceeded." in kept
    assert "a časti SMS odovzdaných bráne" in kept
    assert "the segments of SMS handed over to the gateway" in kept
    assert "Limits exceeded: 1" in exceeded
    assert "PREKROČENÝ" in exceeded


def test_the_limit_is_drawn_in_steps_as_it_was_in_force(engine, start, sent):
    with engine.begin() as connection:
        connection.execute(text("UPDATE automatic_task SET cadence = 200"))
        logged = text("UPDATE audit_log SET at = :at WHERE (before IS NULL) = :made")
        connection.execute(logged, {"at": start - HOUR, "made": True})
        connection.execute(logged, {"at": start + 12 * HOUR, "made": False})

    page = Page(rendered(engine, start).html)

    (limit,) = [a["d"] for tag, a in page.tags if tag == "path" and a["class"] == "limit"]
    assert [letter for letter in limit if letter in "ML"] == list("MLLL")


def test_a_time_without_mail_is_a_page_too(engine, start):
    page = Page(rendered(engine, start).html)

    assert "Nothing was sent in this time." in page.text


def test_the_command_writes_a_file_once(database_url, engine, start, sent, tmp_path):
    kadencia = CommandLine(tmp_path, DATABASE_URL=database_url)
    file = tmp_path / "audit.html"

    ended = kadencia.done("audit", "report", "--out", str(file))
    again = kadencia("audit", "report", "--out", str(file))

    assert ended.out == f"{file}: 0 limit(s) exceeded\n"
    Page(file.read_text())
    assert again.code == 2
    assert "exists; name another file" in again.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--since", "2999-01-01", "--until", "2999-02-01"], "and in the past"),
        (["--since", "2026-02-01", "--until", "2026-01-01"], "must be before"),
    ],
    ids=["the future", "the wrong way round"],
)
def test_a_time_that_is_none_is_refused(database_url, tmp_path, words, says):
    kadencia = CommandLine(tmp_path, DATABASE_URL=database_url)

    for command in (["rate"], ["messages"], ["report", "--out", str(tmp_path / "x.html")]):
        ended = kadencia("audit", *command, *words)
        assert ended.code == 2
        assert says in ended.err
    assert not (tmp_path / "x.html").exists()


def test_a_file_that_cannot_be_written_is_said_so(database_url, tmp_path):
    kadencia = CommandLine(tmp_path, DATABASE_URL=database_url)

    ended = kadencia("audit", "report", "--out", str(tmp_path / "none" / "x.html"))

    assert ended.code == 2
    assert "cannot be written: No such file or directory" in ended.err
