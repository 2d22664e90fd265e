"""How far the networks in training are. Imports nothing: its actor's process is up at once."""

from __future__ import annotations


class Progress:
    """An actor that knows how far the networks in training are."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}

    def reached(self, name: str, text: str) -> None:
        self.lines[name] = text

    def over(self, name: str) -> None:
        self.lines.pop(name, None)

    def text(self) -> str:
        return ", ".join(f"{name} {text}" for name, text in sorted(self.lines.items()))
