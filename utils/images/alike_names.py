"""Names that mean the same file, but are spelt in another Unicode form or with other letter case.

macOS takes names apart (`ä` becomes `a` and a mark), and Windows does not mind case; so lists that were written there
spell names otherwise than a disk on which both count.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable

from utils.system.errors import UserError
from utils.system.notices import warn


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _fold(name: str) -> str:
    return _compose(_compose(name).casefold())


class AlikeNames:
    """Finds names among those of `names()`, which is asked once, when a name is first looked up.

    Args:
        names: gives the names that are there.
    """

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names
        self._index: dict[str, str] | None = None
        self._clashes: dict[str, list[str]] = {}
        self._taken: dict[str, str] = {}
        self._told = False

    def _build(self) -> dict[str, str]:
        index: dict[str, str] = {}
        for name in self._names():
            first = index.setdefault(_fold(name), name)
            if first != name:
                self._clashes.setdefault(_fold(name), [first]).append(name)
        return index

    def find(self, name: str) -> str | None:
        """The one name that is `name` but for its Unicode form, else but for letter case; None where there is none.

        Raises:
            UserError: there are several.
        """
        if self._index is None:
            self._index = self._build()
        folded = _fold(name)
        if folded not in self._index:
            return None
        found = self._clashes.get(folded) or [self._index[folded]]
        composed = [other for other in found if _compose(other) == _compose(name)]
        found = composed or found
        if len(found) > 1:
            raise UserError(
                f"{name}: found {found[0]} and {found[1]}, which differ from that in letter case or Unicode form "
                "alone; expected one; rename one of them, or spell the name as its file is called"
            )
        self._taken.setdefault(name, found[0])
        return found[0]

    def tell(self, where: str, counted: bool = True) -> None:
        """Warn of names that were found so, on one line, once.

        Args:
            where: the names were looked up.
            counted: whether more will not be found.
        """
        if self._taken and not self._told:
            self._told = True
            count = f": {len(self._taken)}" if counted else ""
            name, found = next(iter(self._taken.items()))
            spelling = "letter case" if _compose(name) != _compose(found) else "Unicode form"
            warn(
                f"{where}: names spelt otherwise than their files{count}, the first {name}, taken for {found} "
                f"(another {spelling})"
            )


def find_spelt_alike(names: Iterable[str], known: Collection[str], option: str) -> list[str]:
    """Names that a user gave, spelt as the `known` ones are; those that none is like stay as they are.

    Args:
        names: that were given with `option`.
        known: names there are.
        option: for the warning, such as `--sequences`.
    """
    alike = AlikeNames(lambda: known)
    found = [name if name in known else alike.find(name) or name for name in names]
    alike.tell(option)
    return found
