"""The plugin's own words.

Those of both editors are in `glihamba_client/texts.py`, failures of the daemon and the client in
`glihamba_client/locale`.
"""

from __future__ import annotations

from glihamba_client import texts

TEXTS = {
    "en": {
        "harmonize": "Harmonize layer",
        "settings": "Harmonize layer: settings…",
        "tip": "Recolour the active layer, or the selected part of it, to fit what lies below it. "
        "Its strength afterwards is the opacity of the new layer; before and after is its eye.",
        "cancel": "Cancel",
        "no document": "There is no image open. Open one, and choose the layer that holds the object.",
        "no layer": "No layer is active. Choose the layer that holds the object.",
        "not a layer": "“{layer}” is not a layer with pixels but a {kind}. "
        "Choose the layer that holds the object.",
        "animated": "“{layer}” is animated, and one result cannot fit all of its frames. "
        "Copy the frame to a layer of its own and harmonize that.",
        "closed": "The image was closed meanwhile, so the result was dropped.",
        "moved": "“{layer}” was moved or painted on meanwhile, so the result was dropped. Try again.",
        "not added": "Krita could not add the result to “{layer}”: another layer or image was chosen "
        "just then, or Krita was busy. Nothing was changed: try again.",
        "busy": "“{layer}” is being harmonized already. Wait for it, or cancel it first.",
        "remote": "Daemon's address",
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
        "cancel": "Abbrechen",
        "no document": "Es ist kein Bild offen. Öffnen Sie eines, und wählen Sie die Ebene mit dem Objekt.",
        "no layer": "Keine Ebene ist aktiv. Wählen Sie die Ebene mit dem Objekt.",
        "not a layer": "„{layer}“ ist keine Ebene mit Pixeln, sondern {kind}. "
        "Wählen Sie die Ebene mit dem Objekt.",
        "animated": "„{layer}“ ist animiert, und ein Ergebnis kann nicht zu allen Bildern passen. "
        "Kopieren Sie das Bild auf eine eigene Ebene und harmonisieren Sie diese.",
        "closed": "Das Bild wurde inzwischen geschlossen; das Ergebnis wurde verworfen.",
        "moved": "„{layer}“ wurde inzwischen verschoben oder bemalt; das Ergebnis wurde verworfen. "
        "Versuchen Sie es noch einmal.",
        "not added": "Krita konnte das Ergebnis bei „{layer}“ nicht einfügen: Gerade wurde eine andere Ebene "
        "oder ein anderes Bild gewählt, oder Krita war beschäftigt. Nichts wurde verändert: "
        "versuchen Sie es noch einmal.",
        "busy": "„{layer}“ wird schon harmonisiert. Warten Sie darauf, oder brechen Sie es erst ab.",
        "remote": "Adresse des Dienstes",
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
    return texts.find(TEXTS, name, language, **fields)
