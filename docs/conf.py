"""Settings of Sphinx. Build with ``sphinx-build -W docs docs/_build`` and the package installed."""

import likewise

project = "likewise"
author = "The likewise developers"
copyright = "The likewise developers, Apache-2.0"
version = release = likewise.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc", "matplotlib.sphinxext.plot_directive"]
exclude_patterns = ["_build"]
nitpicky = False

html_theme = "furo"
html_title = f"likewise {version}"
html_show_sphinx = False

# Pictures are made by the code that stands above them, which the tests execute too.
plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 120)]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # the docstrings give types, shapes and dtypes
numpydoc_show_class_members = False
