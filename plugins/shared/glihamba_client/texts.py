"""What the plugins of both editors say: about layers and jobs, and in their dialogs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from glihamba_client.errors import ClientError, error_of
from glihamba_client.host import Progress
from glihamba_client.streams import notice
from glihamba_proto import messages
from glihamba_proto.messages import Note


def find(editor: str, name: str, language: str = "", **fields: object) -> str:
    """A text of one editor's plugin (KRITA or GIMP) or of both, in the asked or the person's language."""
    return messages.text(_message(editor, name), language, **fields)


def result_name(layer: str, language: str = "") -> str:
    """The name of a layer's result. The name of a result, in any language, is that of its layer first."""
    for known in messages.languages():
        before, after = messages.text("EDITOR.name", known, layer="\0").split("\0")
        while len(layer) > len(before + after) and layer.startswith(before) and layer.endswith(after):
            layer = layer[len(before) : len(layer) - len(after)]
    return messages.text("EDITOR.name", language, layer=layer)


def refusal(editor: str, name: str, **fields: object) -> ClientError:
    """The failure that one of these texts tells of. Its sentence is made where it is shown."""
    return error_of(Note(_message(editor, name), fields))


def _message(editor: str, name: str) -> str:
    """The key of a text in the catalogue: the editor's own text, or that of both editors."""
    own = f"{editor}.{name}"
    return own if own in messages.catalogue("en") else f"EDITOR.{name}"


def stage(progress: Progress, language: str = "") -> str:
    """What a job is doing, and how many are before it."""
    words = messages.stage(progress.stage, language)
    if progress.stage != "QUEUED":
        return words
    place = "queue" if progress.queue_position else "next"
    return f"{words} ({messages.text(f'EDITOR.{place}', language, count=progress.queue_position)})"


def proposal(kind: str, number: int, language: str = "") -> str:
    """The name of a correction to choose from. number: from 1. kind: see the contract's `Variant`."""
    own = {"statistics": "EDITOR.statistics", "stronger": "EDITOR.stronger"}
    return messages.text(own.get(kind, "EDITOR.proposal"), language, number=number)


def device(info: Any, language: str = "") -> str:
    """What a daemon of this `ServerInfo` runs on, with its notice."""
    name = info.device.name or info.device.kind
    said = notice(info)
    words = f"{name} ({info.device.kind})"
    return f"{words}\n{messages.sentence(said, language)}" if said else words


class Offered(NamedTuple):
    """A model that can be chosen: its name ("" for the default), its title, what it does, who may use it."""

    name: str
    title: str
    description: str = ""
    licence: str = ""

    @property
    def about(self) -> str:
        """What a tooltip says."""
        return "\n\n".join(part for part in (self.description, self.licence) if part)


def choices(models: Sequence[Any], default: str, chosen: str, language: str = "") -> list[Offered]:
    """The models that can be chosen, the default first.

    `chosen` is among them in any case: what a person has set must not vanish with its model.
    """
    name = "EDITOR.default model is" if default else "EDITOR.default model"
    found = [Offered("", messages.text(name, language, model=default))]
    for model in models:
        title = model.title or model.name
        if not model.installed:
            title = messages.text("EDITOR.not installed", language, title=title)
        found.append(Offered(model.name, title, model.description, model.licence))
        if model.name == default:
            found[0] = found[0]._replace(description=model.description, licence=model.licence)
    if chosen and all(chosen != each.name for each in found):
        found.append(Offered(chosen, chosen))
    return found


def licence_of(offered: Sequence[Offered], name: str | None) -> str:
    """Who may use the model of that name; "" while that is not known."""
    return next((each.licence for each in offered if each.name == name), "")
