"""OAC servers that stand in for that of an automatic task, and who has been in charge."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Id


class TaskStandIn(Base):
    """A server that takes a task over when those before it are silent."""

    __tablename__ = "task_stand_in"
    __table_args__ = (UniqueConstraint("task_id", "server_id"),)

    task_id: Mapped[int] = mapped_column(
        ForeignKey("automatic_task.id", ondelete="CASCADE"), primary_key=True
    )
    place: Mapped[int] = mapped_column(SmallInteger(), primary_key=True)
    """1 is asked first."""
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id"))


class TaskServerChange(Base):
    """The journal: another server took charge of a task."""

    __tablename__ = "task_server_change"
    __table_args__ = (Index(None, "task_id", "at"),)

    id: Mapped[Id]
    task_id: Mapped[int] = mapped_column(ForeignKey("automatic_task.id", ondelete="CASCADE"))
    at: Mapped[CreatedAt]
    from_server_id: Mapped[int] = mapped_column(ForeignKey("server.id"))
    to_server_id: Mapped[int] = mapped_column(ForeignKey("server.id"))
    why: Mapped[str]
