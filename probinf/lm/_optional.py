"""Import the packages of the optional extra `lm`, or say how to install them."""

import importlib
from types import ModuleType


def optional_module(name: str) -> ModuleType:
    """Import `name`, one of the packages of the extra `lm`.

    Raises:
        ImportError: the package is not installed; the message names the fix.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"This needs the package {name!r}: run  pip install 'probinf[lm]'") from None
