"""`kadencia audit changes`: who changed what."""

import pytest

from tests.support.command_line import CommandLine
from tests.support.shared_database import shared_engine


@pytest.fixture(scope="module")
def kadencia(services, tmp_path_factory):
    with shared_engine(services) as engine:
        line = CommandLine(
            tmp_path_factory.mktemp("changes"),
            DATABASE_URL=engine.url.render_as_string(hide_password=False),
            LOGNAME="anna",
        )
        line.done("company", "add", "Ruža", "--domain", "ruza.example")
        line.done("keys", "new", "--file", line.environ["KADENCIA_DATA"] + "/keys")
        smtp = ("smtp", "add", "pošta", "--host", "mail.ruza.example", "--security", "starttls")
        line.done(*smtp, "--username", "ruza", "--password-file", "-", stdin="tajne-heslo\n")
        line.done("smtp", "set", "pošta", "--most-connections", "7")
        yield line


def test_the_newest_change_comes_first_with_who_made_it(kadencia):
    newest, *_ = kadencia.done("audit", "changes", "--json").json

    assert (newest["who"], newest["action"]) == ("anna", "change")
    assert newest["before"] == {"most_connections": 4}
    assert newest["after"] == {"most_connections": 7}


def test_changes_of_one_kind_are_found_by_it(kadencia):
    found = kadencia.done("audit", "changes", "--subject", "company", "--json").json

    assert [one["action"] for one in found] == ["create"]
    assert {one["subject"].partition(":")[0] for one in found} == {"company"}


def test_changes_of_one_thing_are_found_by_its_number(kadencia):
    (made,) = kadencia.done("audit", "changes", "--subject", "company", "--json").json

    same = kadencia.done("audit", "changes", "--subject", made["subject"], "--json").json

    assert same == [made]


def test_what_another_changed_is_left_out(kadencia):
    assert kadencia.done("audit", "changes", "--who", "peter", "--json").json == []


def test_the_table_tells_from_what_to_what_and_no_secret(kadencia):
    shown = kadencia.done("audit", "changes")

    assert "most_connections: 4 → 7" in shown.out
    assert "password: sealed" in shown.out
    assert "tajne-heslo" not in shown.out
