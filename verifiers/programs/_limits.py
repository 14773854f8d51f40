"""What a program may use."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Limits:
    """Bounds on one program.

    Raises: ValueError for a bound that is not positive, and for less memory than the interpreter itself needs.
    """

    processor_seconds: int = 3  # of each process
    wall_seconds: float = 15.0  # of the whole run
    memory: int = 512 * 2**20  # bytes of address space, of each process
    disk: int = 2**20  # bytes, of each file and of the private directory
    processes: int = 1  # processes and threads, with the program itself
    files: int = 32  # open at a time
    output: int = 2**20  # bytes printed, and bytes of each returned value
    source: int = 2**16  # bytes of the program

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "wall_seconds" and value != int(value):
                raise ValueError(f"{name} must be a whole number, but it is {value}")
            if not value > 0:
                raise ValueError(f"{name} must be positive, but it is {value}")
        if self.memory < 128 * 2**20:
            raise ValueError(f"memory must be at least 128 MiB, for Python itself, but it is {self.memory} bytes")
        if self.files < 8:
            raise ValueError(f"files must be at least 8, but it is {self.files}")
        if self.output < 1024:
            raise ValueError(f"output must be at least 1024 bytes, but it is {self.output}")

    def message(self) -> dict[str, Any]:
        """As the process that applies them reads them."""
        return {
            "cpu": self.processor_seconds,
            "memory": self.memory,
            "disk": self.disk,
            "processes": self.processes,
            "files": self.files,
            "output": self.output,
        }
