"""How a mistake of the user ends a program: one clear line and exit status 2, never a traceback."""
from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


class UserError(Exception):
    """Something the user can put right; the text says what was found, what was expected and what to do."""


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn `UserError` into `error: …` on stderr and status 2, and Ctrl-C into status 130."""
    try:
        yield
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
