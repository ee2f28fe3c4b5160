"""Small random BERT and GPT-2 folders in the layout that models are published in.

`tests/data/tiny_models.npz` holds what `transformers` makes of them in double precision. It was
made once, in an environment of its own (torch 2.13.0, transformers 5.24.0): python
tests/tiny_models.py. The folders are drawn again from their seed at each test.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

OUTPUTS = Path(__file__).parent / "data" / "tiny_models.npz"
IDS = {"bert": [1, 7, 33, 20, 7, 49, 2], "gpt2": [5, 0, 18, 18, 49, 31, 7, 2]}
WORDS, PLACES, D, H, L, INNER = 50, 16, 24, 4, 2, 40
CONFIG = {
    "bert": {
        "model_type": "bert", "hidden_size": D, "num_hidden_layers": L, "num_attention_heads": H,
        "intermediate_size": INNER, "vocab_size": WORDS, "max_position_embeddings": PLACES,
        "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
    },
    "gpt2": {
        "model_type": "gpt2", "n_embd": D, "n_layer": L, "n_head": H, "n_inner": INNER,
        "vocab_size": WORDS, "n_positions": PLACES, "layer_norm_epsilon": 1e-5,
        "activation_function": "gelu_new", "bos_token_id": 0, "eos_token_id": 0,
    },
}  # fmt: skip


def shapes(kind):
    """Names and shapes as the files of such models have them."""
    if kind == "gpt2":
        found = {"wte.weight": (WORDS, D), "wpe.weight": (PLACES, D)}
        dense = {"attn.c_attn": (D, 3 * D), "attn.c_proj": (D, D)}
        dense |= {"mlp.c_fc": (D, INNER), "mlp.c_proj": (INNER, D)}
        at, norms = "h.{}.", ["ln_f"] + [f"h.{l}.ln_{i}" for l in range(L) for i in (1, 2)]
        width = 1
    else:
        sizes = {"word": WORDS, "position": PLACES, "token_type": 2}
        found = {f"embeddings.{name}_embeddings.weight": (n, D) for name, n in sizes.items()}
        names = ("self.query", "self.key", "self.value", "output.dense")
        dense = {f"attention.{name}": (D, D) for name in names}
        dense |= {"intermediate.dense": (INNER, D), "output.dense": (D, INNER)}
        at = "encoder.layer.{}."
        own = ("attention.output.LayerNorm", "output.LayerNorm")
        norms = ["embeddings.LayerNorm"] + [at.format(l) + n for l in range(L) for n in own]
        width = 0
    for l in range(L):
        for name, shape in dense.items():
            found[f"{at.format(l)}{name}.weight"] = shape
            found[f"{at.format(l)}{name}.bias"] = (shape[width],)
    return found | {f"{name}.{part}": (D,) for name in norms for part in ("weight", "bias")}


def tensors(kind):
    """Random weights of a size at which attention is far from uniform; nothing is zero."""
    rng = np.random.default_rng(20260101)
    return {name: 0.4 * rng.standard_normal(shape) for name, shape in sorted(shapes(kind).items())}


def write(kind, folder, config=None, weights=None):
    """Write a folder, with changes of its config or other weights; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG[kind] | (config or {})))
    save_file(tensors(kind) if weights is None else weights, folder / "model.safetensors")
    return folder


def recorded():
    """Return hidden states of both kinds by `transformers`."""
    import torch
    from transformers import AutoModel

    found = {}
    for kind, ids in IDS.items():
        with tempfile.TemporaryDirectory() as scratch:
            write(kind, Path(scratch))
            model = AutoModel.from_pretrained(
                scratch, dtype=torch.float64, attn_implementation="eager"
            )
        with torch.no_grad():
            out = model.eval()(torch.tensor([ids]), output_hidden_states=True)
        found[kind] = np.array([state[0].numpy() for state in out.hidden_states])
    return found


if __name__ == "__main__":
    OUTPUTS.parent.mkdir(exist_ok=True)
    np.savez_compressed(OUTPUTS, **recorded())
    sys.stdout.write(f"{OUTPUTS.stat().st_size} bytes\n")
