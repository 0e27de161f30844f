"""The documents do what they say: their blocks run, their links lead somewhere, their messages and options exist."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from . import child, documents
from .test_house_rules import tracked

REPOSITORY = child.REPOSITORY
INSTALLED = ["SKILL.md", "USAGE-GUIDE.md", "README.md", "examples/README.md"]
"""The documents of the folder that OpenClaw gets."""
SOURCES = ["SKILL.md", "USAGE-GUIDE.md", "skill/README.md", "examples/README.md"]
"""The same, where they are written."""
WITH_PYTHON = ["README.md", "USAGE-GUIDE.md", "examples/README.md"]
MARKDOWN = [
    path.relative_to(REPOSITORY).as_posix() for path in tracked() if path.suffix == ".md" and "tests" not in path.parts
]

FLAGGED = {
    "code that is made from text": r"\beval\(|\bexec_module\b",
    "a secret on a command line": r"--(token|password)[ =]\S",
    "a literal secret": r"(?i)\b(token|secret|password|api_?key)\b\"?\s*[:=]\s*[\"'][\w-]{16,}",
    "unchecked certificates": r"verify\s*=\s*False",
    "the deletion of OpenClaw's state": r"rm -rf? \S*\.openclaw",
    "a switch that skips a question": r"--(yes|assume-yes|no-confirm|skip-confirmation|acknowledge[\w-]*)\b",
    "always on": r"(?m)^\s*always:\s*true",
    "a download into a shell": r"(curl|wget)[^\n|]*\|\s*(ba|z)?sh\b",
    "an unpinned package": r"\bnpx\b",
    "a package of an index": r"pip3? install (?!--no-index)|\buvx?\b tool install|\bpipx\b",
    "a person's home": r"(?<![\w.])/(home|Users|root)/",
}
"""What the scan of a registry objects to, or what would be wrong in a folder on somebody else's machine."""


def command(*arguments: str) -> str:
    done = child.run(child.COMMAND, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def help_of(*names: str) -> str:
    return command(*names, "--help")


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    """The folder that OpenClaw gets."""
    command("skill", "install", "--to", str(tmp_path / "skills"))
    return tmp_path / "skills" / "parallel-agents"


@pytest.mark.parametrize("document", WITH_PYTHON)
def test_the_python_in_a_document_runs(document: str, tmp_path: Path) -> None:
    path = REPOSITORY / document
    assert documents.blocks(path, "python"), "a document without a block that runs promises nothing"
    done = child.run(sys.executable, documents.__file__, str(path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def run_shell(document: Path, folder: Path, **replaced: str) -> None:
    """Runs what a document says to type into a shell, in order and in one folder; compares what it shows."""
    place = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder / "home")}
    for block in documents.all_blocks(document):
        if not block.is_run or block.language not in ("sh", "console"):
            continue
        parts = documents.sessions(block.source) if block.language == "console" else [(block.source, None)]
        for source, shown in parts:
            for name, value in replaced.items():
                source = source.replace(f"{{{name}}}", value)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", documents.rehearsed(source)],
                env={**os.environ, **place},
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=child.SECONDS_MAX,
            )
            where = f"{document.name}:{block.line}: {source}"
            assert done.returncode == 0, f"{where}\n{done.stderr}"
            if shown is not None:
                fits = doctest.OutputChecker().check_output(shown, done.stdout, doctest.ELLIPSIS)
                assert fits, f"{where}\n{done.stdout}"


def test_the_shell_commands_of_the_guide_run(tmp_path: Path) -> None:
    run_shell(REPOSITORY / "USAGE-GUIDE.md", tmp_path)


@pytest.mark.parametrize("document", ["SKILL.md", "README.md"])
def test_the_shell_commands_of_the_installed_skill_run(document: str, skill: Path) -> None:
    run_shell(skill / document, skill, baseDir=str(skill))


def test_the_document_that_the_skill_shows_is_like_a_real_one(skill: Path) -> None:
    (shown,) = documents.blocks(skill / "SKILL.md", "json")
    source = documents.blocks(skill / "SKILL.md", "sh")[0][1].replace("{baseDir}", str(skill))
    done = child.run("bash", "-c", documents.rehearsed(source), cwd=skill)
    assert missing(json.loads(shown[1]), json.loads(done.stdout)) == []


def missing(shown: Any, real: Any, place: str = "") -> list[str]:
    """The fields of a shown document that a real one does not have, and values of another kind."""
    if isinstance(shown, dict) and isinstance(real, dict):
        lacking = [f"{place}/{name}" for name in shown if name not in real]
        both = sorted(shown.keys() & real)
        return lacking + [each for name in both for each in missing(shown[name], real[name], f"{place}/{name}")]
    if isinstance(shown, list) and isinstance(real, list):
        return [each for pair in zip(shown, real, strict=False) for each in missing(*pair, place)]
    return [] if real is None or isinstance(shown, type(real)) else [f"{place}: {real!r}"]


@pytest.mark.parametrize("document", MARKDOWN)
def test_the_links_of_a_document_lead_somewhere(document: str) -> None:
    # Those of the installed README hold where it is installed.
    if document != "skill/README.md":
        assert broken_links(REPOSITORY / document) == []


@pytest.mark.parametrize("document", INSTALLED)
def test_the_links_of_an_installed_document_lead_somewhere(document: str, skill: Path) -> None:
    assert broken_links(skill / document, within=skill) == []


def broken_links(document: Path, within: Path = REPOSITORY) -> list[str]:
    broken = []
    for link in documents.links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        exists = target.exists() and target.is_relative_to(within.resolve())
        if not exists or (anchor and anchor not in documents.anchors(target)):
            broken.append(link)
    return broken


def test_every_example_works_where_it_is_installed(skill: Path) -> None:
    named = set(re.findall(r"\((\w+\.py)\)", (skill / "examples/README.md").read_text(encoding="utf-8")))
    assert named == {path.name for path in (skill / "examples").glob("*.py")}
    for name in sorted(named):
        done = child.run(sys.executable, f"examples/{name}", cwd=skill)
        assert (done.returncode, done.stderr) == (0, ""), name


def front_matter() -> tuple[str, str]:
    text = (REPOSITORY / "SKILL.md").read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    return head, body


def test_the_skill_is_as_short_as_agents_need_it() -> None:
    head, body = front_matter()
    assert len(body.splitlines()) <= 200
    # Prose has some four bytes to a token, code and tables fewer.
    assert len(body.encode()) / 3 <= 5_000
    (description,) = re.findall(r"^description: (.+)$", head, re.MULTILINE)
    assert len(description) < 160
    assert "Use when" in description


def test_the_front_matter_of_the_skill_is_accepted_everywhere() -> None:
    head, _ = front_matter()
    keys = re.findall(r"^([\w-]+):", head, re.MULTILINE)
    assert set(keys) <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert re.search(r"^name: parallel-agents$", head, re.MULTILINE)
    assert not re.search(r":\s*[\[{|>]", head), "block style only"
    assert not re.search(r"^\s*(install|always|homepage):", head, re.MULTILINE)
    assert head.count("required: false") == head.count("- name: OPENCLAW_GATEWAY_") == 2


def test_the_skill_has_the_version_of_the_package() -> None:
    (package, *_) = re.findall(r'^version = "(.+)"$', (REPOSITORY / "Cargo.toml").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r'^  version: "(.+)"$', front_matter()[0], re.MULTILINE) == [package]


@pytest.mark.parametrize(
    "document", ["SKILL.md", "USAGE-GUIDE.md", "skill/README.md", "examples/README.md", "README.md"]
)
@pytest.mark.parametrize("what", FLAGGED)
def test_no_document_has(what: str, document: str) -> None:
    found = re.search(FLAGGED[what], (REPOSITORY / document).read_text(encoding="utf-8"))
    assert not found, found


def test_no_installed_document_names_a_package() -> None:
    for document in SOURCES:
        text = (REPOSITORY / document).read_text(encoding="utf-8").replace("openclaw_parallel_agents-*.whl", "")
        assert not re.search(r"openclaw[-_]parallel[-_]agents", text), document


def exit_codes(*names: str) -> dict[int, str]:
    told = help_of(*names).split("Exit codes:\n")[1].splitlines()
    return {int(match[1]): match[2] for line in told if (match := re.match(r"  (\d+) +(.+)$", line))}


def test_the_guide_tells_the_exit_codes_of_the_help() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", documents.prose(REPOSITORY / "USAGE-GUIDE.md"), re.MULTILINE)
    told = {int(code): meaning.replace("`", "") for code, meaning in rows}
    run, wait = exit_codes("run"), exit_codes("wait")
    assert set(told) == set(run) | set(wait)
    assert {code: told[code] for code in run} == {code: text.replace("--until", "until") for code, text in run.items()}


def test_the_skill_tells_the_exit_codes_of_the_help() -> None:
    (told,) = re.findall(r"^Exit codes: (.+?)\n\n", front_matter()[1], re.DOTALL | re.MULTILINE)
    assert [int(part.split()[0]) for part in told.split(";")] == sorted({*exit_codes("run"), *exit_codes("wait")})


def test_every_command_and_option_in_the_documents_exists() -> None:
    unknown = []
    for document in MARKDOWN:
        if document in ("CHANGELOG.md", "ARCHITECTURE.md"):
            continue
        path = REPOSITORY / document
        spans = re.findall(r"`([^`\n]+)`", documents.prose(path))
        shell = [block.source for block in documents.all_blocks(path) if block.language in ("sh", "console")]
        for text in [*spans, *"\n".join(shell).splitlines()]:
            for called in documents.COMMAND.split(text)[1:]:
                unknown += [f"{document}: {text}: {each}" for each in unknown_words(called)]
    assert unknown == []


def unknown_words(called: str) -> list[str]:
    """What the command does not know of `called`, its arguments in a document."""
    words = re.split(r"[|;&>)]", called)[0].split()
    names = [words[0]]
    if names == ["setup"]:
        return [word for word in words[1:] if word.startswith("--") and word != "--wheel"]
    if not re.search(rf"^  {names[0]}\b", help_of(), re.MULTILINE):
        return names
    if len(words) > 1 and re.search(rf"^  {words[1]}\b", help_of(*names), re.MULTILINE):
        names.append(words[1])
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [option for option in options if not re.search(rf"{option}\b", help_of(*names))]


@cache
def messages() -> tuple[str, ...]:
    found = [path for folder in ("src", "python", "skill") for path in (REPOSITORY / folder).rglob("*.*")]
    files = [path for path in found if path.suffix in (".rs", ".py")]
    return tuple(text for path in files for text in documents.literals(path.read_text(encoding="utf-8")))


QUOTED = re.findall(r"^> (.+)$", (REPOSITORY / "TROUBLESHOOTING.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("message", QUOTED)
def test_a_message_that_troubleshooting_quotes_exists(message: str) -> None:
    assert any(documents.matches(message, literal) for literal in messages())


def test_no_other_message_is_taken_for_a_quoted_one() -> None:
    assert not documents.matches(
        "nothing answers at `...`", "nothing answers at `{}`, known from {}; start the gateway"
    )
    assert not documents.matches("anything at all", "{}")


def test_every_trouble_names_lines_of_the_doctor() -> None:
    told = child.run(child.COMMAND, "doctor", "--json").stdout
    lines = {line["id"] for line in json.loads(told)["lines"]}
    guide = documents.prose(REPOSITORY / "USAGE-GUIDE.md").split("## Doctor\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+`) \| ", guide, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == lines
    for section in documents.prose(REPOSITORY / "TROUBLESHOOTING.md").split("\n## ")[1:]:
        (named,) = re.findall(r"^Doctor: (.+)$", section, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", named)) <= lines, section
        assert "`" in named or named.startswith("none"), section
