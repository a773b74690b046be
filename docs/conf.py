"""Sphinx reads this to build the documentation site; ``make docs`` runs it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import langrl

project = "langrl"
version = release = langrl.__version__
copyright = "the authors of langrl"

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser", "generators.hooks"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_inherit_docstrings = False
autodoc_use_type_comments = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False

highlight_language = "text"
html_theme = "furo"
html_title = f"langrl {langrl.__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = html_copy_source = False
