"""The one exception that reaches a person through a plugin or the command line."""

from __future__ import annotations


class ClientError(Exception):
    """A failure a person can understand.

    `code` is a name of the contract's `ErrorCode` or one of the client's own (`locale/en.json` lists
    all of them). `detail` is the daemon's or host's own English sentence, with sizes and names in it,
    or empty. `fields` fill the placeholders of the code's message.
    """

    def __init__(self, code: str, detail: str = "", **fields: object) -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
        self.fields = fields
