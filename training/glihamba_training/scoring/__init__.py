"""Protocols, scores of models and of folders of results, published figures, cost of a network."""
