"""`probinf serve`: a small OpenAI-compatible server around a language model."""

import argparse
import importlib
import ipaddress
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from probinf.cli._models import load
from probinf.servers import Engine, ModelServer


def run(options: argparse.Namespace) -> int:
    """Serves until interrupted.

    Raises: ValueError for a reward that is none; OSError where the address is taken; ModelFileError,
    ModelDownloadError.
    """
    reward = None if options.reward is None else reward_function(options.reward)
    model = load(options.model)
    # What the user typed is easier to repeat than what the file calls itself.
    name = Path(options.model).expanduser().resolve().name.removesuffix(".gguf")
    engine = Engine(model.lm, model.tokenizer, name)
    server = ModelServer(engine, reward, host=options.host, port=options.port, aliases=[model.name])
    reach = "only this machine can reach it" if _is_loopback(options.host) else "without password, for all who reach it"
    print(f"serving {name} at {server.url} ({reach}); stop with Ctrl-C", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        # How a server is meant to end.
        return 0
    finally:
        server.close()
    return 0


def reward_function(spec: str) -> Callable[[str, str], Any]:
    """The function `module:name` of prompt and response, imported from the working directory or an installed package.

    Raises: ValueError where there is no such function.
    """
    module_name, colon, name = spec.partition(":")
    if not (module_name and colon and name):
        raise ValueError(f"--reward takes module:function, such as rewards:score, got {spec!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except ImportError as problem:
        raise ValueError(f"--reward {spec}: {problem}") from None
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise ValueError(f"--reward {spec}: the module {module_name} has no function {name}")
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
