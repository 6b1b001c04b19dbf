"""Fixture from YOCO: the self-decoder of microsoft/unilm/YOCO, whose layers are gated retention and a feed-forward.

Needs torch, safetensors, triton, and a checkout of microsoft/unilm, whose folder is the argument. The layers, the rotation (its Triton
kernel, in Triton's interpreter), norms, masks and steps are YOCO's own. Retention is its `parallel_gate_retention`, since
its chunks have 256 positions of at least 64 channels: first its chunkwise form, with its kernel in the interpreter, is
compared with that, values and gradients. In place of fairseq's parallel layers, which one process has no use for, stand
PyTorch's, and the product with swish, which YOCO compiles for GPUs, is written out.

The cross-decoder above, attention to the output of these layers, has no counterpart in this package, so the output norm and
projection follow the self-decoder directly.
"""

import os
import subprocess
import sys
import types
from contextlib import nullcontext
from pathlib import Path

os.environ |= {"TRITON_INTERPRET": "1", "TORCHDYNAMO_DISABLE": "1"}
import stand_ins  # noqa: E402, F401
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
import triton  # noqa: E402
from fixture import VOCABULARY, Names, answers, language_model, randomize, seed, tokens, write  # noqa: E402
from torch import nn  # noqa: E402

UNILM = Path(sys.argv[1])
COMMIT = subprocess.run(
    ["git", "-C", UNILM, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip() or "768a3c8"
VERSIONS = f"microsoft/unilm {COMMIT}, YOCO, parallel form, triton {triton.__version__} interpreter"


def linear(inputs, outputs, bias, **_):
    return nn.Linear(inputs, outputs, bias=bias)


mpu = types.ModuleType("fairseq.model_parallel.megatron.mpu")
mpu.ColumnParallelLinear = mpu.RowParallelLinear = linear
mpu.VocabParallelEmbedding = lambda count, width, _, init_method: nn.Embedding(count, width)
mpu.copy_to_model_parallel_region = lambda x: x
flash = types.ModuleType("flash_attn")
flash.flash_attn_func = None  # Attention of layers that are not used here.
for name in ["fairseq", "fairseq.model_parallel", "fairseq.model_parallel.megatron"]:
    sys.modules[name] = types.ModuleType(name)
sys.modules |= {"fairseq.model_parallel.megatron.mpu": mpu, "flash_attn": flash}
torch.cuda.device = lambda _: nullcontext()  # Its rotation names the device of a kernel.
sys.path.insert(0, str(UNILM / "YOCO" / "yoco" / "models"))
from decoder import feedforward_network, gate_retention, yoco  # noqa: E402
from decoder.kernel import gate_recurrent  # noqa: E402

for module in [gate_retention, feedforward_network]:
    module.swiglu = lambda x, y: F.silu(x) * y


def compare_forms():
    """The greatest relative difference between YOCO's chunkwise and parallel form, of the output and the gradients."""
    torch.manual_seed(1)
    inputs = [torch.randn(1, 2, 512, 64, requires_grad=True) for _ in range(3)]
    gates = (F.logsigmoid(torch.randn(1, 2, 512)) / 16).requires_grad_()
    weight = torch.randn(1, 2, 512, 64)
    results = []
    for form in [gate_recurrent.parallel_gate_retention, lambda *a: gate_recurrent.chunk_gate_retention(*a, chunk_size=256)]:
        output = form(*inputs, gates)
        results.append([output, *torch.autograd.grad((output * weight).sum(), [*inputs, gates])])
    return max(((a - b).norm() / a.norm()).item() for a, b in zip(*results))


def main():
    print(f"YOCO's chunkwise against its parallel form, values and gradients: {compare_forms():.1e}")
    gate_retention.chunk_gate_retention = lambda *a, chunk_size, **_: gate_recurrent.parallel_gate_retention(*a)
    seed(50)
    width, heads, inner, layers = 16, 2, 10, 2
    arguments = yoco.YOCOArgs(
        dim=width, n_layers=2 * layers, hidden_dim=inner, n_self_heads=heads, n_attn_heads=heads,
        n_attn_kv_heads=heads, vocab_size=VOCABULARY, max_seq_len=64)
    model = yoco.YOCO(arguments)
    randomize(model)

    def hidden(ids, **options):
        return model.self_decoder(model.embed_scale * model.embed_tokens(ids), **options)

    def logits(x):
        return model.output_layer(model.layer_norm(x))

    names = Names(model.state_dict())
    names.copy("embed_tokens", "embedding")
    names.copy("output_projection", "output")
    names.copy("layer_norm", "final_norm")
    for i in range(layers):
        a, b = f"self_decoder.layers.{i}.", f"layers.{i}."
        for theirs, mine in {
            "q": "query", "k": "key", "v": "value", "g": "gate", "gt": "decay", "out": "output",
        }.items():
            names.copy(f"{a}mixer.{theirs}_proj", f"{b}mixer.{mine}")
        for theirs, mine in {"fc1": "up", "gate": "gate", "fc2": "down"}.items():
            names.copy(f"{a}ffn.{theirs}", f"{b}feed_forward.{mine}")
        names.copy(a + "mixer_layer_norm", b + "mixer_norm")
        names.copy(a + "final_layer_norm", b + "feed_forward_norm")
    configuration = language_model(
        width, layers,
        {
            "kind": "gated_retention", "head_count": heads, "key_size": width // heads,
            "value_size": width // heads, "gate_divisor": 16, "rotation": "interleaved",
            "head_norm": {"kind": "rms", "affine": "none", "epsilon": 1e-5}, "gate": "swish",
        },
        {"kind": "gated", "activation": "swish", "inner_size": inner}, norm=("rms", 1e-5),
        embedding_scale="square_root",
    )
    expected = answers(lambda ids: logits(hidden(ids)), model.embed_tokens.weight, tokens())
    # Its steps, which have a form of their own, give the state after the last token.
    state, steps = {}, []
    with torch.no_grad():
        for time in range(expected["tokens"].shape[1]):
            step = hidden(expected["tokens"][:, time : time + 1], incremental_state=state, start_pos=time)
            steps.append(logits(step))
    steps = torch.cat(steps, dim=1)
    print(f"YOCO's steps against its parallel form: {((steps - expected['logits']).norm() / steps.norm()).item():.1e}")
    expected |= {f"state.{i}.memory": state[i]["last_hidden_state"] for i in range(layers)}
    write("yoco", configuration, names.tensors, expected, VERSIONS)


if __name__ == "__main__":
    main()
