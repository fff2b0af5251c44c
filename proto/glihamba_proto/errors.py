"""The base of every failure that a person reads, on both sides of the contract."""

from __future__ import annotations

import copyreg
from typing import Any

from glihamba_proto import messages
from glihamba_proto.messages import Note


class Failure(Exception):
    """A failure with a sentence in the catalogue, or with a sentence of its own.

    `code` says what kind of failure it is: a name of the contract's `ErrorCode`, or one of a client's own.
    `case` chooses one of the code's sentences where it has several. `fields` fill the sentence's
    placeholders. `detail` is an English sentence that says more than the catalogue's, or empty.
    `str(failure)` is the sentence in English.
    """

    def __init__(self, code: str, detail: str = "", *, case: str = "", **fields: object) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.case = case
        self.fields: dict[str, Any] = fields

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, whatever a subclass's arguments are: failures come back from other processes."""
        return copyreg.__newobj__, (type(self),), self.__dict__  # type: ignore[attr-defined]

    @property
    def note(self) -> Note:
        """What the failure says, as it travels."""
        return Note(f"{self.code}.{self.case}" if self.case else self.code, self.fields, self.detail)

    def sentence(self, language: str = "") -> str:
        """What happened and what to do, in the asked language, else the person's own."""
        return messages.sentence(self.note, language)

    def __str__(self) -> str:
        return self.sentence("en")
