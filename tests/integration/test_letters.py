"""What a claimed message becomes on its way to SMTP."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes, policy

from settings import load
from tests.support.rows import make_task
from worker.delivery.letters import address
from worker.enqueueing import Draft, enqueue
from worker.outbox import bodies, claims, leases


def test_what_a_field_holds_is_never_taken_for_a_template(engine):
    with engine.begin() as connection:
        task = make_task(connection)
        draft = Draft(
            company_id=task.company_id,
            subject="Ponuka pre {{ meno }}",
            text="Dobrý deň, {{ meno }}",
            to=["anna@firma.example"],
            fields={"meno": "{{ 7 * 7 }} {% chyba"},
        )
        message_id = enqueue(connection, draft, load({})).message_id
        (lease,) = leases.lease(connection, task.id, [message_id], timedelta(minutes=2))
        claim = claims.claim(
            connection,
            message_id,
            lease.token,
            server=task.server,
            worker="test",
            deadline=timedelta(minutes=12),
        )
        content = address(claim, bodies.read_body(connection, claim.row.body_id)).envelope.content

    mail = message_from_bytes(content, policy=policy.default)
    assert mail["Subject"] == "Ponuka pre {{ 7 * 7 }} {% chyba"
    assert mail.get_body().get_content().strip() == "Dobrý deň, {{ 7 * 7 }} {% chyba"
