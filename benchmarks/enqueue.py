"""How fast a CSV becomes messages, and in how much memory.

    python -m benchmarks.enqueue [ROWS …]     default: 10000 200000

Each size runs in a process of its own, against an embedded PostgreSQL with the product's own
settings; the rate counts everything from opening the file, both passes included.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from settings import load
from tests.support.rows import make_company
from tests.support.services import service_directory
from worker import db
from worker.embedded.directory import DataDirectory
from worker.embedded.postgres import EmbeddedPostgres
from worker.enqueueing import Draft, MailingFile, enqueue_many

HTML = (
    "<html><body><p>Dobrý deň, {{ name }},</p>"
    + "<p>pripravili sme pre Vás novú ponuku na jeseň.</p>" * 20
    + "<p>Váš kód je {{ code }} a platí v meste {{ city }}.</p></body></html>"
)


def main(sizes: list[int]) -> None:
    with service_directory() as root:
        server = EmbeddedPostgres(DataDirectory(root / "data"))
        server.start()
        try:
            engine = db.make_engine(server.url, name="benchmark")
            db.migrate(engine)
            engine.dispose()
            for rows in sizes:
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.enqueue", "--one", server.url, str(rows)],
                    check=True,
                )
        finally:
            server.stop()


def one(url: str, rows: int) -> None:
    engine = db.make_engine(url, name="benchmark")
    with engine.begin() as connection:
        company = make_company(connection, name=f"Firma {rows}")
    mailing = Draft(company_id=company, subject="Ponuka pre {{ name }}", html=HTML)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "recipients.csv"
        with path.open("w", encoding="utf-8") as out:
            out.write("email;name;code;city\n")
            for n in range(rows):
                out.write(f"klient{n}@firma{n % 997}.example;Ján Novák {n};K-{n};Žilina\n")
        started = time.monotonic()
        tally = enqueue_many(engine, MailingFile(path), mailing, load({}))
        seconds = time.monotonic() - started
    engine.dispose()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{tally.enqueued:>9,} rows  {seconds:6.1f} s  {tally.enqueued / seconds:8,.0f} rows/s"
        f"  peak RSS {peak_mb:.0f} MB"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], int(sys.argv[3]))
    else:
        main([int(n) for n in sys.argv[1:]] or [10_000, 200_000])
