"""Checks that a sampler means what it says: exact where all randomness is discrete, statistical elsewhere."""

from probinf.validity._errors import KeyReuseError, NotEnumerable, TooManyWorlds
from probinf.validity._law import EnumeratedLaw, enumerate_law
from probinf.validity._sites import Site

__all__ = ["EnumeratedLaw", "KeyReuseError", "NotEnumerable", "Site", "TooManyWorlds", "enumerate_law"]
