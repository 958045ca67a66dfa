"""Reports as mail systems write them, for tests; all hosts and people are made up."""

from __future__ import annotations

ORIGINAL = "<7f0a@firma.example>"


def bounce(
    *groups: str,
    message_id: str = ORIGINAL,
    report_id: str = "<20261124.4C@relay.firma.example>",
    kind: str = "message/delivery-status",
    returned: str | None = None,
) -> bytes:
    """A report in the shape of Postfix's.

    Args:
        groups: the fields of each recipient.
        message_id: of the mail that came back.
        report_id: of the report itself.
        kind: of the part with the status.
        returned: the third part as it stands there, "" for none.
    """
    if returned is None:
        returned = (
            "Content-Description: Undelivered Message\nContent-Type: message/rfc822\n\n"
            f"Received: from app.firma.example\nMessage-ID: {message_id}\n"
            "From: Firma <info@firma.example>\nSubject: =?utf-8?q?Fakt=C3=BAra?=\n\n"
            "Dobrý deň.\n"
        )
    lines = f"""From: MAILER-DAEMON@relay.firma.example (Mail Delivery System)
To: info@firma.example
Subject: Undelivered Mail Returned to Sender
Date: Tue, 24 Nov 2026 10:00:00 +0100
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4C3D.1795510800/relay.firma.example"
Message-Id: {report_id}

This is a MIME-encapsulated message.

--4C3D.1795510800/relay.firma.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--4C3D.1795510800/relay.firma.example
Content-Description: Delivery report
Content-Type: {kind}

Reporting-MTA: dns; relay.firma.example
X-Postfix-Queue-ID: 4C3D
X-Postfix-Sender: rfc822; info@firma.example
Arrival-Date: Tue, 24 Nov 2026 09:59:58 +0100 (CET)

""" + "\n\n".join(groups)
    third = f"\n--4C3D.1795510800/relay.firma.example\n{returned}" if returned else ""
    return f"{lines}\n{third}\n--4C3D.1795510800/relay.firma.example--\n".encode()


def failed(address: str, status: str = "5.1.1", words: str = "User unknown") -> str:
    """The group of a recipient whose server refused."""
    return f"""Final-Recipient: rfc822; {address}
Original-Recipient: rfc822;{address}
Action: failed
Status: {status}
Remote-MTA: dns; mx.ina.example
Diagnostic-Code: smtp; 550 {status} <{address}>: Recipient address
    rejected: {words}"""


def acted(address: str, action: str, status: str = "2.0.0") -> str:
    """The group of a recipient of whom something else is told."""
    return f"""Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}"""


EXCHANGE = b"""From: Microsoft Outlook <postmaster@posta.ina.example>\r
To: <info@firma.example>\r
Date: Tue, 24 Nov 2026 09:00:00 +0000\r
Content-Type: multipart/report; report-type=delivery-status;\r
 boundary="2ad7f7f0-0d9c"\r
Message-ID: <d3b0@posta.ina.example>\r
In-Reply-To: <7f0a@firma.example>\r
References: <7f0a@firma.example>\r
Subject: Undeliverable: =?utf-8?B?RmFrdMO6cmE=?=\r
\r
--2ad7f7f0-0d9c\r
Content-Type: multipart/alternative; boundary="93ec"\r
\r
--93ec\r
Content-Type: text/plain; charset="us-ascii"\r
\r
Your message to eva@ina.example couldn't be delivered.\r
--93ec--\r
--2ad7f7f0-0d9c\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns;POSTA.ina.example\r
Received-From-MTA: dns;relay.firma.example\r
Arrival-Date: Tue, 24 Nov 2026 08:59:59 +0000\r
\r
Final-Recipient: rfc822;eva@ina.example\r
Action: failed\r
Status: 5.1.10\r
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient eva@ina.example\r
 not found by SMTP address lookup\r
X-Display-Name: Eva\r
\r
\r
--2ad7f7f0-0d9c--\r
"""
"""Without the third part; In-Reply-To names the mail."""

GMAIL = b"""Content-Type: multipart/report; boundary="000000000000b2c1"; report-type=delivery-status
To: info@firma.example
From: Mail Delivery Subsystem <mailer-daemon@velka-posta.example>
Subject: Delivery Status Notification (Delay)
References: <7f0a@firma.example>
In-Reply-To: <7f0a@firma.example>
X-Failed-Recipients: jan@velka-posta.example
Message-ID: <65600.1@mx.velka-posta.example>
Date: Tue, 24 Nov 2026 01:00:00 -0800 (PST)

--000000000000b2c1
Content-Type: multipart/related; boundary="000000000000b2c4"

--000000000000b2c4
Content-Type: text/plain; charset="UTF-8"

** Delivery incomplete **
--000000000000b2c4--
--000000000000b2c1
Content-Type: message/delivery-status

Reporting-MTA: dns; velka-posta.example
Received-From-MTA: dns; info@firma.example
Arrival-Date: Tue, 24 Nov 2026 00:59:58 -0800 (PST)
X-Original-Message-ID: <7f0a@firma.example>

Final-Recipient: rfc822; jan@velka-posta.example
Action: delayed
Status: 4.2.2
Diagnostic-Code: smtp; 452-4.2.2 The recipient's inbox is out of storage space.
 452 4.2.2 Please direct the recipient to free some.
Last-Attempt-Date: Tue, 24 Nov 2026 01:00:00 -0800 (PST)
Will-Retry-Until: Fri, 27 Nov 2026 00:59:58 -0800 (PST)

--000000000000b2c1
Content-Type: text/rfc822-headers

Received: from relay.firma.example
Message-ID:
 <7f0a@firma.example>
From: Firma <info@firma.example>

--000000000000b2c1--
"""
