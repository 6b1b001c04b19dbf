"""Fixtures from HazyResearch/safari: Hyena of order 2 and 3, H3, and S4D, in safari's own blocks.

Needs torch, safetensors, einops, opt_einsum, omegaconf, hydra-core, rich, scipy, and a checkout of safari, whose
folder is the argument. Modules of safari that only training needs are replaced by stand-ins.
"""

import subprocess
import sys
import types
from functools import partial

import torch
from fixture import VOCABULARY, Names, answers, language_model, randomize, seed, tokens, write
from torch import nn

SAFARI = sys.argv[1]
sys.path.insert(0, SAFARI)


def stand_in(name, **members):
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    sys.modules.setdefault(name, module)


class NoDepth(nn.Identity):
    def __init__(self, *_, **__):
        super().__init__()


stand_in("pytorch_lightning")
stand_in("pytorch_lightning.utilities", rank_zero_only=lambda function: function)
stand_in("torchvision")
stand_in("torchvision.ops", StochasticDepth=NoDepth)

from src.models.sequence.h3 import H3  # noqa: E402
from src.models.sequence.hyena import HyenaOperator  # noqa: E402
from src.models.sequence.simple_lm import Block, GPT2Embeddings, Mlp  # noqa: E402
from src.models.sequence.ssm.s4d import S4D  # noqa: E402

COMMIT = subprocess.run(
    ["git", "-C", SAFARI, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip() or "02220c6"
VERSIONS = f"HazyResearch/safari {COMMIT}"


class Model(nn.Module):
    """safari's blocks and embeddings, with the exact GELU in feed-forwards."""

    def __init__(self, width, layers, mixer, inner):
        super().__init__()
        self.embeddings = GPT2Embeddings(width, VOCABULARY, 0)
        mlp = partial(Mlp, hidden_features=inner)
        self.layers = nn.ModuleList(
            Block(width, mixer, mlp, norm_cls=partial(nn.LayerNorm, eps=1e-5)) for _ in range(layers)
        )
        self.ln_f = nn.LayerNorm(width, eps=1e-5)
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, ids):
        hidden, residual = self.embeddings(ids), None
        for layer in self.layers:
            hidden, residual = layer(hidden, residual)
        return self.lm_head(self.ln_f(hidden + residual))


def save(name, model, width, inner, settings, mix):
    names = Names(model.state_dict())
    names.copy("embeddings.word_embeddings", "embedding")
    for i in range(len(model.layers)):
        a, b = f"layers.{i}.", f"layers.{i}."
        mix(names, a + "mixer.", b + "mixer.")
        names.copy(a + "norm1", b + "mixer_norm")
        names.copy(a + "norm2", b + "feed_forward_norm")
        names.copy(a + "mlp.fc1", b + "feed_forward.up")
        names.copy(a + "mlp.fc2", b + "feed_forward.down")
    names.copy("ln_f", "final_norm")
    names.copy("lm_head", "output")
    configuration = language_model(
        width, len(model.layers), settings,
        {"kind": "plain", "activation": "gelu", "inner_size": inner, "biases": True}, norm=("layer", 1e-5),
    )
    expected = answers(model.eval(), model.embeddings.word_embeddings.weight, tokens())
    write(name, configuration, names.tensors, expected, VERSIONS)


def hyena(order):
    seed(50 + order)
    width, length, filters = 6, 24, order - 1
    mixer = partial(
        HyenaOperator, l_max=length, order=order, filter_order=5, short_filter_order=3, emb_dim=5, w=3, lr_pos_emb=0.0,
        num_inner_mlps=2, shift=0.05,
    )
    model = Model(width, 1, mixer, 8)
    randomize(model)
    for name, parameter in model.named_parameters():
        if name.endswith("freq"):
            parameter.data.uniform_(2, 4)

    def by_filter(tensor):
        """Channels of safari are ordered by value, then filter; here by filter, then value."""
        return tensor.unflatten(0, (width, filters)).transpose(0, 1).flatten(0, 1)

    def mix(names, a, b):
        names.copy(a + "in_proj", b + "input")
        names.copy(a + "out_proj", b + "output")
        names.put(b + "short.weight", names.weights[a + "short_filter.weight"].squeeze(1))
        names.put(b + "short.bias", names.weights[a + "short_filter.bias"])
        network = a + "filter_fn.implicit_filter."
        names.put(b + "filter.bias", by_filter(names.weights[a + "filter_fn.bias"]))
        names.put(b + "filter.sine", names.weights[network + "1.freq"].squeeze(0))
        for index in range(3):
            names.copy(f"{network}{2 * index}", f"{b}filter.layer_{index}")
        names.put(b + "filter.layer_3.weight", by_filter(names.weights[network + "6.weight"]))

    settings = {
        "kind": "hyena", "channel_count": width, "order": order, "maximum_length": length, "feature_count": 5,
        "filter_size": 5, "sine_frequency": 3.0, "short_size": 3, "window_shift": 0.05,
    }
    save(f"hyena-{order}", model, width, 8, settings, mix)


def state_space(names, kernel, mine, decay, frequency):
    """log Δ, log(-Re A), Im A and C of a diagonal state space, whose names differ between H3 and S4D."""
    parts = {"log_dt": "log_step", decay: "log_decay", frequency: "frequency", "C": "readout"}
    for theirs, part in parts.items():
        tensor = names.weights[kernel + theirs]
        names.put(mine + part, tensor.squeeze(0) if theirs == "C" else tensor)


def h3():
    seed(20)
    width, size, modes, taps = 8, 2, 6, 6
    mixer = partial(H3, d_state=modes, l_max=None, head_dim=size, mode="diag", measure="diag-lin", disc="bilinear")
    model = Model(width, 1, mixer, 10)
    kernels = {k: v.clone() for k, v in model.state_dict().items() if ".kernel.kernel." in k}
    randomize(model)
    # Timing stays as it was drawn, slightly moved: exponentials of it must stay moderate.
    for name, parameter in model.named_parameters():
        if name in kernels and not name.endswith((".B", ".C")):
            parameter.data.copy_(kernels[name] + 0.1 * torch.randn_like(kernels[name]))

    def mix(names, a, b):
        weights = names.weights
        for theirs, mine in {"q": "query", "k": "key", "v": "value"}.items():
            names.copy(f"{a}{theirs}_proj", b + mine)
        # Channels of queries and keys are (head, place) in both; outputs are (place, head) in safari.
        output = weights[a + "output_linear.weight"].unflatten(1, (size, width // size))
        names.put(b + "output.weight", output.transpose(1, 2).flatten(1, 2))
        names.put(b + "output.bias", weights[a + "output_linear.bias"])
        names.put(b + "shift.input", weights[a + "ssm_k_kernel.kernel.B"])
        names.put(b + "shift.readout", weights[a + "ssm_k_kernel.kernel.C"].squeeze(0))
        names.put(b + "shift.skip", weights[a + "ssm_k_D"])
        state_space(names, a + "kernel.kernel.", b + "state_space.", "inv_A_real", "A_imag")
        names.put(b + "state_space.input", weights[a + "kernel.kernel.B"])
        names.put(b + "state_space.skip", weights[a + "D"])

    settings = {
        "kind": "h3", "head_count": width // size, "head_size": size, "state_size": modes, "shift_size": taps,
        "discretization": "bilinear",
    }
    save("h3", model, width, 10, settings, mix)


class TransposedS4D(S4D):
    """S4D as a mixer of safari's blocks: [B, T, D] → [B, T, D]."""

    def forward(self, x, **_):
        return super().forward(x)[0]


def s4d():
    seed(21)
    width, modes = 6, 8
    mixer = partial(TransposedS4D, d_state=modes, transposed=False, postact="glu", activation="gelu")
    model = Model(width, 1, mixer, 10)
    kernels = {k: v.clone() for k, v in model.state_dict().items() if ".mixer.kernel." in k}
    randomize(model)
    for name, parameter in model.named_parameters():
        if name in kernels and not name.endswith(".C"):
            parameter.data.copy_(kernels[name] + 0.1 * torch.randn_like(kernels[name]))

    def mix(names, a, b):
        state_space(names, a + "kernel.kernel.", b + "state_space.", "log_w_real", "w_imag")
        for part in ["log_decay", "frequency"]:
            # One for all channels in safari.
            tensor = names.tensors[f"{b}state_space.{part}"]
            names.put(f"{b}state_space.{part}", tensor.expand(width, -1))
        names.put(b + "state_space.skip", names.weights[a + "D"].squeeze(0))
        names.copy(a + "output_linear.0", b + "output")

    settings = {"kind": "s4d", "channel_count": width, "state_size": modes, "block": "glu", "discretization": "zoh"}
    save("s4d", model, width, 10, settings, mix)


if __name__ == "__main__":
    for order in [2, 3, 4]:
        hyena(order)
    h3()
    s4d()
