"""Which process something belongs to, and whether it lives."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import uuid
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Owner(BaseModel):
    """A process that makes a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    pid: int
    started: str
    """When the process started, as its system counts; empty where the system does not tell."""
    space: str
    """Equal for processes that see each other's process numbers: one machine, one boot, one container."""
    token: str
    """One value a command, since a process may run several."""

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        state = _process_state(pid)
        return cls(
            host=socket.gethostname(),
            pid=pid,
            started=state[1] if state else "",
            space=_space(),
            token=secrets.token_hex(8),
        )

    def seen_from(self, other: Owner) -> bool:
        """Whether `other` can tell by its process number that this process lives."""
        return self.space == other.space

    def alive(self) -> bool:
        """Whether the process lives, for a caller that sees its number; a number that was given again is another."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        state = _process_state(self.pid)
        return state is None or (state[0] not in "ZX" and (not self.started or state[1] == self.started))

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"


def _space() -> str:
    boot, names = f"{uuid.getnode():x}", ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        names = str(Path("/proc/self/ns/pid").stat().st_ino)
    return f"{socket.gethostname()}/{boot}/{names}"


def _process_state(pid: int) -> tuple[str, str] | None:
    """State letter and start time in the kernel's ticks; None where the system does not tell."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = found.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return fields[0], fields[19]
