"""What runs inside the sandbox: the standard library only, imported by a process that does not have probinf."""
