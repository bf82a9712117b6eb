"""The peer: one training step in PyTorch, the same model, batch and number of threads as ours.

    python torch_step.py ARCHITECTURE LAYERS WIDTH HEADS CONTEXT BATCH VOCABULARY PRECISION COMPILE THREADS DEVICE

ARCHITECTURE decoder (causal) or encoder (MLM at 15 % of the positions), PRECISION f32 or bf16 (autocast), COMPILE eager
or compile. Then it obeys lines on stdin:

    LENGTH STEPS    train STEPS steps on random layer paths of that length; answers "SECONDS" for all of them
    memory          answers the peak resident set in bytes, on a GPU what was allocated there at most
    peak            answers the best rate of (2048, 256) x (256, 1024) products in this precision, in GFLOP/s

Written as a careful PyTorch user would: scaled_dot_product_attention, fused AdamW with decay groups, clipping, and
logits at predicted positions only.
"""

import os
import random
import sys
import time

architecture, layers, width, heads, context, batch, vocabulary, precision, mode, threads, device = sys.argv[1:]
layers, width, heads, context, batch, vocabulary, threads = map(
    int, (layers, width, heads, context, batch, vocabulary, threads)
)
os.environ["OMP_NUM_THREADS"] = str(threads)

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(threads)
torch.manual_seed(0)
random.seed(0)
causal = architecture == "decoder"
torch.set_default_device(device)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, heads, c // heads).transpose(1, 2) for y in self.qkv(self.ln_1(x)).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.h = nn.ModuleList(Layer() for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        if not causal:
            self.ln_embed, self.dense, self.head_ln = nn.LayerNorm(width), nn.Linear(width, width), nn.LayerNorm(width)
            self.bias = nn.Parameter(torch.zeros(vocabulary))
        for p in self.parameters():
            if p.dim() >= 2:
                nn.init.normal_(p, std=0.02)

    def embed(self, ids):
        x = self.wte(ids) + self.wpe.weight
        return x if causal else self.ln_embed(x)

    def loss(self, x, rows, targets):
        x = self.ln_f(x)
        if causal:
            return F.cross_entropy(F.linear(x, self.wte.weight).view(-1, vocabulary), targets)
        x = self.head_ln(F.gelu(self.dense(x.view(-1, width)[rows])))
        return F.cross_entropy(F.linear(x, self.wte.weight, self.bias), targets)


model = Model()
matrices = [p for p in model.parameters() if p.dim() >= 2]
vectors = [p for p in model.parameters() if p.dim() < 2]
groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), fused=True)

# One compiled layer serves every layer path: compiling whole paths would compile anew for each of them.
wrap = torch.compile if mode == "compile" else lambda f: f
run_layer, run_embed, run_loss = wrap(Layer.forward), wrap(model.embed), wrap(model.loss)


def make_batch():
    ids = torch.randint(vocabulary, (batch, context))
    if causal:
        return ids, None, torch.randint(vocabulary, (batch * context,))
    # A fixed count of masked positions, so that nothing is compiled twice.
    rows = torch.randperm(batch * context)[: round(0.15 * batch * context)].sort().values
    return ids, rows, torch.randint(vocabulary, (len(rows),))


def step(path):
    ids, rows, targets = make_batch()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
        x = run_embed(ids)
        for i in path:
            x = run_layer(model.h[i], x)
        loss = run_loss(x, rows, targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()


def layer_path(length):
    return [0, *sorted(random.sample(range(1, layers - 1), length - 2)), layers - 1]


def peak():
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.full((2048, 256), 0.5, dtype=dtype), torch.full((256, 1024), 0.25, dtype=dtype)
    y = torch.empty(2048, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(40):
        began = time.perf_counter()
        torch.mm(a, b, out=y)
        best = min(best, time.perf_counter() - began)
    return 2 * 2048 * 256 * 1024 / best / 1e9


print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    if line.strip() == "memory" and device != "cpu":
        print(torch.cuda.max_memory_reserved(), flush=True)
        continue
    if line.strip() == "memory":
        with open("/proc/self/status") as status:
            print(next(int(l.split()[1]) * 1024 for l in status if l.startswith("VmHWM")), flush=True)
        continue
    if line.strip() == "peak":
        print(peak(), flush=True)
        continue
    length, steps = map(int, line.split())
    began = time.perf_counter()
    for _ in range(steps):
        loss = step(layer_path(length))
    loss.item()  # the only wait, as with a logging interval
    if device != "cpu":
        torch.cuda.synchronize()
    print(time.perf_counter() - began, flush=True)
