"""Which log-in is used with what an SMTP server offers, and client certificates."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.mail import envelope, soon, transport
from tests.support.scripted_smtp import ScriptedServer, answer, say
from tests.support.sink import SinkProcess
from worker.core.outcomes import Outcome
from worker.errors import AuthenticationFailed, TransportUnavailable

PASSWORD = "žluťoučký kůň"
ALL = "PLAIN,LOGIN,CRAM-MD5"


class Papers:
    """Files of an authority, a server's and a client's certificates, and passwords."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(self.file("ca.pem"))
        self.ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            self.file("server.pem")
        )
        self.issue("client")
        Path(self.file("password")).write_text(PASSWORD + "\n", encoding="utf-8")
        self.log_in = ("--user", "sender", "--password-file", self.file("password"))
        self.mutual = ("--cert", self.file("server.pem"), "--client-ca", self.file("ca.pem"))

    def file(self, name: str) -> str:
        return str(self.base / name)

    def issue(self, name: str) -> None:
        """A client's certificate in NAME.pem, its key in NAME.key, both in NAME-both.pem."""
        made = self.ca.issue_cert(f"{name}.example")
        made.cert_chain_pems[0].write_to_path(self.file(f"{name}.pem"))
        made.private_key_pem.write_to_path(self.file(f"{name}.key"))
        made.private_key_and_cert_chain_pem.write_to_path(self.file(f"{name}-both.pem"))


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def credentials(**more: Any) -> dict[str, Any]:
    return {"username": "sender", "password": PASSWORD, **more}


def heard_by(offer: str, **settings: Any) -> bytes:
    """The AUTH command that a server with this offer hears."""
    hello = f"250-scripted\r\n250 AUTH {offer}\r\n".encode()
    script = [say(b"220 hi\r\n"), answer(hello), answer(b"454 4.7.0 not now\r\n")]
    with ScriptedServer(script) as server:
        with pytest.raises(TransportUnavailable):
            transport(server.port, **credentials(**settings)).ready()
        return server.peers[0].heard.split(b"\r\n")[1]


@pytest.mark.parametrize(
    ("mechanism", "password"), [(None, PASSWORD), ("cram-md5", PASSWORD), ("login", PASSWORD)]
)
def test_a_log_in_works_by_the_best_mechanism_or_by_the_one_that_was_chosen(
    papers, mechanism, password
):
    with SinkProcess(*papers.log_in, "--mechanisms", ALL) as sink:
        way_out = transport(sink.port, **credentials(log_in=mechanism))
        assert way_out.send(envelope(), soon()).outcome is Outcome.ACCEPTED
        way_out.close()
        assert sink.journal()[-1]["user"] == "sender"

        with pytest.raises(AuthenticationFailed, match=r"auth: 535"):
            transport(sink.port, **credentials(log_in=mechanism, password="wrong")).ready()


def test_a_password_is_not_shown_in_the_clear_where_the_server_can_do_without():
    assert heard_by("PLAIN LOGIN CRAM-MD5") == b"AUTH CRAM-MD5"
    assert heard_by("PLAIN LOGIN CRAM-MD5", log_in="plain").startswith(b"AUTH PLAIN ")


def test_a_mechanism_that_was_chosen_and_is_not_offered_is_said_so():
    hello = b"250-scripted\r\n250 AUTH PLAIN LOGIN\r\n"
    words = r"offers PLAIN LOGIN, and this account can use CRAM-MD5"

    with (
        ScriptedServer([say(b"220 hi\r\n"), answer(hello)]) as server,
        pytest.raises(AuthenticationFailed, match=words),
    ):
        transport(server.port, **credentials(log_in="cram-md5")).ready()
    assert b"AUTH" not in server.peers[0].heard


def test_a_challenge_that_is_none_ends_the_log_in():
    hello = b"250-scripted\r\n250 AUTH CRAM-MD5\r\n"
    script = [say(b"220 hi\r\n"), answer(hello), answer(b"334 ???\r\n")]

    with (
        ScriptedServer(script) as server,
        pytest.raises(TransportUnavailable, match="the challenge is not in base64"),
    ):
        transport(server.port, **credentials()).ready()


@pytest.fixture(scope="module")
def mutual(papers):
    with SinkProcess("--tls", "starttls", *papers.mutual) as sink:
        yield sink


@pytest.mark.parametrize(
    ("cert", "key"),
    [
        pytest.param("client.pem", "client.key", id="in two files"),
        pytest.param("client-both.pem", None, id="in one"),
    ],
)
def test_a_server_that_asks_for_a_certificate_gets_ours(mutual, papers, cert, key):
    way_out = transport(
        mutual.port,
        security="starttls",
        ca_file=papers.file("ca.pem"),
        cert_file=papers.file(cert),
        key_file=key and papers.file(key),
    )

    assert way_out.send(envelope(), soon()).outcome is Outcome.ACCEPTED
    way_out.close()


def test_a_server_that_asks_for_a_certificate_refuses_whoever_has_none(mutual, papers):
    with pytest.raises(TransportUnavailable, match=r"closed the connection|certificate"):
        transport(mutual.port, security="starttls", ca_file=papers.file("ca.pem")).ready()


def test_a_renewed_certificate_is_used_with_the_next_connection(mutual, papers):
    cert = Path(papers.file("renewed.pem"))
    cert.write_text("-----BEGIN CERTIFICATE-----\n")
    key = papers.file("client.key")
    way_out = transport(
        mutual.port,
        security="starttls",
        ca_file=papers.file("ca.pem"),
        cert_file=str(cert),
        key_file=key,
    )
    with pytest.raises(TransportUnavailable, match="cannot be used"):
        way_out.ready()

    cert.write_bytes(Path(papers.file("client.pem")).read_bytes())

    way_out.ready()
    way_out.close()


def encrypt(papers: Papers) -> str:
    """The client's key under a passphrase."""
    path = papers.file("encrypted.key")
    command = ["openssl", "pkey", "-in", papers.file("client.key"), "-aes256", "-out", path]
    subprocess.run([*command, "-passout", "pass:x"], check=True, capture_output=True)
    return path


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        pytest.param("missing.pem", None, "cannot be read: No such file", id="not there"),
        pytest.param("password", None, "holds no client certificate in PEM", id="something else"),
        pytest.param("client.pem", None, "holds no key of the client certificate", id="no key"),
        pytest.param("client.pem", "missing.key", "cannot be read: No such", id="key not there"),
        pytest.param("client.pem", "other.key", "does not belong to", id="another's key"),
        pytest.param("client.pem", "encrypted.key", "with a passphrase", id="an encrypted key"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_in_words(papers, cert, key, words):
    papers.issue("other")
    encrypt(papers)
    files = {"cert_file": papers.file(cert), "key_file": key and papers.file(key)}

    with pytest.raises(TransportUnavailable, match=words):
        transport(1, security="tls", **files).ready()
