"""Reading a folder: config.json, model.safetensors and, if there is one, tokenizer.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transpde.checks import Array, frozen, text
from transpde.models.blocks import ACTIVATIONS, Bert, Gpt2, Layout
from transpde.models.model import Model

__all__ = ["folder", "read"]

KINDS: dict[str, type[Layout]] = {"bert": Bert, "gpt2": Gpt2}
WEIGHTS = "model.safetensors"
FETCHED = "all-MiniLM-L6-v2"  # the model that this project's own command fetches
# What other values of a config.json would change in the computation.
USUAL: dict[str, Any] = {
    "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False,
    "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
}  # fmt: skip


def folder(name: str) -> Path:
    """Return where a model that was fetched is kept: a folder of the user's cache, there or not.

    It is below $XDG_CACHE_HOME, or ~/.cache. Of this project's sources, `make weights` puts
    "all-MiniLM-L6-v2" there.

    Args:
        name: the name of the model.

    Raises:
        TypeError: no text.
        ValueError: a name that is no name of a folder.

    Example:
        >>> from transpde import models
        >>> models.folder("all-MiniLM-L6-v2").name
        'all-MiniLM-L6-v2'
    """
    if text("name", name) != Path(name).name:
        raise ValueError(f"name: must be the name of one folder; got {name!r}.")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "transpde" / name


def read(folder: str | os.PathLike[str]) -> Model:
    """Return the Transformer that a local folder holds. Nothing is fetched.

    The folder has the layout in which models are published: ``config.json``, whose "model_type"
    is "bert" or "gpt2", ``model.safetensors`` and, to encode texts, ``tokenizer.json``. All
    numbers become doubles, but for the table of words, which stays as the file has it.

    Args:
        folder: the path of the folder.

    Raises:
        TypeError: no path.
        ValueError: another kind of model, missing tensors, more layers than the config.json says,
            tensors of another shape, sharded weights or those of a ``.bin`` file.
        FileNotFoundError: no such folder, no config.json or no weights.
        ImportError: no safetensors; no tokenizers where the folder has a tokenizer.json.

    Example:
        >>> from transpde import models
        >>> models.read("no/such/folder")
        Traceback (most recent call last):
        FileNotFoundError: folder: must be a folder with config.json; got 'no/such/folder'.
    """
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder: must be a path; got {type(folder).__name__}.")
    place = Path(folder)
    if not (place / "config.json").is_file():
        raise FileNotFoundError(
            f"folder: must be a folder with config.json; got {str(folder)!r}.{_advice(place)}"
        )
    layout = _layout(_config(place / "config.json"))
    return Model(layout, _weights(place, layout), _tokenizer(place))


def _advice(place: Path) -> str:
    """Return how to get a folder of the cache that is not there."""
    known = place == folder(FETCHED)
    return " Fetch it: make weights, or python tools/weights.py." if known else ""


def _config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"folder: config.json must be JSON; got {error}.") from None
    if not isinstance(config, dict):
        raise ValueError("folder: config.json must be names with values; got none.")
    return config


def _layout(config: Mapping[str, Any]) -> Layout:
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(
            f"folder: model_type in config.json must be one of {', '.join(KINDS)}; got {kind!r}. "
            "Other kinds have other layers: they would be computed wrongly."
        )
    for name, wanted in USUAL.items():
        if config.get(name, wanted) != wanted:
            raise ValueError(
                f"folder: {name} in config.json must be {wanted}; got {config[name]!r}. "
                "Such layers are not computed here."
            )
    try:
        layout = KINDS[kind].from_config(config)
    except KeyError as error:
        raise ValueError(f"folder: config.json must say {error.args[0]}; it does not.") from None
    if not isinstance(layout.activation, str) or layout.activation not in ACTIVATIONS:
        raise ValueError(
            f"folder: the activation in config.json must be one of {', '.join(ACTIVATIONS)}; "
            f"got {layout.activation!r}."
        )
    if layout.dimension % layout.heads:
        raise ValueError(
            f"folder: heads in config.json must divide the dimension {layout.dimension}; "
            f"got {layout.heads}."
        )
    return layout


def _weights(place: Path, layout: Layout) -> dict[str, Array]:
    if not (place / WEIGHTS).is_file():
        raise _without_weights(place)
    from safetensors import SafetensorError, safe_open

    try:
        opened = safe_open(place / WEIGHTS, framework="numpy")
    except SafetensorError as error:
        raise ValueError(f"folder: {WEIGHTS} must be a file of tensors; got {error}.") from None
    with opened as file:
        names = _names(file.keys(), layout)
        wanted = layout.shapes()
        missing = sorted(set(wanted) - set(names))
        if missing:
            raise ValueError(
                f"folder: {WEIGHTS} must hold {missing[0]}; it does not, and {len(missing)} are "
                f"missing in all. Is config.json that of these weights?"
            )
        further = sorted(n for n in names if layout.layer(n) >= layout.depth)
        if further:
            raise ValueError(
                f"folder: {WEIGHTS} must hold {layout.depth} layers, as config.json says; "
                f"it holds {further[0]}. Is config.json that of these weights?"
            )
        return {
            name: _tensor(file, names[name], shape, name == layout.WORDS)
            for name, shape in wanted.items()
        }


def _without_weights(place: Path) -> Exception:
    """Return the error of a folder whose weights are not there or in another format."""
    if (place / f"{WEIGHTS}.index.json").is_file():
        return ValueError(
            f"folder: weights must be one file {WEIGHTS}; got several (sharded). Join them first: "
            "load all with safetensors and save them as one."
        )
    others = sorted(path.name for path in place.glob("*.bin"))
    if others:
        return ValueError(
            f"folder: weights must be {WEIGHTS}; got {others[0]}, a pickle that can run code when "
            "it is read. Save the model again as safetensors."
        )
    return FileNotFoundError(f"folder: must hold {WEIGHTS}; got {str(place)!r} without.")


def _names(stored: Any, layout: Layout) -> dict[str, str]:
    """Return the file's names by those of the layout: without a prefix, old endings renewed."""
    found = {}
    for name in stored:
        new = name.removeprefix(layout.PREFIX)
        for old, now in layout.OLD:
            new = new.removesuffix(old) + now if new.endswith(old) else new
        found[new] = name
    return found


def _tensor(file: Any, name: str, shape: tuple[int | None, ...], as_it_is: bool) -> Array:
    part = file.get_slice(name)
    came = tuple(part.get_shape())
    fits = [b in (None, a) for a, b in zip(came, shape, strict=False)]
    if len(came) != len(shape) or not all(fits):
        raise ValueError(
            f"folder: {name} must have shape {shape}; got {came}. "
            "Is config.json that of these weights?"
        )
    if part.get_dtype() not in ("F64", "F32", "F16"):
        raise ValueError(
            f"folder: {name} must be of type F32, F64 or F16; got {part.get_dtype()}. "
            "Save the model again in single precision."
        )
    tensor = np.asarray(file.get_tensor(name))
    if not np.isfinite(tensor).all():
        raise ValueError(f"folder: {name} must be finite; got NaN or infinity in it.")
    return frozen(tensor if as_it_is else tensor.astype(np.float64))


def _tokenizer(place: Path) -> Any:
    """Return the tokenizer of a folder that neither pads nor cuts, or None."""
    if not (place / "tokenizer.json").is_file():
        return None
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    except Exception as error:  # its only kind
        raise ValueError(
            f"folder: tokenizer.json must be a tokenizer; got one that is not read: {error}."
        ) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
