"""Files of claims in which `-m` can select nothing: they need not be imported, which for mathematics takes seconds."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

Marks = frozenset[str]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a file of claims in which `-m` selects nothing, unless the reader named it."""
    expression = config.getoption("markexpr", "")
    if not expression or collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    named = {config.invocation_params.dir / argument.partition("::")[0] for argument in config.args}
    return True if collection_path not in named and selects_nothing_in(collection_path, expression) else None


def selects_nothing_in(path: Path, expression: str) -> bool:
    """Whether a file holds claims, none of which an expression of `-m` selects; False where that is not certain.

    Args:
        path: Path of a Python file.
        expression: The expression, such as `trials and not gpu`.
    """
    try:
        wanted = ast.parse(expression.strip(), mode="eval").body
        module = ast.parse(path.read_text(encoding="utf-8"))
        marked = [marks for test in _tests(module) for marks in _marks(test)]
        return bool(marked) and not any(_holds(wanted, marks) for marks in marked)
    except (OSError, SyntaxError, ValueError):
        return False


def _tests(module: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.AsyncFunctionDef):
            raise ValueError("tests elsewhere than in plain functions")
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            raise ValueError("marks of the whole module")
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node


def _marks(test: ast.FunctionDef) -> Iterator[Marks]:
    """The marks of a test that decides a claim, once for each source."""
    sources: set[str] = set()
    others = {"claim"}
    for decorator in test.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr="claim"), keywords=keywords):
                said = {str(keyword.arg): keyword.value for keyword in keywords if keyword.arg in ("on", "trained")}
                sources |= set(ast.literal_eval(said["on"]).split()) if "on" in said else set()
                others |= {"trained"} if "trained" in said and ast.literal_eval(said["trained"]) else set()
            case ast.Call(func=ast.Attribute(attr="decided_on"), args=arguments, keywords=keywords):
                sources |= {str(ast.literal_eval(argument)) for argument in arguments}
                others |= {str(keyword.arg) for keyword in keywords if ast.literal_eval(keyword.value)}
            case ast.Call(func=ast.Attribute(attr="needs")):
                sources.add("exact")
            case _:
                raise ValueError("marks of another kind")
    for source in sources:
        yield frozenset({source, *others})
        if source == "trials":
            yield frozenset({source, "gpu", *others})


def _holds(expression: ast.expr, marks: Marks) -> bool:
    match expression:
        case ast.Name(id=name):
            return name in marks
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _holds(operand, marks)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_holds(value, marks) for value in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_holds(value, marks) for value in values)
    raise ValueError("an expression of another kind")
