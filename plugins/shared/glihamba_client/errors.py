"""The one exception that reaches a person through a plugin or the command line."""

from __future__ import annotations

from glihamba_proto.errors import Failure
from glihamba_proto.messages import Note


class ClientError(Failure):
    """A failure a person can understand: a refusal of the daemon's, or one of the client's own."""


def error_of(note: Note) -> ClientError:
    """The failure that a note tells of."""
    code, _, case = note.message.partition(".")
    return ClientError(code, note.detail, case=case, **note.fields)


def refuse(problem: Note | None) -> None:
    """Raise `ClientError` for what one of `glihamba_proto.checks` has found, if anything."""
    if problem is not None:
        raise error_of(problem)
