"""How a command offers the options that a reader chooses by."""

import inspect
from collections.abc import Callable
from typing import Annotated, TypeVar, get_type_hints

import typer

from icl_claims.experiments.options import Option, options_of

Command = TypeVar("Command", bound=Callable[..., None])
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def command_option(field: str) -> str:
    """What this command calls a field, such as `--tokens-per-batch`."""
    return f"--{field.replace('_', '-')}"


def offers(door: str) -> Callable[[Command], Command]:
    """Put the options of a door in the place of a command's `**given`, where it finds their values by name."""

    def with_options(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        parameters = [*(p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own)]
        parameters += [_parameter(option) for option in options_of(door)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return with_options


def _parameter(option: Option) -> inspect.Parameter:
    name = command_option(option.name)
    flag = f"{name}/--no{name[1:]}" if option.type is bool else name
    said = typer.Option(flag, help=f"{option.help[0].upper()}{option.help[1:]}.", metavar=option.metavar)
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option.default,
        annotation=Annotated[option.type | None if option.default is None else option.type, said],
    )
