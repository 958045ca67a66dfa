"""`kadencia task pause`, `resume` and `run`: automatic tasks of both channels."""

from __future__ import annotations

from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.output import say
from worker.cli.task.obstacles import NameArgument, obstacles, remark
from worker.registers import tasks as register
from worker.registers.naming import find_company


def pause(name: NameArgument, company: CompanyOption = None) -> None:
    """Let an automatic task send nothing more; what is released already goes back.

    Example: kadencia task pause Pošta
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        done = register.pause_task(
            connection, register.find_task(connection, owner, name, lock=True)
        )
    say(f"automatic task {name} {'is paused now' if done else 'was paused already'}")


def resume(name: NameArgument, company: CompanyOption = None) -> None:
    """Let a paused automatic task run again.

    Example: kadencia task resume Pošta
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name, lock=True)
        done = register.resume_task(connection, task, owner)
        hindered = obstacles(connection, task, owner)
    say(f"automatic task {name} {'is active now' if done else 'was active already'}")
    remark(hindered)


def run(name: NameArgument, company: CompanyOption = None) -> None:
    """Have an automatic task look for messages now; plan and cadence still hold.

    Example: kadencia task run Pošta
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name, lock=True)
        register.run_now(connection, task)
        hindered = obstacles(connection, task, owner)
    say(f"automatic task {name} is called for")
    remark(hindered)
