"""The commands of the registers, as an operator types them."""

import shlex
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from tests.support.command_line import CommandLine
from tests.support.shared_database import shared_engine

NAME = "Automatické odosielanie e-mailov"
INIT = {
    "--company": "Kvetinárstvo Ruža",
    "--domain": "ruza.example",
    "--host": "smtp.ruza.example",
    "--sender-name": "Kvetinárstvo Ruža",
    "--sender-address": "info@ruza.example",
}
STEPS = (
    "server add main",
    "company add 'Kvetinárstvo Ruža' --domain ruza.example",
    "establishment add Košice",
    "user add Robot --system",
    "smtp add relay --host smtp.ruza.example --username posta --password-file {password}",
    "task create Pošta --server main --user Robot --smtp relay --sender-name Ruža "
    "--sender-address info@ruza.example --envelope-sender bounce@ruza.example "
    "--establishment Košice --cadence 1200 --reserve 100 --unknown resend --retry-first 30 "
    "--days mon-fri --hours 08:00-17:30",
)


@pytest.fixture
def kadencia(database_url, tmp_path):
    (tmp_path / "keys").write_text(Fernet.generate_key().decode())
    return CommandLine(tmp_path, DATABASE_URL=database_url)


@pytest.fixture(scope="module")
def unchanged(services, tmp_path_factory):
    """For commands that are refused: one database for all of them."""
    with shared_engine(services) as engine:
        url = engine.url.render_as_string(hide_password=False)
        yield CommandLine(tmp_path_factory.mktemp("unchanged"), DATABASE_URL=url)


@pytest.fixture(scope="module")
def settled(services, tmp_path_factory):
    """The same, where there is a company with all that belongs to it."""
    with shared_engine(services) as engine:
        url = engine.url.render_as_string(hide_password=False)
        command = CommandLine(tmp_path_factory.mktemp("settled"), DATABASE_URL=url)
        command.done(*init())
        command.done("user", "add", "Jana", "--administrator")
        yield command


def init(**changed):
    given = INIT | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    return ["init", *(word for pair in given.items() for word in pair)]


def test_the_eight_steps_one_by_one_end_in_a_task_that_shows_them_all(kadencia, tmp_path):
    (tmp_path / "heslo").write_text("tajné\n")
    for step in STEPS:
        kadencia.done(*shlex.split(step.format(password=tmp_path / "heslo")))

    shown = kadencia.done("task", "show", "Pošta", "--json").json

    assert {name: shown[name] for name in ("server", "user", "smtp", "state", "plan")} == {
        "server": "main",
        "user": "Robot",
        "smtp": "relay",
        "state": "active",
        "plan": "mon-fri 08:00-17:30",
    }
    assert (shown["cadence"], shown["reserve"], shown["unknown_policy"]) == (1200, 100, "resend")
    assert shown["establishments"] == ["Košice"]
    assert shown["obstacles"][0].startswith("no worker of its OAC server is alive")


def test_init_makes_all_of_it(kadencia):
    ended = kadencia.done(*init())

    assert "all is made" in ended.out
    (task,) = kadencia.done("task", "list", "--json").json
    assert (task["name"], task["server"], task["cadence"]) == (NAME, "local", 1000)
    (user,) = kadencia.done("user", "list", "--json").json
    assert user["kind"] == "system"
    assert kadencia.done("smtp", "list", "--json").json[0]["security"] == "starttls"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param({"cadence": "99"}, "99 is below 100", id="the last step fails"),
        pytest.param({"hours": "8-9", "days": "mon"}, "are no hours", id="a plan unread"),
        pytest.param({"sender_address": "info"}, "has no @-sign", id="no address"),
        pytest.param({"time_zone": "Mars"}, "is no time zone", id="no time zone"),
    ],
)
def test_init_makes_nothing_if_it_cannot_make_all(unchanged, changed, words):
    ended = unchanged(*init(**changed))

    assert ended.code == 2
    assert words in ended.err
    for register in ("company", "server", "task"):
        assert unchanged.done(register, "list", "--json").json == []


def test_init_without_a_terminal_says_all_that_is_missing(unchanged):
    ended = unchanged("init", "--company", "Ruža")

    assert ended.code == 2
    assert "missing: --domain, --host, --sender-name, --sender-address" in ended.err


@pytest.fixture
def made(kadencia):
    kadencia.done(*init())
    kadencia.done("user", "add", "Jana", "--administrator")
    return kadencia


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--cadence", "99"], "99 is below 100", id="cadence 99"),
        pytest.param(["--cadence", "3001"], "3,001 is above 3,000", id="cadence 3,001"),
        pytest.param(["--user", "Jana"], "is a standard user", id="a standard user"),
        pytest.param(["--server", "nikde"], "known: local", id="an unknown server"),
        pytest.param(["--stand-in", "nikde"], "known: local", id="an unknown stand-in"),
        pytest.param(["--stand-in", "local"], "is the task's own server", id="its own stand-in"),
        pytest.param(["--stand-in-after", "9"], "10 to 86,400 seconds", id="a stand-in in a hurry"),
        pytest.param(
            ["--no-stand-ins", "--stand-in", "x"],
            "--no-stand-ins and --stand-in exclude",
            id="a stand-in and none",
        ),
        pytest.param(["--days", "mon"], "needs both days and hours", id="half a plan"),
        pytest.param(["--days", "xxx", "--hours", "8:00-9:00"], "'xxx' is no day", id="no day"),
        pytest.param(
            ["--always", "--days", "mon", "--hours", "8:00-9:00"], "exclude", id="a plan and none"
        ),
        pytest.param(["--unknown", "guess"], "--unknown", id="an unheard-of policy"),
        pytest.param(["--company", "Iná"], "known: Kvetinárstvo Ruža", id="an unknown company"),
    ],
)
def test_a_wrong_setting_of_a_task_is_one_line_and_changes_nothing(settled, arguments, words):
    before = settled.done("task", "show", NAME, "--json").json

    ended = settled("task", "set", NAME, *arguments)

    assert ended.code == 2
    assert words in ended.err
    assert ended.err.count("\n") == 1
    assert settled.done("task", "show", NAME, "--json").json == before


def test_a_task_gets_stand_ins_in_order_and_loses_them(made):
    for name in ("druhy", "treti"):
        made.done("server", "add", name)

    made.done(
        *("task", "set", NAME, "--stand-in", "treti", "--stand-in", "druhy"),
        *("--stand-in-after", "60"),
    )

    shown = made.done("task", "show", NAME, "--json").json
    assert (shown["stand_ins"], shown["stand_in_after"]) == (["treti", "druhy"], 60)
    assert (shown["server"], shown["in_charge"]) == ("local", "local")
    assert made("task", "set", NAME, "--server", "druhy").code == 2  # a stand-in already
    made.done("task", "set", NAME, "--no-stand-ins")
    assert made.done("task", "show", NAME, "--json").json["stand_ins"] == []


def test_an_administrator_raises_the_ceiling(made):
    raised = ["--cadence", "9000", "--ceiling", "10000"]

    assert made("task", "set", NAME, *raised).code == 2
    made.done("task", "set", NAME, *raised, "--by", "Jana")

    assert made.done("task", "show", NAME, "--json").json["cadence"] == 9000


def test_a_task_is_paused_resumed_run_and_its_plan_lifted(made):
    assert "is paused now" in made.done("task", "pause", NAME).out
    assert "paused already" in made.done("task", "pause", NAME).out
    assert made("task", "run", NAME).code == 2
    assert "is active now" in made.done("task", "resume", NAME).out
    assert "no worker of its OAC server" in made.done("task", "run", NAME).err
    made.done("task", "set", NAME, "--days", "sun-sat", "--hours", "22:00-06:00")
    made.done("task", "set", NAME, "--always", "--name", "Pošta")
    assert made.done("task", "show", "Pošta", "--json").json["plan"] == "always"
    assert made.done("task", "journal", "Pošta", "--json").json == []


def test_times_are_shown_in_the_zone_of_the_company(made):
    shown = made.done("task", "show", NAME).out
    assert " CE" in shown

    made.done("company", "set", "Kvetinárstvo Ruža", "--time-zone", "America/New_York")
    assert " E" in made.done("task", "list").out.splitlines()[1]


def test_sending_is_stopped_started_and_redirected(made):
    made.done("stop-all", "--why", "skúška")
    assert made.done("safety", "show", "--json").json["stopped_why"] == "skúška"
    assert " CE" in made.done("safety", "show").out  # CET or CEST
    assert "sending is stopped" in made.done("task", "show", NAME).err
    assert made.done("start-all").out == "sending goes on\n"

    made.done("safety", "redirect", "skuska@firma.example")
    assert "every mail goes to skuska@firma.example" in made.done("safety", "show").out
    made.done("safety", "allow", "@firma.example", "anna@ina.example")
    listed = made.done("safety", "show", "--json").json["allowed"]
    assert listed == ["@firma.example", "anna@ina.example"]
    made.done("safety", "allow", "+421 903 622 237")
    assert made.done("safety", "show", "--json").json["allowed"] == ["+421903622237"]
    made.done("safety", "off")
    assert made.done("safety", "show", "--json").json["mode"] == "off"


def test_a_file_of_suppressions_is_taken_whole_or_not_at_all(made, tmp_path):
    file = tmp_path / "ban.txt"
    file.write_text("\ufeffanna@firma.example\r\n\r\n# koniec\r\nnikto\r\n", encoding="utf-8")

    ended = made("suppression", "add", "--file", str(file))
    assert ended.code == 2
    assert f"{file}, line 4: 'nikto' has no @-sign" in ended.err
    assert made.done("suppression", "list", "--json").json == []

    file.write_text("anna@firma.example\nEva@firma.example\nanna@firma.example\n")
    added = made.done("suppression", "add", "--file", str(file), "--why", "odhlásenie")
    assert added.out.startswith("suppressed: 2 added")
    made.done("suppression", "remove", "EVA@firma.example")
    (left,) = made.done("suppression", "list", "--containing", "@FIRMA", "--json").json
    assert (left["address"], left["why"]) == ("anna@firma.example", "odhlásenie")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "cannot be read: No such file", id="a file that there is not"),
        pytest.param("ž@x.example".encode("cp1250"), "is not in UTF-8", id="another encoding"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_so(settled, tmp_path, content, words):
    file = tmp_path / "ban.txt"
    if content is not None:
        file.write_bytes(content)

    ended = settled("suppression", "add", "--file", str(file))

    assert ended.code == 2
    assert words in ended.err


def test_a_server_is_paused_and_listed_as_such(made):
    assert "is paused now" in made.done("server", "pause", "local").out
    assert made.done("server", "list", "--json").json[0]["state"] == "paused"
    assert "is resumed" in made.done("server", "resume", "local").out
    assert "no worker" in made.done("server", "list").out
    assert made("server", "pause", "nikde").code == 2


def test_a_company_is_shown_with_its_establishments(made):
    made.done("establishment", "add", "Žilina")

    assert made.done("company", "show", "--json").json["establishments"] == ["Žilina"]
    assert made.done("establishment", "list").out.split() == ["name", "Žilina"]
    made.done("company", "add", "Iná", "--domain", "ina.example")
    assert "add --company NAME" in made("establishment", "list").err


def test_a_schema_of_another_version_is_refused_with_the_way_out(services, tmp_path):
    url = services.empty_database()

    ended = CommandLine(tmp_path, DATABASE_URL=url)("company", "list")

    assert ended.code == 1
    assert "run `kadencia migrate`" in ended.err
    services.drop_database(url)


def test_a_database_that_is_away_is_one_line_and_code_3(kadencia, tmp_path):
    secret = "heslo-do-databazy"
    environ = kadencia.environ | {"DATABASE_URL": f"postgresql://x:{secret}@127.0.0.1:1/x"}
    command = [sys.executable, "-c", "from worker.cli import main; main()", "company", "list"]

    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 3
    assert ended.stderr.startswith("kadencia: PostgreSQL is away: ")
    assert ended.stderr.count("\n") == 1
    assert secret not in ended.stderr
