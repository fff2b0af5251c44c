"""Slots that tell the person instead of raising: Krita would open a box of its own and stop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from glihamba_client.errors import ClientError
from glihamba_proto.errors import Failure

P = ParamSpec("P")


class Speaker(Protocol):
    """Who tells the person."""

    language: str

    def message(self, words: str, failed: bool) -> None: ...


S = TypeVar("S", bound=Speaker)


def slot(method: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """The same method, with every failure told by `message`."""

    @functools.wraps(method)
    def guard(self: S, /, *arguments: P.args, **named: P.kwargs) -> None:
        try:
            method(self, *arguments, **named)
        except Failure as error:
            self.message(error.sentence(self.language), True)
        except Exception as error:
            failure = ClientError("HOST_FAILED", reason=f"{type(error).__name__}: {error}")
            self.message(failure.sentence(self.language), True)

    return guard
