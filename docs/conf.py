"""Settings of Sphinx. Build with ``sphinx-build -W docs docs/_build`` and the package installed."""

import likewise

project = "likewise"
author = "The likewise developers"
copyright = "The likewise developers, Apache-2.0"
version = release = likewise.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build"]
nitpicky = False

html_theme = "furo"
html_title = f"likewise {version}"
html_show_sphinx = False

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # the docstrings give types, shapes and dtypes
numpydoc_show_class_members = False
