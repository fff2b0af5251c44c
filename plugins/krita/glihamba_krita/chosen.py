"""The layer that the person chose: found again by its id, refused in the plugin's own words."""

from __future__ import annotations

from krita import Document, Node

from glihamba_client.errors import ClientError

from .nodes import find, is_open
from .texts import refusal


class ChosenLayer:
    """One layer of one document. Either may change or vanish at any time."""

    def __init__(
        self, document: Document, node: Node, language: str = "", scene: str = "all", edge: int = 0
    ) -> None:
        """scene: the colour label of the layers that count as the scene. edge: pixels of the rim to clean."""
        self.document, self.language, self.scene, self.edge = document, language, scene, edge
        self.node_id, self.name = node.uniqueId(), node.name()

    def refuse(self, name: str, **fields: object) -> ClientError:
        """A failure in the plugin's own words."""
        return refusal(name, layer=self.name, **fields)

    def check_open(self) -> None:
        """Raises `ClientError` when the document was closed."""
        if not is_open(self.document):
            raise self.refuse("closed")

    def node(self) -> Node:
        """The layer as it is now; raises `ClientError` when it or its document is gone."""
        self.check_open()
        node = find(self.document, self.node_id)
        if node is None:
            raise self.refuse("deleted")
        return node
