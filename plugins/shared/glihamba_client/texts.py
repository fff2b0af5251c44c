"""What the plugins of both editors say: about layers and jobs, and in their dialogs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glihamba_client import messages
from glihamba_client.host import Progress

TEXTS = {
    "en": {
        "name": "{layer} (harmonized)",
        "queue": "{count} more before it",
        "next": "it is next",
        "reading": "Reading the layer",
        "writing": "Adding the result",
        "hidden": "“{layer}” or a group around it is hidden. Show it first: "
        "the picture on screen is what counts.",
        "empty": "“{layer}” is empty inside the canvas. Choose the layer that holds the object.",
        "selected nothing": "The selection lies outside of what “{layer}” shows. "
        "Select a part of the object, or deselect to harmonize all of it.",
        "deleted": "“{layer}” was deleted meanwhile, so the result was dropped.",
        "resized": "The image has changed its size or colours meanwhile. Nothing was changed: try again.",
        "model": "Model",
        "default model": "the default",
        "default model is": "the default ({model})",
        "not installed": "{title} (not downloaded)",
        "device": "Runs on",
        "asking": "asking the daemon…",
        "remote hint": "this computer",
    },
    "de": {
        "name": "{layer} (harmonisiert)",
        "queue": "{count} weitere vorher",
        "next": "als nächstes",
        "reading": "Die Ebene wird gelesen",
        "writing": "Das Ergebnis wird eingefügt",
        "hidden": "„{layer}“ oder eine Gruppe darum ist ausgeblendet. Blenden Sie sie ein: "
        "es zählt das Bild, das zu sehen ist.",
        "empty": "„{layer}“ ist innerhalb der Leinwand leer. Wählen Sie die Ebene mit dem Objekt.",
        "selected nothing": "Die Auswahl liegt außerhalb dessen, was „{layer}“ zeigt. "
        "Wählen Sie einen Teil des Objekts aus, oder heben Sie die Auswahl auf.",
        "deleted": "„{layer}“ wurde inzwischen gelöscht; das Ergebnis wurde verworfen.",
        "resized": "Größe oder Farbraum des Bildes haben sich inzwischen geändert. Nichts wurde verändert: "
        "versuchen Sie es noch einmal.",
        "model": "Modell",
        "default model": "die Vorgabe",
        "default model is": "die Vorgabe ({model})",
        "not installed": "{title} (nicht heruntergeladen)",
        "device": "Rechnet auf",
        "asking": "der Dienst wird gefragt…",
        "remote hint": "dieser Rechner",
    },
}


def find(own: Mapping[str, Mapping[str, str]], name: str, language: str = "", **fields: object) -> str:
    """A text of a plugin's own or of both, in the asked language, else the person's own, else English."""
    chosen = messages.choose(language)
    return messages.fill(own[chosen].get(name) or TEXTS[chosen][name], fields)


def stage(progress: Progress, language: str = "") -> str:
    """What a job is doing, and how many are before it."""
    words = messages.stage(progress.stage, language)
    if progress.stage != "QUEUED":
        return words
    place = "queue" if progress.queue_position else "next"
    return f"{words} ({find(TEXTS, place, language, count=progress.queue_position)})"


def device(info: Any) -> str:
    """What a daemon of this `ServerInfo` runs on, with its notice."""
    name = info.device.name or info.device.kind
    return f"{name} ({info.device.kind})\n{info.notice}".strip()


def choices(
    models: Sequence[Any], default: str, chosen: str, language: str = ""
) -> list[tuple[str, str, str]]:
    """Name, title and description of each model that can be chosen, the default (named "") first.

    `chosen` is among them in any case: what a person has set must not vanish with its model.
    """
    name = "default model is" if default else "default model"
    found = [("", find(TEXTS, name, language, model=default), "")]
    for model in models:
        title = model.title or model.name
        if not model.installed:
            title = find(TEXTS, "not installed", language, title=title)
        found.append((model.name, title, model.description))
    if chosen and all(chosen != name for name, _, _ in found):
        found.append((chosen, chosen, ""))
    return found
