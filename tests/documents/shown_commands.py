"""The `styletransfer` commands that the documents show, as lists of words."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("[a-z]*/README.md")])
PROGRAM = "styletransfer"
OMITTED = "..."


@dataclass(frozen=True)
class ShownCommand:
    """A command of a document.

    Attributes:
        document: The document.
        words: What follows the name of the program.
        is_complete: Whether it stands in a block and leaves nothing out, so that it can be called.
    """

    document: Path
    words: tuple[str, ...]
    is_complete: bool

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}: {' '.join(self.words)}"


def list_commands() -> list[ShownCommand]:
    """List the commands of all documents, every one once."""
    found = dict.fromkeys(command for document in DOCUMENTS for command in read_commands(document))
    return list(found)


def read_commands(document: Path) -> list[ShownCommand]:
    """Find the commands in fenced shell blocks, in indented blocks and in `code` within the text."""
    text = document.read_text(encoding="utf-8")
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = [block for language, block in fences if language in {"sh", "bash"}]
    blocks += re.findall(r"(?:^ {4}.*\n)+", prose, re.MULTILINE)
    inline = [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]
    commands = []
    for source, is_block in [(block, True) for block in blocks] + [(code, False) for code in inline]:
        for words in split_commands(source):
            complete = is_block and OMITTED not in words
            commands.append(ShownCommand(document, tuple(words), complete))
    return commands


def split_commands(source: str) -> list[list[str]]:
    """Split lines of shell into the commands of this program; variables get the value 1."""
    commands = []
    for line in source.replace("\\\n", " ").splitlines():
        line = re.sub(r"\$\{?\w+\}?|\{[#%]?\}", "1", line)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # an apostrophe: this is no shell
            continue
        while PROGRAM in words:
            start = words.index(PROGRAM)
            rest = words[start + 1 :]
            end = next((i for i, word in enumerate(rest) if set(word) <= set("|&;<>()")), len(rest))
            before = words[start - 1] if start else ""
            if end and before != "install" and re.match(r"[\w-]", rest[0]):
                commands.append(rest[:end])
            words = rest[end:]
    return commands
