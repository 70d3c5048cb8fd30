"""Sphinx: the pages are MyST Markdown, and each of their Python blocks is a test."""

project = "plait"
author = "The plait authors"
copyright = "The plait authors"  # noqa: A001 - Sphinx's name for it

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "plait"
