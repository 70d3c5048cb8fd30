"""Drawings as text: SVG, HTML, DOT, Mermaid, and a picture for a terminal. `written` knows them all."""
