"""Encryption and log-in: whom the transport trusts, and what it never tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support import scripted_smtp as scripted
from tests.support.mail import envelope, soon, transport
from tests.support.scripted_smtp import ScriptedServer
from tests.support.sink import SinkProcess
from worker.core.outcomes import Outcome
from worker.errors import AuthenticationFailed, TransportUnavailable

PASSWORD = "žluťoučký kůň"


@dataclass(frozen=True, slots=True)
class Papers:
    """Files of an authority, a server's certificate from it, and a password."""

    authority: str
    arguments: tuple[str, ...]
    log_in: tuple[str, ...]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    base: Path = tmp_path_factory.mktemp("papers")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(base / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(base / "me.pem")
    (base / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    return Papers(
        authority=str(base / "ca.pem"),
        arguments=("--cert", str(base / "me.pem")),
        log_in=("--user", "sender", "--password-file", str(base / "password")),
    )


@pytest.fixture(scope="module", params=["starttls", "implicit"])
def encrypted(request: pytest.FixtureRequest, papers: Papers) -> Iterator[tuple[SinkProcess, str]]:
    """A sink, and the security that its clients need."""
    with SinkProcess("--tls", request.param, *papers.arguments, *papers.log_in) as sink:
        yield sink, "starttls" if request.param == "starttls" else "tls"


def credentials(**more: Any) -> dict[str, Any]:
    return {"username": "sender", "password": PASSWORD, **more}


def test_mails_go_out_over_tls_with_a_log_in(encrypted, papers):
    sink, security = encrypted
    way_out = transport(sink.port, security=security, ca_file=papers.authority, **credentials())

    replies = [way_out.send(envelope(), soon()) for _ in range(2)]
    way_out.close()

    assert [each.outcome for each in replies] == [Outcome.ACCEPTED] * 2
    first, second = sink.journal()[-2:]
    assert first["connection"] == second["connection"]
    assert first["user"] == "sender"


@pytest.mark.parametrize(
    "trust",
    [
        pytest.param({}, id="of an authority that is not known"),
        pytest.param({"ca_file": "authority", "host": "localhost"}, id="for another name"),
    ],
)
def test_a_certificate_is_refused(encrypted, papers, trust):
    sink, security = encrypted
    trust = {**trust, "ca_file": papers.authority} if "ca_file" in trust else trust

    with pytest.raises(TransportUnavailable, match="certificate verify failed"):
        transport(sink.port, security=security, **trust, **credentials()).ready()


def test_an_operator_may_decide_to_trust_any_certificate(encrypted):
    sink, security = encrypted
    way_out = transport(sink.port, security=security, verify=False, **credentials())

    assert way_out.send(envelope(), soon()).outcome is Outcome.ACCEPTED
    way_out.close()


def test_a_missing_ca_file_is_said_so(encrypted):
    sink, security = encrypted

    with pytest.raises(TransportUnavailable, match=r"TLS cannot be set up with /no/ca\.pem"):
        transport(sink.port, security=security, ca_file="/no/ca.pem").ready()


def test_a_connection_that_ends_after_the_dot_is_as_unknown_in_tls(papers):
    arguments = ("--tls", "implicit", *papers.arguments)
    with SinkProcess(*arguments, faults=["drop-after-dot:lost@*"]) as sink:
        way_out = transport(sink.port, security="tls", ca_file=papers.authority)
        big = envelope("lost@x", content=b"x" * 500 + b"\r\n" * 100_000)

        assert way_out.send(big, soon()).outcome is Outcome.UNKNOWN
        assert way_out.send(envelope(), soon()).outcome is Outcome.ACCEPTED
        way_out.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_both_ways_to_log_in_work_and_a_wrong_password_does_not(papers, mechanism):
    with SinkProcess(*papers.log_in, "--mechanisms", mechanism) as sink:
        way_out = transport(sink.port, **credentials())
        assert way_out.send(envelope(), soon()).outcome is Outcome.ACCEPTED
        way_out.close()
        assert sink.journal()[-1]["user"] == "sender"

        with pytest.raises(AuthenticationFailed, match=r"auth: 535 5\.7\.8") as failure:
            transport(sink.port, **credentials(password="wrong-secret")).ready()
        assert "wrong-secret" not in str(failure.value)


def test_a_server_that_wants_a_log_in_does_not_make_the_mail_fail_for_good(papers):
    with SinkProcess(*papers.log_in) as sink:
        way_out = transport(sink.port)
        reply = way_out.send(envelope(), soon())
        way_out.close()

        assert (reply.outcome, reply.code, reply.slow_down) == (Outcome.DEFERRED, 530, True)


@pytest.mark.parametrize("offer", ["", "GSSAPI XOAUTH2"])
def test_credentials_without_a_way_to_use_them_are_a_failed_log_in(offer):
    hello = f"250-scripted\r\n250 AUTH {offer}\r\n" if offer else "250 scripted\r\n"
    script = [scripted.say(b"220 hi\r\n"), scripted.answer(hello.encode())]

    with (
        ScriptedServer(script) as server,
        pytest.raises(AuthenticationFailed, match=offer or "no log-in"),
    ):
        transport(server.port, **credentials()).ready()


def test_a_server_without_starttls_gets_neither_mail_nor_password():
    with SinkProcess() as sink, pytest.raises(TransportUnavailable, match="STARTTLS") as failure:
        transport(sink.port, security="starttls", **credentials()).ready()

    assert type(failure.value) is TransportUnavailable


def test_words_slipped_in_before_the_encryption_end_the_connection():
    script = [
        scripted.say(b"220 hi\r\n"),
        scripted.answer(b"250-hi\r\n250 STARTTLS\r\n"),
        scripted.answer(b"220 go on\r\n250 AUTH PLAIN\r\n"),
        scripted.read_line,
    ]

    with ScriptedServer(script) as server:
        with pytest.raises(TransportUnavailable, match=r"starttls: .* out of turn"):
            transport(server.port, security="starttls", verify=False).ready()
        server.wait()
        assert server.peers[0].heard.endswith(b"STARTTLS\r\n")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(454, TransportUnavailable), (421, TransportUnavailable), (535, AuthenticationFailed)],
)
def test_a_log_in_that_fails_for_now_is_not_a_wrong_password(code, kind):
    hello = b"250-hi\r\n250 AUTH PLAIN LOGIN\r\n"
    script = [
        scripted.say(b"220 hi\r\n"),
        scripted.answer(hello),
        scripted.answer(f"{code} for sender with s3cret and AHNlbmRlcgBzM2NyZXQ=\r\n".encode()),
    ]

    with ScriptedServer(script) as server, pytest.raises(TransportUnavailable) as failure:
        transport(server.port, **credentials(password="s3cret")).ready()

    assert type(failure.value) is kind
    assert failure.value.reason == f"auth: {code} for *** with *** and ***"
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__


def test_a_password_is_in_no_representation():
    way_out = transport(25, **credentials())

    assert PASSWORD not in repr(way_out)
    assert "username='sender'" in repr(way_out)
