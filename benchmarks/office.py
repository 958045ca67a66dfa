"""(c): django-post_office on PostgreSQL, as its manual says to use it for many mails.

    python -m benchmarks.office DATABASE_URL SINK_PORT OCTETS MAILS

Run in a process of its own, since Django's settings are the process'. Prints mails a second, from
the first enqueue to the last status written. Its `send_queued` takes them in batches over one
connection a thread, and writes the statuses once a batch.
"""

from __future__ import annotations

import sys
import time
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command

from benchmarks.yardsticks import RECIPIENT, SENDER, letter


def main(url: str, port: int, octets: int, mails: int) -> None:
    place = urlsplit(url)
    settings.configure(
        INSTALLED_APPS=["post_office"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": place.path[1:],
                "USER": place.username,
                "PASSWORD": place.password,
                "HOST": place.hostname,
                "PORT": place.port,
            }
        },
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        POST_OFFICE={
            "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
            "BATCH_SIZE": 1000,
            "THREADS_PER_PROCESS": 8,
        },
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from post_office import mail
    from post_office.mail import send_queued

    text = letter(octets).get_content()
    one = {
        "sender": SENDER,
        "recipients": [RECIPIENT],
        "subject": "Faktúra",
        "message": text,
    }
    began = time.perf_counter()
    mail.send_many([dict(one) for _ in range(mails)])
    sent = 0
    while sent < mails:
        done, failed, _ = send_queued(processes=1)
        if failed or not done:
            sys.exit(f"{failed} failed, {done} sent of {mails - sent}")
        sent += done
    print(mails / (time.perf_counter() - began))


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:]))
