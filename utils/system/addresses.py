"""URLs as they may be shown: without what could open the camera to whoever reads a message or a result."""

from __future__ import annotations

import re

HIDDEN = "…"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
HOST = re.compile(r"(?:[\w.-]*|\[[0-9A-Fa-f:.]*\])(?::\d*)?")
IP_ADDRESS = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\])(?::\d+)?")
PLAIN_PART = re.compile(r"[\w.-]{0,20}")  # longer ones may be keys, other characters set names and passwords apart
SECRET_WORD = re.compile(r"pass|pwd|psw|pw|secret|token|auth|key|user|usr|login|cred|sig", re.IGNORECASE)
URL_START = re.compile(
    r"[A-Za-z0-9+.-]{0,30}://+|(?:https?|rtsps?|rtmps?|rtp|udp|tcp|srt|mms|s?ftp):/(?!/)", re.IGNORECASE
)  # the second as `Path` writes it
BLANK = re.compile(r"\s")
CLOSING_MARKS = ".,:;)'\"`"  # that a sentence puts behind a URL


def is_url(text: str) -> bool:
    """Whether `text` is a URL and no path."""
    return "://" in text


def hide_secrets(url: str) -> str:
    """A URL fit to be shown; what is no URL stays as it is.

    User and password, the values of query and fragment, and the path from the first part on that may hold a secret
    (`user=x_password=y`, `user:password`, long keys) become nothing or `…`. Where an `@` stands behind the first of
    `/?#`, it may belong to a password as well as to the path: then nothing is shown but a numeric address.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    shown = scheme if not scheme or SCHEME.fullmatch(scheme) else HIDDEN
    end = next((place for place, letter in enumerate(rest) if letter in "/?#"), len(rest))
    host, behind = rest[:end].rpartition("@")[2], rest[end:]
    if "@" in behind:
        last = re.split("[/?#]", behind.rpartition("@")[2], maxsplit=1)[0]
        numeric = next((one for one in (last, host) if IP_ADDRESS.fullmatch(one)), "")
        return f"{shown}://{numeric}{'/' if numeric else ''}{HIDDEN}"
    if not HOST.fullmatch(host):
        return f"{shown}://{HIDDEN}"
    path, query, fragment = _split(behind)
    query = f"?{HIDDEN}" if query else ""
    return f"{shown}://{host}{_plain_path(path)}{query or (f'#{HIDDEN}' if fragment else '')}"


def _split(behind: str) -> tuple[str, str, str]:
    """Path, query and fragment of what stands behind a URL's host."""
    before, _, fragment = behind.partition("#")
    path, _, query = before.partition("?")
    return path, query, fragment


def _plain_path(path: str) -> str:
    """A URL's path up to the first part that may hold a secret."""
    shown: list[str] = []
    for part in path.split("/"):
        if not PLAIN_PART.fullmatch(part) or SECRET_WORD.search(part):
            return "/".join([*shown, HIDDEN])
        shown.append(part)
    return "/".join(shown)


def hide_in_text(text: str) -> str:
    """A message in which every URL is as `hide_secrets` shows it.

    A URL ends at a blank, or if an `@` comes later, as of a password with blanks, at the blank behind that.
    """
    shown, place = [], 0
    while found := URL_START.search(text, place):
        blank = BLANK.search(text, max(text.rfind("@"), found.end()))
        end = blank.start() if blank else len(text)
        url = text[found.end() : end].rstrip(CLOSING_MARKS)
        scheme = found[0].partition(":")[0]
        more_slashes = found[0].partition("://")[2]
        shown += [text[place : found.start()], hide_secrets(f"{scheme}://{more_slashes}{url}")]
        place = found.end() + len(url)
        shown.append(text[place:end])
        place = end
    return "".join(shown) + text[place:]
