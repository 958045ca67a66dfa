"""One POST: to the very address that was checked, by TLS to the very name, in bounded time."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import tracemalloc

import pytest
import trustme

from settings import SettingsError, load
from tests.support.office import closed_port
from tests.support.receiver import answer, receiver
from worker.core.webhook_addresses import Target, parse_networks
from worker.webhooks import posting, resolving

LOOPBACK = parse_networks("127.0.0.0/8, ::1/128")
NAME = "prijem.firma.example"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


@pytest.fixture
def names(monkeypatch):
    """A resolver in which names lead where a test says; each look-up is noted."""
    real = socket.getaddrinfo

    class Names(dict):
        asked: list[str] = []  # noqa: RUF012

        def look_up(self, host, port, *args, **named):
            if host not in self:
                ipaddress.ip_address(host)  # nothing else is ever looked up
                return real(host, port, *args, **named)
            self.asked.append(host)
            given = self[host].pop(0) if len(self[host]) > 1 else self[host][0]
            return [
                (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "",
                 (one, port, 0, 0) if ":" in one else (one, port))
                for one in given
            ]  # fmt: skip

    made = Names()
    made.asked = []
    monkeypatch.setattr(socket, "getaddrinfo", made.look_up)
    return made


def served(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def post(target, allowed=LOOPBACK, ca_file=None, body=b"{}"):
    return posting.post(target, body, {"webhook-id": "evt_1"}, allowed, ca_file)


def test_tls_checks_the_name_and_the_connection_goes_to_the_address(authority, ca_file, names):
    names[NAME] = [["127.0.0.1"]]

    with receiver(tls=served(authority, NAME)) as there:
        taken = post(Target("https", NAME, there.port, "/stav?a=1"), ca_file=ca_file)

    assert (taken.status, taken.why) == (204, None)
    (heard,) = there.heard
    assert heard.path == "/stav?a=1"
    assert heard.headers["host"] == f"{NAME}:{there.port}"


@pytest.mark.parametrize(
    ("certified", "trusted", "words"),
    [
        pytest.param(
            "other.firma.example",
            True,
            "certificate is refused: Hostname mismatch",
            id="another's name",
        ),
        pytest.param(
            "127.0.0.1",
            True,
            "certificate is refused: Hostname mismatch",
            id="the address, not the name",
        ),
        pytest.param(NAME, False, "certificate is refused", id="by nobody we trust"),
    ],
)
def test_a_certificate_that_is_not_the_hosts_is_refused(
    authority, ca_file, names, certified, trusted, words
):
    names[NAME] = [["127.0.0.1"]]

    with receiver(tls=served(authority, certified)) as there:
        refused = post(Target("https", NAME, there.port, "/"), ca_file=ca_file if trusted else None)

    assert words in refused.why
    assert there.heard == []


def test_a_name_that_changes_its_address_after_the_check_gains_nothing(names):
    names[NAME] = [["127.0.0.1"], ["127.0.0.9"]]

    with receiver() as there:
        taken = post(Target("http", NAME, there.port, "/"), parse_networks("127.0.0.1/32"))

    assert taken.is_taken
    assert names.asked == [NAME]


@pytest.mark.parametrize(
    "inner",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1%lo",
        "0.0.0.0",
    ],
)
def test_one_address_inside_among_those_of_a_name_is_enough_to_refuse_it(names, inner):
    names[NAME] = [["193.87.0.1", inner]]

    refused = post(Target("https", NAME, 443, "/"), ())

    assert refused.status is None
    assert refused.why.startswith("refused: it leads to ")


def test_an_address_that_does_not_answer_gives_way_to_the_next(names):
    names[NAME] = [["127.0.0.9", "127.0.0.1"]]

    with receiver() as there:
        assert post(Target("http", NAME, there.port, "/")).is_taken


def test_once_something_was_sent_no_other_address_is_tried(names):
    names[NAME] = [["127.0.0.1", "127.0.0.1"]]

    def hang_up(handler):
        handler.connection.shutdown(socket.SHUT_RDWR)

    with receiver(hang_up) as there:
        refused = post(Target("http", NAME, there.port, "/"))

    assert refused.why == "the connection ended without an HTTP answer"
    assert len(there.heard) == 1


def test_where_nobody_listens_there_is_no_answer():
    with closed_port() as port:
        refused = post(Target("http", "127.0.0.1", port, "/"))

    assert (refused.status, refused.why) == (None, "no connection: Connection refused")


def test_a_receiver_that_takes_too_long_is_told_as_such(monkeypatch):
    monkeypatch.setattr(posting, "READ_SECONDS", 0.2)

    with receiver() as there:
        there.behave = there.hang
        refused = post(Target("http", "127.0.0.1", there.port, "/"))

    assert refused.why == "no answer within 0.2 s"


def test_a_name_that_leads_nowhere_is_told_as_such(names, monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(resolving.socket, "getaddrinfo", fail)

    assert post(Target("https", NAME, 443, "/")).why == "its name leads nowhere"


def test_a_host_that_speaks_no_tls_is_told_as_such(ca_file, names):
    names[NAME] = [["127.0.0.1"]]

    with receiver() as there:
        refused = post(Target("https", NAME, there.port, "/"), ca_file=ca_file)

    assert refused.why == "TLS failed"


def test_the_environments_proxy_is_not_asked(monkeypatch):
    with closed_port() as port, receiver() as there:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert post(Target("http", "127.0.0.1", there.port, "/")).is_taken


def test_a_huge_answer_takes_no_memory():
    def huge(handler):
        handler.send_response(500)
        handler.send_header("Content-Length", str(2**40))
        handler.end_headers()
        while not there.release.is_set():
            handler.wfile.write(bytes(65_536))

    with receiver(huge) as there:
        tracemalloc.start()
        try:
            refused = post(Target("http", "127.0.0.1", there.port, "/"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert refused.why == "HTTP 500"
    assert peak < 4 * 2**20


def test_a_tls_receiver_that_drips_is_cut_off(authority, ca_file, names, monkeypatch):
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.3)
    names[NAME] = [["127.0.0.1"]]

    def drip(handler):
        while not there.release.wait(0.05):
            handler.wfile.write(b"H")

    with receiver(drip, served(authority, NAME)) as there:
        refused = post(Target("https", NAME, there.port, "/"), ca_file=ca_file)

    assert refused.why == "no answer within 0.3 s"


@pytest.mark.parametrize(
    ("contents", "words"),
    [(None, "is not readable"), ("hello", "holds no certificate")],
    ids=["no file", "no certificate"],
)
def test_a_file_of_authorities_that_is_wrong_stops_the_courier_at_its_start(
    tmp_path, contents, words
):
    file = tmp_path / "ca.pem"
    if contents is not None:
        file.write_text(contents)

    with pytest.raises(SettingsError, match=words):
        posting.authorities(load({"KADENCIA_WEBHOOK_CA_FILE": str(file)}))


def test_a_receiver_that_asks_for_time_is_heard():
    with receiver(answer(429, Retry_After="7")) as there:
        refused = post(Target("http", "127.0.0.1", there.port, "/"))

    assert (refused.status, refused.retry_after.seconds) == (429, 7)
