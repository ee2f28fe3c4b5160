"""Reading a folder: config.json, the safetensors and, if there is one, tokenizer.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from transpde.checks import Array, frozen, of_kind, text
from transpde.models.blocks import ACTIVATIONS, Bert, Gpt2, Layout
from transpde.models.model import Model

__all__ = ["folder", "read"]

KINDS: dict[str, type[Layout]] = {"bert": Bert, "gpt2": Gpt2}
WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"  # of weights in several files: which is in which
SAVE = (
    "With transformers, AutoModel.from_pretrained(NAME).float().save_pretrained(FOLDER) "
    "writes one that can be read."
)
FETCHED = "all-MiniLM-L6-v2"  # the model that this project's own command fetches
# What other values of a config.json would change in the computation.
USUAL: dict[str, Any] = {
    "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False,
    "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
    "quantization_config": None,
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
    is "bert" or "gpt2", ``model.safetensors`` (or its parts, with the index that names them) and,
    to encode texts, ``tokenizer.json``. All numbers become doubles, but for the table of words,
    which stays as the file has it.

    Args:
        folder: the path of the folder.

    Raises:
        TypeError: no path.
        ValueError: another kind of model, missing tensors, more layers than the config.json says
            or layers with further parts, such as adapters, tensors of another shape or type,
            weights in a ``.bin`` file.
        FileNotFoundError: no such folder, no config.json, no weights or a part of them missing.
        ImportError: no safetensors; no tokenizers where the folder has a tokenizer.json.

    Example:
        >>> from transpde import models
        >>> models.read("no/such/folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: folder: must be a folder on this disk with config.json; got 'no/such...
    """
    place = Path(of_kind("folder", folder, (str, os.PathLike), "a path"))
    if not (place / "config.json").is_file():
        raise FileNotFoundError(
            f"folder: must be a folder on this disk with config.json; got {str(folder)!r}. "
            + _advice(place)
        )
    layout = _layout(_json(place / "config.json"))
    return Model(layout, _weights(place, layout), _tokenizer(place))


def _advice(place: Path) -> str:
    """Return how to get a folder that holds a model."""
    if place == folder(FETCHED):
        return "Fetch it: make weights, or python tools/weights.py."
    if (place / "adapter_config.json").is_file():
        return "It holds an adapter: merge it into its model, and save that."
    for config in sorted(place.glob("snapshots/*/config.json")):
        return f"Give {str(config.parent)!r}."
    if place.is_file():
        return "Give the folder that this file is in."
    return f"Nothing is fetched here. {SAVE}"


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"folder: {path.name} must be JSON; got {error}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"folder: {path.name} must be names with values; got none.")
    return found


def _layout(config: Mapping[str, Any]) -> Layout:
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(
            f"folder: model_type in config.json must be one of {', '.join(KINDS)}; got {kind!r}. "
            "Other kinds have other layers: they would be computed wrongly."
        )
    if config.get("auto_map"):
        raise ValueError(
            f"folder: config.json must not name code of its own; got auto_map = "
            f"{config['auto_map']!r}. If the layers are those of {kind} all the same, delete "
            "this entry."
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
    except (TypeError, ValueError) as error:
        raise ValueError(f"folder: config.json has a wrong entry: {error}") from None
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
    from safetensors import SafetensorError, safe_open

    with ExitStack() as stack:
        names: dict[str, tuple[Any, str]] = {}
        for path in _files(place):
            try:
                file = stack.enter_context(safe_open(path, framework="numpy"))
            except SafetensorError as error:
                raise ValueError(
                    f"folder: {path.name} must be a file of tensors; got {error}."
                ) from None
            names |= _names(file, layout)
        wanted = layout.shapes()
        _check_names(names, wanted, layout)
        return {
            name: _tensor(*names[name], shape, name == layout.WORDS)
            for name, shape in wanted.items()
        }


def _files(place: Path) -> list[Path]:
    """Return the file with the weights, or those that the index of several files names."""
    if (place / WEIGHTS).is_file():
        return [place / WEIGHTS]
    if not (place / INDEX).is_file():
        raise _without_weights(place)
    parts = _json(place / INDEX).get("weight_map")
    if not isinstance(parts, dict) or not all(
        isinstance(part, str) and part == Path(part).name for part in parts.values()
    ):
        raise ValueError(f"folder: {INDEX} must say in its weight_map which file holds what.")
    files = [place / part for part in sorted(set(parts.values()))]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"folder: must hold {path.name}, as {INDEX} says; got none.")
    return files


def _without_weights(place: Path) -> Exception:
    """Return the error of a folder whose weights are not there or in another format."""
    others = sorted(path.name for path in place.glob("*.bin"))
    if others:
        return ValueError(
            f"folder: weights must be {WEIGHTS}; got {others[0]}, a pickle that can run code when "
            f"it is read. {SAVE}"
        )
    return FileNotFoundError(f"folder: must hold {WEIGHTS}; got {str(place)!r} without. {SAVE}")


def _check_names(names: Mapping[str, Any], wanted: Mapping[str, Any], layout: Layout) -> None:
    """Refuse weights that lack something, and layers with parts that would be left out."""
    missing = sorted(set(wanted) - set(names))
    if missing:
        others = sorted(set(names) - set(wanted))
        got = f"; there is {others[0]}, for instance" if others else ""
        raise ValueError(
            f"folder: must hold {missing[0]}; it is not there, and {len(missing)} are "
            f"missing in all{got}. Is config.json that of these weights? Names with a prefix come "
            "from a wrapped model: save the one inside."
        )
    further = sorted(n for n in names if layout.layer(n) >= layout.depth)
    if further:
        raise ValueError(
            f"folder: must hold {layout.depth} layers, as config.json says; "
            f"it holds {further[0]}. Is config.json that of these weights?"
        )
    parts = sorted(
        n for n in names
        if layout.layer(n) >= 0 and n not in wanted and not n.endswith(layout.CONSTANTS)
    )  # fmt: skip
    if parts:
        raise ValueError(
            f"folder: layers must be those of {layout.kind} alone; got {parts[0]}, and "
            f"{len(parts)} such in all, which would be left out. Adapters can be merged into the "
            "model; other parts are not computed here."
        )


def _names(file: Any, layout: Layout) -> dict[str, tuple[Any, str]]:
    """Return the file and its names by those of the layout, without prefix or old endings.

    Of two names for one tensor, as of words that serve at both ends, the file may hold one alone
    and say so in its metadata.
    """
    stored = {name: name for name in file.keys()}  # noqa: SIM118 (no mapping)
    stored |= {
        name: other for name, other in (file.metadata() or {}).items()
        if other in stored and name not in stored
    }  # fmt: skip
    found = {}
    for name, other in stored.items():
        new = name.removeprefix(layout.PREFIX)
        for old, now in layout.OLD:
            new = new.removesuffix(old) + now if new.endswith(old) else new
        found[new] = file, other
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
            f"folder: {name} must be of type F32, F64 or F16; got {part.get_dtype()}. {SAVE}"
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
