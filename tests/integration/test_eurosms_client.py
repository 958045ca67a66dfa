"""The client of EuroSMS against servers that misbehave: what is certain, and what is not."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.support.gateway import (
    ENQUEUED,
    KEY,
    NOTHING_NEW,
    SMS,
    UUID,
    Gateway,
    answering,
    client,
    closed_port,
    deaf_port,
    http,
    reset,
    take,
    take_head,
    take_hello,
    tls_gateway,
)
from tests.support.scripted_smtp import drip, say, sleep
from worker.core.eurosms_codes import Consequence
from worker.core.outcomes import Outcome
from worker.errors import GatewayRefused, GatewayUnavailable, TransportUnavailable
from worker.eurosms import MOST_SMS, Balance

TRXID = "a1b2c3d4e5f6"
SIGNED_TRXID = "9676125f5931646732b39dc1af349862b1c2ca6d"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Papers(NamedTuple):
    """Files of an authority, and of a server's certificate from it."""

    authority: str
    certificate: str


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    base: Path = tmp_path_factory.mktemp("papers")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(base / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(base / "me.pem")
    return Papers(str(base / "ca.pem"), str(base / "me.pem"))


def test_an_sms_goes_out_signed_and_comes_back_with_its_uuids():
    with Gateway(answering()) as gateway:
        answer = client(gateway.url).send_one(SMS)

    (request,) = gateway.requests()
    assert answer.outcome is Outcome.ACCEPTED
    assert answer.uuids == (UUID,)
    assert (request.method, request.path) == ("POST", "/api/v3/send/one")
    assert request.json["sgn"] == "6f56060b6b7db97ca25782b771cca0a65077bd5b"
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert request.headers["Content-Length"] == str(len(request.body))
    assert request.headers["User-Agent"].startswith("kadencia/")
    assert "Transfer-Encoding" not in request.headers


def test_a_dry_run_asks_elsewhere():
    with Gateway(answering() * 3) as gateway:
        way_out = client(gateway.url)
        way_out.send_one(SMS, test=True)
        way_out.send_o2m([SMS], test=True)
        way_out.send_m2m([SMS], test=True)

    assert [request.path for request in gateway.requests()] == [
        "/api/v3/test/one",
        "/api/v3/test/o2m",
        "/api/v3/test/m2m",
    ]


def test_many_sms_go_out_in_one_request():
    batch = [replace(SMS, number=str(421900000000 + n), own_key=f"k{n}") for n in range(MOST_SMS)]
    with Gateway(
        answering('{"accepted": 1000, "rejected": 0, "group_id": 7}')
        + answering('{"accepted": 999, "rejected": 1, "group_id": 8}')
    ) as gateway:
        way_out = client(gateway.url)
        same = way_out.send_o2m(batch)
        other = way_out.send_m2m(batch)

    first, second = gateway.requests()
    assert (first.path, len(first.json["rcpts"])) == ("/api/v3/send/o2m", 1000)
    assert (second.path, len(second.json["msgs"])) == ("/api/v3/send/m2m", 1000)
    assert (same.group_id, same.rejected) == ("7", 0)
    assert (other.group_id, other.rejected) == ("8", 1)


@pytest.mark.parametrize("size", [0, MOST_SMS + 1])
def test_more_than_one_request_takes_are_refused_at_once(size):
    way_out = client(f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(ValueError, match="1 to 1000"):
        way_out.send_o2m([SMS] * size)
    with pytest.raises(ValueError, match="1 to 1000"):
        way_out.send_m2m([SMS] * size)


def test_a_refused_connection_hands_over_nothing():
    way_out = client(f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(TransportUnavailable, match=r"gateway is unavailable: .*refused"):
        way_out.send_one(SMS)
    with pytest.raises(TransportUnavailable):
        way_out.send_m2m([SMS])


def test_a_host_that_does_not_exist_is_handed_nothing():
    with pytest.raises(TransportUnavailable, match=r"gateway\.invalid"):
        client("http://gateway.invalid").send_one(SMS)


def test_a_connection_that_is_not_answered_hands_over_nothing():
    with deaf_port() as port, pytest.raises(TransportUnavailable, match="timed out"):
        client(f"http://127.0.0.1:{port}", connect_timeout=0.2).send_one(SMS)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([take_hello], id="it closes"),
        pytest.param([take_hello, reset], id="it breaks off"),
        pytest.param([take_hello, say(http(ENQUEUED))], id="it speaks without TLS"),
        pytest.param([take_hello, sleep], id="it is silent"),
    ],
)
def test_a_failed_handshake_of_tls_hands_over_nothing(script):
    with Gateway(script) as gateway, pytest.raises(TransportUnavailable):
        client(f"https://127.0.0.1:{gateway.port}", connect_timeout=0.3).send_one(SMS)


def test_a_server_that_is_not_trusted_is_handed_nothing(papers):
    with (
        tls_gateway(papers.certificate) as url,
        pytest.raises(TransportUnavailable, match="certificate verify failed"),
    ):
        client(url).send_one(SMS)


def test_authorities_that_cannot_be_read_trust_nobody(papers, tmp_path):
    with (
        tls_gateway(papers.certificate) as url,
        pytest.raises(TransportUnavailable, match=r"missing\.pem"),
    ):
        client(url, ca_file=str(tmp_path / "missing.pem")).send_one(SMS)


def test_a_server_is_trusted_that_has_its_certificate_from_the_authority_of_the_account(papers):
    with tls_gateway(papers.certificate) as url:
        answer = client(url, ca_file=papers.authority).send_one(SMS)

    assert answer.outcome is Outcome.ACCEPTED


def test_without_verification_any_server_will_do_and_nobody_is_warned(papers, recwarn):
    with tls_gateway(papers.certificate) as url:
        answer = client(url, verify=False).send_one(SMS)

    assert answer.outcome is Outcome.ACCEPTED
    assert [str(warning.message) for warning in recwarn] == []


CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([], id="closed before reading"),
        pytest.param([take_head, reset], id="broken off in the body"),
        pytest.param([take], id="read and closed"),
        pytest.param([take, reset], id="read and broken off"),
        pytest.param([take, sleep], id="read and silent"),
        pytest.param([take, say(b"HTTP/1.1 200 OK\r\nContent-Le")], id="half a header"),
        pytest.param([take, say(http(ENQUEUED[:20], length=90))], id="half a body"),
        pytest.param([take, say(http(ENQUEUED[:20], length=90)), reset], id="half, broken off"),
        pytest.param([take, say(http(ENQUEUED[:20], length=90)), sleep], id="half, then silent"),
        pytest.param([take, say(http("", length=90)), drip(b"x" * 90, 0.05)], id="drop by drop"),
        pytest.param([take, say(f"{CHUNKED}5\r\n{{".encode())], id="half a chunk"),
        pytest.param([take, say(f"{CHUNKED}zz\r\n{ENQUEUED}\r\n0\r\n\r\n".encode())],
                     id="a chunk without a length"),
        pytest.param([take, say(b"220 smtp.example\r\n")], id="another protocol"),
        pytest.param([take, say(http(b"no gzip", Content_Encoding="gzip"))], id="bad gzip"),
        pytest.param([take, say(http(b"x" * (65 * 1024 * 1024)))], id="without end"),
    ],
)  # fmt: skip
def test_an_sms_that_was_written_and_not_answered_is_unknown(script):
    with Gateway(script) as gateway:
        answer = client(gateway.url, answer_timeout=0.5).send_one(SMS)
        batch = client(gateway.url, answer_timeout=0.5).send_m2m([SMS])

    assert answer.outcome is Outcome.UNKNOWN
    assert batch.answer_to("first", SMS.number).outcome is Outcome.UNKNOWN
    assert answer.text
    assert len(gateway.peers) == 2


@pytest.mark.parametrize(
    ("status", "body", "consequence"),
    [
        pytest.param("200 OK", "<html>Maintenance</html>", Consequence.UNKNOWN, id="a page"),
        pytest.param("200 OK", ENQUEUED[:30], Consequence.UNKNOWN, id="truncated, yet complete"),
        pytest.param("200 OK", "", Consequence.UNKNOWN, id="nothing"),
        pytest.param("502 Bad Gateway", "<html>", Consequence.UNKNOWN, id="a broken proxy"),
        pytest.param("500 Oh", '{"err_code":"INTERNAL_ERROR"}', Consequence.UNKNOWN, id="500"),
        pytest.param("404 Not Found", "<html>", Consequence.PAUSE, id="not the gateway"),
        pytest.param("400 Bad", '{"err_code":"WRONG_NUMBER"}', Consequence.REJECT, id="refused"),
        pytest.param("429 Slow", "", Consequence.SLOW_DOWN, id="too many requests"),
    ],
)
def test_a_complete_answer_is_read_whatever_its_status(status, body, consequence):
    with Gateway(answering(body, status=status)) as gateway:
        answer = client(gateway.url).send_one(SMS)

    assert answer.consequence is consequence


@pytest.mark.parametrize("location", ["/api/v3/send/one", "http://[", "//"])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status, location):
    with Gateway(answering("<html>", status=status, Location=location)) as gateway:
        answer = client(gateway.url).send_one(SMS)

    assert answer.consequence is Consequence.PAUSE
    assert "<html>" in answer.text
    assert len(gateway.requests()) == 1


def test_a_chunked_answer_is_read_too():
    body = f"{CHUNKED}{len(ENQUEUED):x}\r\n{ENQUEUED}\r\n0\r\n\r\n"
    with Gateway([take, say(body.encode())] * 2) as gateway:
        way_out = client(gateway.url)
        answers = [way_out.send_one(SMS).outcome for _ in range(2)]

    assert answers == [Outcome.ACCEPTED] * 2
    assert len(gateway.peers) == 1


def test_one_connection_serves_many_requests():
    with Gateway(answering() * 3 + answering(NOTHING_NEW) + answering("1 EUR")) as gateway:
        way_out = client(gateway.url)
        for _ in range(3):
            way_out.send_one(SMS)
        way_out.status_any(TRXID)
        way_out.balance()

    assert len(gateway.peers) == 1


def test_a_kept_connection_that_the_gateway_closed_meanwhile_leaves_no_doubt():
    with Gateway(answering(), answering()) as gateway:
        way_out = client(gateway.url)
        way_out.send_one(SMS)
        gateway.wait()

        answer = way_out.send_one(SMS)

    assert answer.outcome is Outcome.ACCEPTED
    assert len(gateway.peers) == 2


def test_a_connection_that_has_idled_for_long_is_not_used_again():
    clock = Clock()
    with Gateway([*answering(), sleep], answering()) as gateway:
        way_out = client(gateway.url, clock=clock)
        way_out.send_one(SMS)
        clock.now += 4.5

        answer = way_out.send_one(SMS)

    assert answer.outcome is Outcome.ACCEPTED
    assert len(gateway.peers) == 2


def test_a_gateway_that_has_gone_away_meanwhile_is_handed_nothing():
    with Gateway(answering()) as gateway:
        way_out = client(gateway.url)
        way_out.send_one(SMS)

    with pytest.raises(TransportUnavailable):
        way_out.send_one(SMS)


def test_a_closed_client_opens_another_connection_when_it_is_used_again():
    with Gateway([*answering(), sleep], answering()) as gateway:
        way_out = client(gateway.url)
        way_out.send_one(SMS)
        way_out.close()

        answer = way_out.send_one(SMS)

    assert answer.outcome is Outcome.ACCEPTED
    assert len(gateway.peers) == 2


def test_an_sms_is_not_sent_again_when_a_kept_connection_ends_at_it():
    with Gateway([*answering(), take], answering()) as gateway:
        way_out = client(gateway.url)
        way_out.send_one(SMS)

        answer = way_out.send_one(SMS)

    assert answer.outcome is Outcome.UNKNOWN
    assert len(gateway.peers) == 1


def test_a_question_is_asked_again_when_a_kept_connection_ends_at_it():
    with Gateway([*answering(), take], answering(NOTHING_NEW)) as gateway:
        way_out = client(gateway.url)
        way_out.send_one(SMS)

        reports = way_out.status_any(TRXID)

    assert reports.reports == ()
    assert [request.path for request in gateway.requests()][1:] == [
        f"/api/v3/status/any/2-A2gHjk/{TRXID}/{SIGNED_TRXID}"
    ] * 2


def test_a_question_that_took_too_long_is_not_asked_again():
    with Gateway([*answering(), take, sleep], answering(NOTHING_NEW)) as gateway:
        way_out = client(gateway.url, answer_timeout=0.3)
        way_out.send_one(SMS)

        with pytest.raises(GatewayUnavailable, match="timed out"):
            way_out.status_any(TRXID)

    assert len(gateway.peers) == 1


def test_an_interrupted_request_leaves_no_connection_behind():
    class Interruption(BaseException):
        pass

    def interrupted() -> float:
        raise Interruption

    closed = []
    with Gateway([*answering(), lambda peer: closed.append(peer.until(b"x") == b"")]) as gateway:
        way_out = client(gateway.url, clock=interrupted)

        with pytest.raises(Interruption):
            way_out.send_one(SMS)

        gateway.wait()
    assert closed == [True]


DELIVERED = f'{{"i":"{UUID}","dlr":"DELIVRD","sgmnt":1,"err_code":"OK"}}'


def test_statuses_are_asked_for_at_their_addresses():
    with Gateway(
        answering(f'{{"dlrs":[{DELIVERED}],"count":1,"err_code":"OK"}}') * 2
        + answering(f"[{DELIVERED}]")
    ) as gateway:
        way_out = client(gateway.url)
        answers = [
            way_out.status_any(TRXID),
            way_out.status_group("2231232"),
            way_out.status_one("a/b?c"),
        ]

    assert [answer.reports[0].status for answer in answers] == ["DELIVRD"] * 3
    assert [(request.method, request.path) for request in gateway.requests()] == [
        ("GET", f"/api/v3/status/any/2-A2gHjk/{TRXID}/{SIGNED_TRXID}"),
        ("GET", "/api/v3/status/group/2-A2gHjk/2231232/88997487197a03b4008cc7ca3cb36a8dac6a4102"),
        ("GET", "/api/v3/status/one/a%2Fb%3Fc"),
    ]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param("200 OK", "[]", id="an empty list"),
        pytest.param("200 OK", '{"err_code":"ERR_NO_SUCH_UUID"}', id="its word"),
        pytest.param("200 OK", '{"err_code":"err_no_such_uuid"}', id="in small letters"),
        pytest.param("404 Not Found", '{"err_code":"ERR_NO_SUCH_UUID"}', id="with an error"),
    ],
)
def test_an_unknown_uuid_has_no_reports(status, body):
    with Gateway(answering(body, status=status)) as gateway:
        reports = client(gateway.url).status_one(UUID)

    assert reports.reports == ()


@pytest.mark.parametrize("trxid", ["", "a1b2c3d", "a" * 65, "a1b2c3d4/", "a1b2c3d4é"])
def test_a_trxid_that_the_gateway_would_not_take_is_refused_at_once(trxid):
    with pytest.raises(ValueError, match="8 to 64"):
        client(f"http://127.0.0.1:{closed_port()}").status_any(trxid)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param("200 OK", '{"dlrs":[{"i":"60c5', GatewayUnavailable, id="truncated"),
        pytest.param("200 OK", "<html>", GatewayUnavailable, id="a page"),
        pytest.param("502 Bad", "<html>", GatewayUnavailable, id="a broken proxy"),
        pytest.param("429 Slow", "", GatewayUnavailable, id="too many requests"),
        pytest.param("500 Oh", NOTHING_NEW, GatewayUnavailable, id="nothing new, with an error"),
        pytest.param("200 OK", '{"err_code":"ERR_OTHER"}', GatewayUnavailable, id="for now"),
        pytest.param("200 OK", '{"err_code":"NEWS"}', GatewayUnavailable, id="an unknown word"),
        pytest.param("200 OK", '{"err_code":"wrong_iid"}', GatewayRefused, id="wrong ID"),
        pytest.param("401 No", '{"err_code":"WRONG_SIGNATURE"}', GatewayRefused, id="signature"),
        pytest.param("404 Not Found", "<html>", GatewayRefused, id="not the gateway"),
        pytest.param("302 Found", "", GatewayRefused, id="a redirect"),
    ],
)
def test_reports_that_did_not_come_are_never_taken_for_none(status, body, error):
    with Gateway(answering(body, status=status)) as gateway, pytest.raises(error, match="gateway"):
        client(gateway.url).status_any(TRXID)


def test_nothing_new_is_nothing_new_in_small_letters_too():
    with Gateway(answering(NOTHING_NEW.lower())) as gateway:
        reports = client(gateway.url).status_any(TRXID)

    assert reports.reports == ()


def test_reports_that_came_with_a_strange_word_are_kept():
    body = f'{{"dlrs":[{DELIVERED}],"err_code":"PARTLY"}}'
    with Gateway(answering(body, status="500 Oh")) as gateway:
        reports = client(gateway.url).status_any(TRXID)

    assert len(reports.reports) == 1


def test_a_gateway_that_cannot_be_reached_does_not_answer_questions():
    way_out = client(f"http://127.0.0.1:{closed_port()}")

    with pytest.raises(GatewayUnavailable, match="refused"):
        way_out.balance()
    with pytest.raises(GatewayUnavailable, match="refused"):
        way_out.status_one(UUID)


def test_the_balance_is_asked_for_in_version_2():
    with Gateway(answering("80.693 EUR\n", Content_Type="text/plain")) as gateway:
        balance = client(gateway.url).balance()

    (request,) = gateway.requests()
    assert balance == Balance(Decimal("80.693"), "EUR")
    assert (request.method, request.path) == ("GET", "/api/v2/balance?i=2-A2gHjk")


def test_an_integration_id_that_is_unknown_has_no_balance():
    with Gateway(answering("BAD_INT")) as gateway, pytest.raises(GatewayRefused) as refusal:
        client(gateway.url).balance()

    assert refusal.value.code == "BAD_INT"


def test_what_is_no_balance_is_not_read_as_one():
    with Gateway(answering("<html>")) as gateway, pytest.raises(GatewayUnavailable, match="html"):
        client(gateway.url).balance()


def test_the_environment_does_not_lead_requests_astray(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")

    with Gateway(answering()) as gateway:
        answer = client(gateway.url).send_one(SMS)

    assert answer.outcome is Outcome.ACCEPTED


def test_neither_key_nor_signature_is_ever_told(caplog):
    caplog.set_level(logging.DEBUG)
    told = []
    with Gateway([take], answering()) as gateway:
        way_out = client(gateway.url)
        told += [repr(way_out), repr(way_out.send_one(SMS)), repr(way_out.send_one(SMS))]
    for ask in (way_out.send_one, lambda _: way_out.status_any(TRXID)):
        with pytest.raises((TransportUnavailable, GatewayUnavailable)) as error:
            ask(SMS)
        told += [repr(error.value), str(error.value)]

    assert KEY not in "".join(told) + caplog.text
    assert "6f56060b" not in "".join(told) + caplog.text
    assert SIGNED_TRXID not in "".join(told)
