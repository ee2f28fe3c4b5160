"""Words and values of an explorer as a reader sees and hears them."""

from __future__ import annotations

import html
import re
from typing import Any

__all__ = ["named", "plain", "text", "typeset"]

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "varepsilon": "ε", "epsilon": "ε",
    "zeta": "ζ", "eta": "η", "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ",
    "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ",
    "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ",
    "Omega": "Ω",
}  # fmt: skip


def text(value: Any) -> str:
    """Return a value as a reader sees and hears it."""
    if isinstance(value, str):
        return value
    shown = f"{value:.4g}" if isinstance(value, float) else f"{value:{',' * (value > 9999)}}"
    return shown.replace("-", "\N{MINUS SIGN}")


def named(values: dict[str, Any]) -> str:
    """Return values with their names, for a message."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def plain(label: str) -> str:
    """Return a label without marks of mathematics, for the ear."""
    words = re.sub(r"\\([A-Za-z]+) ?", lambda m: GREEK.get(m[1], m[1]), label)
    return re.sub(r"[$_{}]", "", words)


def typeset(label: str) -> str:
    r"""Return a label as HTML, with formulas such as `$x_1$` or `$\varepsilon$` in italics."""

    def formula(match: re.Match[str]) -> str:
        inner = re.sub(r"\\([A-Za-z]+) ?", lambda m: GREEK.get(m[1], m[1]), match[1])
        inner = re.sub(r"_\{?(\w+)\}?", r"</i><sub>\1</sub><i>", inner)
        return f"<i>{inner}</i>".replace("<i></i>", "")

    return re.sub(r"\$([^$]+)\$", formula, html.escape(label))
