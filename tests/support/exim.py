"""A real exim4 (Debian's exim4-daemon-light) that keeps mail in directories of a test's own."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.debian_servers import DebianServer, free_port
from tests.support.process_table import wait_until
from tests.support.programs import program

USER, PASSWORD = "posta", "tajné heslo"
USER_OF_DEBIAN = "Debian-exim"
PER_CONNECTION = 3
"""How many mails a connection carries before 421."""

CONFIGURATION = """\
primary_hostname = exim.example
keep_environment =
spool_directory = {home}/spool
log_file_path = {home}/log-%slog
pid_file_path = {home}/pid
local_interfaces = 127.0.0.1
disable_ipv6 = true
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
auth_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
rfc1413_query_timeout = 0s
deliver_drop_privilege = true
never_users =
smtp_accept_max_per_connection = {per_connection}
smtp_enforce_sync = true
acl_smtp_rcpt = check_rcpt
acl_smtp_predata = check_predata
acl_smtp_data = check_data

begin acl

check_rcpt:
  deny    message = 530 5.7.0 authentication required
          condition = ${{if def:sender_host_authenticated {{no}}{{{demand}}}}}
  defer   local_parts = later
          message = 451 4.2.1 mailbox busy, try later
  deny    local_parts = nobody
          message = 550 5.1.1 no such user here
  accept  domains = firma.example : ruza.example

check_predata:
  drop    condition = ${{if match{{$recipients}}{{cut@}}}}
          message = 554 5.3.2 going away
  accept

check_data:
  warn    condition = ${{if match{{$recipients}}{{slow@}}}}
          delay = 1s
  accept

begin routers

all:
  driver = accept
  transport = keep

begin transports

keep:
  driver = appendfile
  directory = {home}/mail
  create_directory
  maildir_format
  envelope_to_add

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}

cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{user}}}{{{password}}}fail}}
  server_set_id = $auth1
"""


class EximServer(DebianServer):
    """One exim, with its own configuration, spool and mailboxes.

    Args:
        directory: its own; its user must be able to reach it.
        authority: of its certificate, which is for 127.0.0.1.
        log_in: whether it demands one.

    Attributes:
        tls_port: where TLS begins with the first byte.
    """

    run_as = USER_OF_DEBIAN

    def __init__(self, directory: Path, authority: Authority, *, log_in: bool = False) -> None:
        super().__init__(directory)
        self.tls_port = free_port()
        issued = authority.issue("127.0.0.1")
        certificate = shutil.copy(issued.certificate, directory / "server.pem")
        key = shutil.copy(issued.key, directory / "server.key")
        configuration = directory / "exim.conf"
        configuration.write_text(
            CONFIGURATION.format(
                home=directory,
                port=self.port,
                tls_port=self.tls_port,
                certificate=certificate,
                key=key,
                per_connection=PER_CONNECTION,
                demand="yes" if log_in else "no",
                user=USER,
                password=PASSWORD,
            )
        )
        self._give_away(directory)

    def command(self) -> Sequence[str]:
        """What starts it."""
        exim = program("exim4", "exim4-daemon-light")
        return [exim, "-C", str(self.directory / "exim.conf"), "-bdf", "-q1h"]

    def mails(self, mailbox: str, count: int = 1) -> list[bytes]:
        """The mails to a mailbox, once there are so many."""
        wait_until(lambda: len(self._kept(mailbox)) >= count, 10)
        return self._kept(mailbox)

    def _kept(self, mailbox: str) -> list[bytes]:
        mark = f"Envelope-to: {mailbox}@".encode()
        files = (self.directory / "mail" / "new").glob("*")
        return [mail for mail in (path.read_bytes() for path in files) if mail.startswith(mark)]

    def said(self) -> str:
        """What it wrote into its logs."""
        return "".join(path.read_text(errors="replace") for path in self.directory.glob("log-*"))

    def _give_away(self, directory: Path) -> None:
        """To the user as whom it runs, when the tests run as root."""
        if os.geteuid() != 0:
            return
        owner = pwd.getpwnam(USER_OF_DEBIAN)
        for path in (directory, *directory.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
