"""The plugin's own words. Failures of the daemon and the client have theirs in `glihamba_client/locale`."""

from __future__ import annotations

from glihamba_client import messages

TEXTS = {
    "en": {
        "harmonize": "Harmonize layer",
        "settings": "Harmonize layer: settings…",
        "tip": "Recolour the active layer, or the selected part of it, to fit what lies below it. "
        "Its strength afterwards is the opacity of the new layer; before and after is its eye.",
        "name": "{layer} (harmonized)",
        "queue": "{count} more before it",
        "next": "it is next",
        "reading": "Reading the layer",
        "writing": "Adding the result",
        "cancel": "Cancel",
        "no document": "There is no image open. Open one, and choose the layer that holds the object.",
        "no layer": "No layer is active. Choose the layer that holds the object.",
        "not a layer": "“{layer}” is not a layer with pixels but a {kind}. "
        "Choose the layer that holds the object.",
        "hidden": "“{layer}” or a group around it is hidden. Show it first: "
        "the picture on screen is what counts.",
        "animated": "“{layer}” is animated, and one result cannot fit all of its frames. "
        "Copy the frame to a layer of its own and harmonize that.",
        "empty": "“{layer}” is empty inside the canvas. Choose the layer that holds the object.",
        "selected nothing": "The selection lies outside of what “{layer}” shows. "
        "Select a part of the object, or deselect to harmonize all of it.",
        "busy": "“{layer}” is being harmonized already. Wait for it, or cancel it first.",
        "closed": "The image was closed meanwhile, so the result was dropped.",
        "deleted": "“{layer}” was deleted meanwhile, so the result was dropped.",
        "resized": "The image has changed its size or colours meanwhile. Nothing was changed: try again.",
        "model": "Model",
        "default model": "the default",
        "default model is": "the default ({model})",
        "not installed": "{title} (not downloaded)",
        "device": "Runs on",
        "asking": "asking the daemon…",
        "remote": "Daemon's address",
        "remote hint": "this computer",
        "remote tip": "host:port of a daemon on another machine; empty: this computer's own",
        "token file": "Token file",
        "ca file": "Certificate file",
        "language": "Language",
        "system": "the system's",
        "strength": "Strength: set the opacity of the harmonized layer.",
    },
    "de": {
        "harmonize": "Ebene harmonisieren",
        "settings": "Ebene harmonisieren: Einstellungen…",
        "tip": "Färbt die aktive Ebene oder den ausgewählten Teil davon passend zu ihrem Grund um."
        " Die Stärke ist danach die Deckkraft der neuen Ebene; vorher und nachher zeigt ihr Auge.",
        "name": "{layer} (harmonisiert)",
        "queue": "{count} weitere vorher",
        "next": "als nächstes",
        "reading": "Die Ebene wird gelesen",
        "writing": "Das Ergebnis wird eingefügt",
        "cancel": "Abbrechen",
        "no document": "Es ist kein Bild offen. Öffnen Sie eines, und wählen Sie die Ebene mit dem Objekt.",
        "no layer": "Keine Ebene ist aktiv. Wählen Sie die Ebene mit dem Objekt.",
        "not a layer": "„{layer}“ ist keine Ebene mit Pixeln, sondern {kind}. "
        "Wählen Sie die Ebene mit dem Objekt.",
        "hidden": "„{layer}“ oder eine Gruppe darum ist ausgeblendet. Blenden Sie sie ein: "
        "es zählt das Bild, das zu sehen ist.",
        "animated": "„{layer}“ ist animiert, und ein Ergebnis kann nicht zu allen Bildern passen. "
        "Kopieren Sie das Bild auf eine eigene Ebene und harmonisieren Sie diese.",
        "empty": "„{layer}“ ist innerhalb der Leinwand leer. Wählen Sie die Ebene mit dem Objekt.",
        "selected nothing": "Die Auswahl liegt außerhalb dessen, was „{layer}“ zeigt. "
        "Wählen Sie einen Teil des Objekts aus, oder heben Sie die Auswahl auf.",
        "busy": "„{layer}“ wird schon harmonisiert. Warten Sie darauf, oder brechen Sie es erst ab.",
        "closed": "Das Bild wurde inzwischen geschlossen; das Ergebnis wurde verworfen.",
        "deleted": "„{layer}“ wurde inzwischen gelöscht; das Ergebnis wurde verworfen.",
        "resized": "Größe oder Farbraum des Bildes haben sich inzwischen geändert. Nichts wurde verändert: "
        "versuchen Sie es noch einmal.",
        "model": "Modell",
        "default model": "die Vorgabe",
        "default model is": "die Vorgabe ({model})",
        "not installed": "{title} (nicht heruntergeladen)",
        "device": "Rechnet auf",
        "asking": "der Dienst wird gefragt…",
        "remote": "Adresse des Dienstes",
        "remote hint": "dieser Rechner",
        "remote tip": "host:port eines Dienstes auf einem anderen Rechner; leer: der eigene",
        "token file": "Token-Datei",
        "ca file": "Zertifikatsdatei",
        "language": "Sprache",
        "system": "die des Systems",
        "strength": "Stärke: die Deckkraft der harmonisierten Ebene.",
    },
}
LANGUAGES = {"en": "English", "de": "Deutsch"}


def text(name: str, language: str = "", **fields: object) -> str:
    """A text in the asked language, else the person's own, else English."""
    return messages.fill(TEXTS[messages.choose(language)][name], fields)
