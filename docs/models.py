"""The model families, read from their architectures and their tests: write them into models.md.

python docs/models.py

tests/models/test_page_of_families.py fails where the page is not what this script makes.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

PAGE = Path(__file__).with_name("models.md")
BEGIN, END = "<!-- made by docs/models.py -->", "<!-- end of what is made -->"
VERSIONS = {4: "4.57.6", 5: "5.24.0"}
"""Of transformers, with which tests/models/test_families.py was run."""
SPLITS = {"separate": "one each", "blocks": "one: q, k, v", "groups": "one: head after head, or group after group"}
OWN_ORDER = "one: four parts of q, v, k"


def section() -> str:
    """Return the generated part of the page."""
    import transformers

    from qkvcheck.models.architecture import Architecture, architecture_of, architectures_by_family
    from tests.models.families import CASES, VOCABULARY
    from tests.models.test_families import EAGER_ALONE, LACKING

    files = {family: (name, text) for name, text, families in _files() for family in families}
    head = (
        *("family", "form", "known from", "projections", "key heads as tested"),
        *("between", "position", "looks", "fast capture", "transformers"),
    )
    rows = []
    for case in sorted(CASES, key=lambda case: case.family):
        config = transformers.AutoConfig.for_model(case.family, vocab_size=VOCABULARY, **case.options)
        architecture = architecture_of(config)
        name, known = files[case.family]
        heads = architecture.heads(config)
        own_order = type(architecture).order is not Architecture.order
        steps = {architecture.between_of(config, n) for n in range(config.num_hidden_layers)}
        clip = ("clip",) if architecture.clip(config) else ()
        between = " or ".join(sorted(", ".join((*clip, *one)) or "nothing" for one in steps))
        split = OWN_ORDER if own_order else SPLITS[architecture.split_of(config).value]
        position = architecture.position_of(config).value
        trie = architecture.trie and position != "bias"
        lines = [
            version + (" (eager)" if case.name in EAGER_ALONE[line] else "")
            for line, version in VERSIONS.items()
            if case.name not in LACKING[line]
        ]
        rows.append(
            (
                f"`{case.family}`",
                case.form,
                f"[{known}](../qkvcheck/models/architectures/{name}.py)",
                f"{', '.join(f'`{one}`' for one in architecture.names)}: {split}",
                "one" if heads.key == 1 else "grouped" if heads.key < heads.query else "as queries",
                between,
                position,
                "left" if architecture.causal else "both ways",
                "trie" if trie else "equal lengths" if architecture.causal else "whole contexts",
                ", ".join(lines),
            )
        )
    assert {case.family for case in CASES} == set(architectures_by_family())
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def _files() -> list[tuple[str, str, set[str]]]:
    """Return each file of architectures: its name, which models it is known from, and the families it registers."""
    from qkvcheck.models import architectures
    from qkvcheck.models.architecture import architectures_by_family

    found = []
    for module in iter_modules(architectures.__path__):
        text = import_module(f"{architectures.__name__}.{module.name}").__doc__ or ""
        source = Path(str(architectures.__path__[0]), f"{module.name}.py").read_text("utf-8")
        held = {family for family in architectures_by_family() if f'"{family}"' in source}
        found.append((module.name, text.partition(":")[0].replace("\n", " "), held))
    return found


def page(text: str) -> str:
    """Return a page with its generated part as the code has it now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{section()}\n\n{END}{after}"


if __name__ == "__main__":
    sys.path.insert(0, str(PAGE.parents[1]))
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
