"""Composites made from photographs while training runs."""
