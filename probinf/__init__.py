"""Probabilistic inference and verification as one calculus of weighted particles."""
