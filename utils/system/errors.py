"""How a mistake of the user ends a program: one clear line and exit status 2, never a traceback."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator

from utils.system.addresses import hide_in_text
from utils.system.streams import lasting_streams

WORD = re.compile(r"\S+")
MAX_WORD = 600  # letters of a name that a message shows; a path of more is no file's


def _abridge(word: re.Match) -> str:
    """A word, of one that somebody made endless its two ends."""
    return word[0] if len(word[0]) <= MAX_WORD else f"{word[0][: MAX_WORD // 2]}…{word[0][-MAX_WORD // 4 :]}"


class UserError(Exception):
    """Something the user can put right; the text says what was found, what was expected and what to do.

    It shows no secrets of URLs, whichever option they were given to.
    """

    def __init__(self, text: str) -> None:
        super().__init__(WORD.sub(_abridge, hide_in_text(text)))


class Interrupted(Exception):
    """A signal ended the work early, with everything saved; the text says what was saved and how to go on."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number


class WriteError(UserError):
    """A file cannot be written; `path` says which one, `reason` why."""

    path: str
    reason: str

    @classmethod
    def of(cls, path: str | os.PathLike, reason: str, advice: str) -> WriteError:
        """What the system said about `path`, and what to do."""
        result = cls(f"{path}: cannot be written ({reason}); {advice}")
        result.path, result.reason = os.fspath(path), reason
        return result


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn `UserError` into `error: …` on stderr and status 2, and signals into status 128 + their number.

    So does what the system refuses and nobody has foreseen. Printing raises nothing, see `lasting_streams`.
    """
    speaker = f" (rank {os.environ['RANK']})" if "TORCHELASTIC_RUN_ID" in os.environ else ""
    with lasting_streams():
        try:
            yield
        except UserError as error:
            print(f"error{speaker}: {' '.join(str(error).split())}", file=sys.stderr)
            raise SystemExit(2) from None
        except OSError as error:
            where = " ".join(f"{name}:" for name in (error.filename, error.filename2) if name)
            text = f"{where} {error.strerror or error}".strip()
            print(f"error{speaker}: {hide_in_text(' '.join(text.split()))}", file=sys.stderr)
            raise SystemExit(2) from None
        except Interrupted as error:
            print(f"interrupted{speaker}: {error}", file=sys.stderr)
            raise SystemExit(128 + error.number) from None
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise SystemExit(130) from None
