"""What people configured in a folder of the skill as releases up to 3.2.0 laid it out. Nothing in it is executed."""

from __future__ import annotations

import ast
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_BYTES_MAX = 4 * 1024 * 1024
_CONSTANTS = {
    "ai_orchestrator.py": ("DEFAULT_AGENT_TIMEOUT", "DEFAULT_MAX_CONCURRENT", "DEFAULT_MODEL"),
    "helpers.py": ("MODEL_HIERARCHY",),
}
_PROMPTS = "AGENT_PROMPTS"


def read_folder(folder: str) -> dict[str, Any]:
    """Reads the agent types and constants that stand in the modules of an old skill.

    Args:
        folder: The skill's folder.

    Returns:
        `prompts` (agent type to prompt), `constants` (name to value), and `problems`: what cannot be read, each with
        its `name` and `reason`.
    """
    prompts: dict[str, str] = {}
    constants: dict[str, Any] = {}
    problems: list[dict[str, str]] = []

    def missed(name: str, reason: str) -> None:
        problems.append({"name": name, "reason": reason})

    for file_name, names in _CONSTANTS.items():
        try:
            tree = _tree(Path(folder) / file_name)
        except FileNotFoundError:
            continue
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            missed(file_name, f"it cannot be read: {error}")
            continue
        for name, value in _assigned(tree):
            if name == _PROMPTS and file_name == "ai_orchestrator.py":
                _read_prompts(value, prompts, missed)
            elif name in names:
                try:
                    constants[name] = _literal(value)
                except ValueError:
                    missed(name, f"`{_shown(value)}` is computed, and nothing of the old skill is executed")
    return {"prompts": prompts, "constants": constants, "problems": problems}


def _tree(path: Path) -> ast.Module:
    data = path.read_bytes()
    if len(data) > _BYTES_MAX:
        raise ValueError(f"it has {len(data)} bytes, expected at most {_BYTES_MAX}")
    return ast.parse(data)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """What the module's own level assigns, in order; a further entry or an update of a dict as a dict."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value
                elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    yield target.value.id, ast.Dict(keys=[target.slice], values=[statement.value])
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if statement.value is not None:
                yield statement.target.id, statement.value
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            if isinstance(statement.op, ast.BitOr):
                yield statement.target.id, statement.value
        elif isinstance(statement, ast.Expr) and isinstance(call := statement.value, ast.Call):
            method = call.func
            if isinstance(method, ast.Attribute) and method.attr == "update" and isinstance(method.value, ast.Name):
                for argument in call.args:
                    yield method.value.id, argument
                named = [(ast.Constant(each.arg), each.value) for each in call.keywords if each.arg]
                if named:
                    yield (
                        method.value.id,
                        ast.Dict(keys=[key for key, _ in named], values=[value for _, value in named]),
                    )


def _read_prompts(value: ast.expr, prompts: dict[str, str], missed: Any) -> None:
    if not isinstance(value, ast.Dict):
        missed(_PROMPTS, f"`{_shown(value)}` is computed, and nothing of the old skill is executed")
        return
    for key, prompt in zip(value.keys, value.values, strict=True):
        try:
            name = _literal(key) if key is not None else None
        except ValueError:
            name = None
        if not isinstance(name, str):
            shown = _shown(key) if key is not None else f"**{_shown(prompt)}"
            missed(shown, "the name of this agent type is computed, and nothing of the old skill is executed")
            continue
        try:
            text = _literal(prompt)
        except ValueError:
            prompts.pop(name, None)
            missed(name, f"its prompt `{_shown(prompt)}` is computed, and nothing of the old skill is executed")
            continue
        if isinstance(text, str):
            prompts[name] = text
        else:
            missed(name, f"its prompt is `{_shown(prompt)}`, expected a text")


def _literal(value: ast.expr) -> Any:
    """The value of a literal that JSON can hold."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError("no literal") from error
    return _plain(found)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise ValueError("no text, number or list")


def _shown(value: ast.expr) -> str:
    text = ast.unparse(value)
    return text if len(text) <= 60 else text[:57] + "..."
