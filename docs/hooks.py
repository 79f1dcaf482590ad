"""How MkDocs sees the repository: the site has its layout, so that a page's links work there as they do in a checkout.

Added to it is the reference, a page per module made of ``__all__``. MkDocs calls ``on_files`` and ``on_page_content``.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
SHOWN = (
    "*.md",
    "LICENSE",
    "docs/*.md",
    "docs/*.png",
    "benchmarks/*.py",
    "benchmarks/results/*.json",
    "*/suites/*.toml",
)
"""Pages, and files that they link to or show."""
MODULES = ("rmgym", "rmgym.sb3", "rmgym.specs", "rmgym.metrics", "rmgym.bench", "rmgym.errors")
"""What the reference describes, a page each."""
ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc):<code>~?([\w.]+)</code>")
"""Sphinx's way to refer to a name, as it looks once Markdown has read it."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the repository's files, and the reference, in place of those of ``docs_dir``."""
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    for module in MODULES:
        files.append(File.generated(config, f"docs/reference/{module}.md", content=reference(module)))
    return files


def reference(name: str) -> str:
    """The page of a module: what it is for, and its public names."""
    module = import_module(name)
    about = (module.__doc__ or "").strip()
    public = [f"{name}.{each}" for each in getattr(module, "__all__", ()) if not each.startswith("__")]
    if not public:
        return f"# {name}\n\n::: {name}\n    options: {{show_root_heading: false}}\n"
    described = "\n\n".join(f"::: {each}" for each in public if each not in MODULES)
    return f"# {name}\n\n{about}\n\n{described}\n"


class Examples(griffe.Extension):
    """Shows examples as code: what docstrings call ``Example`` goes by its plural with griffe."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Called for each object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links of the names that docstrings refer to."""
    del page, config, files
    return ROLE.sub(r'<autoref identifier="\1" optional><code>\1</code></autoref>', html)
