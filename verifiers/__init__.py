"""Verifiers: programs that accept or score a candidate answer."""
