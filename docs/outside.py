"""Links of the documentation to files outside docs/: pictures are taken along, code is named.

A hook of MkDocs. In the repository the links lead to the files; on the site a picture is copied,
and any other file becomes its path as code, as the site does not hold the sources.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?:\.\./)+([^)#]+)(?:#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures in studies/."""
    for picture in sorted((ROOT / "studies").glob("*.png")):
        path = f"studies/{picture.name}"
        files.append(File.generated(config, path, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point pictures to their copies, and turn links to code into its path."""
    up = "../" * page.file.src_uri.count("/")

    def changed(link: re.Match[str]) -> str:
        mark, _, path = link.groups()
        if (Path(ROOT / "docs") / path).exists():
            return link[0]
        return f"![{link[2]}]({up}{path})" if mark else f"`{path}`"

    return LINK.sub(changed, markdown)
