"""The plugin's own words.

Those of both editors are in `glihamba_client/texts.py`, failures of the daemon and the client in
`glihamba_client/locale`.
"""

from __future__ import annotations

from glihamba_client import texts

TEXTS = {
    "en": {
        "menu": "Har_monize…",
        "title": "Harmonize",
        "tip": "Recolour the layer, or the selected part of it, to fit what lies below it.",
        "strength": "Stren_gth",
        "ok": "H_armonize",
        "daemon": "Daemon",
        "one layer": "Harmonize works on one layer at a time, and {count} are chosen. "
        "Choose the one that holds the object.",
        "not a layer": "“{layer}” is not a layer. Choose the layer that holds the object.",
        "floating": "The floating selection has no place in the picture yet. "
        "Anchor it, or make a layer of it (Layer > Anchor Layer, or To New Layer).",
        "indexed": "An indexed image holds too few colours to harmonize. "
        "Convert it first (Image > Mode > RGB).",
        "moved": "“{layer}” was moved or resized meanwhile. Nothing was changed: try again.",
        "not added": "GIMP did not take the new layer ({reason}). Nothing was changed: try again.",
    },
    "de": {
        "menu": "Har_monisieren…",
        "title": "Harmonisieren",
        "tip": "Färbt die Ebene oder den ausgewählten Teil davon passend zu ihrem Grund um.",
        "strength": "S_tärke",
        "ok": "H_armonisieren",
        "daemon": "Dienst",
        "one layer": "Harmonisieren lässt sich eine Ebene auf einmal, und {count} sind gewählt. "
        "Wählen Sie die mit dem Objekt.",
        "not a layer": "„{layer}“ ist keine Ebene. Wählen Sie die Ebene mit dem Objekt.",
        "floating": "Die schwebende Auswahl hat noch keinen Platz im Bild. "
        "Verankern Sie sie, oder machen Sie eine Ebene daraus.",
        "indexed": "Ein indiziertes Bild hat zu wenige Farben zum Harmonisieren. "
        "Wandeln Sie es erst um (Bild > Modus > RGB).",
        "moved": "„{layer}“ wurde inzwischen verschoben oder in der Größe geändert. Nichts wurde verändert: "
        "versuchen Sie es noch einmal.",
        "not added": "GIMP nahm die neue Ebene nicht an ({reason}). Nichts wurde verändert: "
        "versuchen Sie es noch einmal.",
    },
}


def text(name: str, language: str = "", **fields: object) -> str:
    """A text in the asked language, else the person's own, else English."""
    return texts.find(TEXTS, name, language, **fields)
