"""What the exit codes of `icl-claims` say."""

from types import MappingProxyType

EXIT_CODES = MappingProxyType(
    {
        0: "done; of a run: no claim was decided against what is known of it",
        1: "found: a refutation that is not registered, a registered one that was not found, a broken test (run), "
        "a changed verdict (compare), a rule that is not registered (rules), damage (cache verify), "
        "a missing file (data check)",
        2: "not done: an argument makes no sense, or model, data or a file cannot be read; of a run: interrupted",
        3: "pytest broke (run)",
        4: "an option of pytest makes no sense (run)",
        5: "no claim was selected (run)",
        130: "Ctrl-C; of a run, 2",
    }
)


def exit_codes_help() -> str:
    """The codes as lines of a help page."""
    return "\n\n".join(("Exit codes:", *(f"{code}: {meaning}" for code, meaning in EXIT_CODES.items())))
