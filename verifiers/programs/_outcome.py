"""How one program fared."""

import enum
from dataclasses import dataclass


class ProgramStatus(enum.Enum):
    """The one way in which a run ended; all but PASSED count as not accepted."""

    PASSED = "passed"  # every test held
    FAILED = "failed"  # a test did not hold
    ERROR = "error"  # the program raised, ended early, or defines nothing to test
    UNSUPPORTED = "unsupported"  # the tests use what stays in the program's process: nothing is said about the program
    TIMED_OUT = "timed out"  # processor or wall time
    MEMORY = "memory"  # an allocation was refused
    KILLED = "killed"  # died of a signal, such as a segmentation fault after deep recursion
    OUTPUT_FLOOD = "output flood"  # printed or returned more than allowed
    REFUSED = "refused"  # never ran: too long, or not text


@dataclass(frozen=True)
class Outcome:
    """Status of one program, and what it took."""

    status: ProgramStatus
    detail: str = ""
    output: str = ""  # the beginning of what the program printed
    processor_seconds: float = 0.0  # of the program and its tests
    wall_seconds: float = 0.0
    peak_memory: int = 0  # bytes, of the program, with the interpreter it starts in

    @property
    def passed(self) -> bool:
        """Whether every test held."""
        return self.status is ProgramStatus.PASSED
