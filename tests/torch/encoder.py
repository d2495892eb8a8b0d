#!/usr/bin/env python3
"""Compare a text encoder's logits, loss and gradients with an independent one, on the same weights and real texts.

usage: encoder.py BUILD_FOLDER MODEL WEIGHTS TEXTS.csv VOCAB.txt [EXAMPLES]      (exits 77 without torch)

WEIGHTS: a .safetensors file; -: this project's initial ones, moved off their zeros and ones; hf: initial ones of
transformers' own model, moved likewise, in the file its save_pretrained writes. The other side works in double
precision: Hugging Face's own model where transformers is installed, else the formulas of Devlin et al. 2019 written down in PyTorch. Every tensor's gradient is
compared; all to 1e-5 of the largest value of a tensor with one or two layers of attention, 1e-4 through six.
SPDX-License-Identifier: MIT"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
try:
    import transformers
except ImportError:
    transformers = None

HEADS = {"bert-tiny": 2, "minilm-l6": 12, "distilbert-base": 12}
BERT = ("bert.", "encoder.layer.{}.", "attention.self.query", "attention.self.key", "attention.self.value",
        "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")
DISTILBERT = ("distilbert.", "transformer.layer.{}.", "attention.q_lin", "attention.k_lin", "attention.v_lin",
              "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm")


def read_safetensors(path):
    with open(path, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(length)), f.read()
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[slice(*h["data_offsets"])], "<f4").reshape(h["shape"]).astype("f8")
            for name, h in header.items()}


def layer_norm(w, x, name):
    x = x - x.mean(-1, keepdim=True)
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-12) * w[name + ".weight"] + w[name + ".bias"]


def logits_of(w, tokens, heads):
    """Of one text by itself: no padding, so no mask."""
    root, layer, q, k, v, out, norm1, up, down, norm2 = BERT if "bert.pooler.dense.weight" in w else DISTILBERT
    dense = lambda x, name: x @ w[name + ".weight"].T + w[name + ".bias"]
    split = lambda y: y.reshape(len(tokens), heads, -1).transpose(0, 1)
    x = w[root + "embeddings.word_embeddings.weight"][tokens]
    x = x + w[root + "embeddings.position_embeddings.weight"][:len(tokens)]
    if root == "bert.":
        x = x + w[root + "embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(w, x, root + "embeddings.LayerNorm")
    i = 0
    while (at := root + layer.format(i)) + q + ".weight" in w:
        a, b, c = split(dense(x, at + q)), split(dense(x, at + k)), split(dense(x, at + v))
        s = torch.exp(a @ b.transpose(1, 2) / math.sqrt(a.shape[-1]))
        mixed = (s / s.sum(-1, keepdim=True)) @ c
        x = layer_norm(w, x + dense(mixed.transpose(0, 1).reshape(len(tokens), -1), at + out), at + norm1)
        h = dense(x, at + up)
        x = layer_norm(w, x + dense(h * 0.5 * (1 + torch.erf(h / math.sqrt(2))), at + down), at + norm2)
        i += 1
    y = torch.tanh(dense(x[0], "bert.pooler.dense")) if root == "bert." else torch.relu(dense(x[0], "pre_classifier"))
    return dense(y, "classifier")


def formulas(w, ids, lengths, labels, heads):
    w = {k: torch.from_numpy(v).requires_grad_() for k, v in w.items()}
    logits = torch.stack([logits_of(w, torch.from_numpy(t[:n]).long(), heads) for t, n in zip(ids, lengths)])
    rows = torch.arange(len(labels))
    loss = (torch.logsumexp(logits, 1) - logits[rows, torch.from_numpy(labels).long()]).mean()
    loss.backward()
    return logits.detach().numpy(), {k: v.grad.numpy() for k, v in w.items() if v.grad is not None}


def hugging_face_model(w, heads):
    """transformers' model of the sizes of these tensors."""
    word = next(v for k, v in w.items() if k.endswith("word_embeddings.weight"))
    layers = sum(k.endswith(("intermediate.dense.bias", "ffn.lin1.bias")) for k in w)
    inner = next(v for k, v in w.items() if k.endswith(("intermediate.dense.bias", "ffn.lin1.bias"))).size
    classes = w["classifier.bias"].size
    if "bert.pooler.dense.weight" in w:
        config = transformers.BertConfig(
            vocab_size=word.shape[0], hidden_size=word.shape[1], num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=inner, num_labels=classes, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
        return transformers.BertForSequenceClassification(config)
    config = transformers.DistilBertConfig(
        vocab_size=word.shape[0], dim=word.shape[1], n_layers=layers, n_heads=heads, hidden_dim=inner,
        num_labels=classes, dropout=0, attention_dropout=0, seq_classif_dropout=0)
    return transformers.DistilBertForSequenceClassification(config)


def hugging_face(w, ids, lengths, labels, heads):
    model = hugging_face_model(w, heads).double().eval()
    missing, extra = model.load_state_dict({k: torch.from_numpy(v) for k, v in w.items()}, strict=False)
    assert not extra and all("position_ids" in k for k in missing), (missing, extra)
    mask = torch.arange(ids.shape[1])[None] < torch.from_numpy(lengths)[:, None].long()
    out = model(torch.from_numpy(ids).long(), attention_mask=mask.long(), labels=torch.from_numpy(labels).long())
    out.loss.backward()
    return out.logits.detach().numpy(), {k: p.grad.numpy() for k, p in model.named_parameters() if p.grad is not None}


def made_there(sizes, heads, folder):
    """A file as Hugging Face writes it, with that model's random weights."""
    torch.manual_seed(3)
    model = hugging_face_model(sizes, heads)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:  # off zeros and ones, which would hide mistakes
                p += 0.2 * torch.rand(p.shape) - 0.1
    model.save_pretrained(folder, safe_serialization=True)
    return os.path.join(folder, "model.safetensors")


def main(build, model, weights, texts, vocab, n=12):
    heads = HEADS[model.split(":")[0]]
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)

        def ours(weights):
            dump = os.path.join(build, "tests", "encoder-dump")
            subprocess.run([dump, model, weights, texts, vocab, str(n), folder], check=True)

        ours("-" if weights == "hf" else weights)
        if weights == "hf":
            file = made_there(read_safetensors(path("weights.safetensors")), heads, folder)
            ours(file)
            mine, given = read_safetensors(path("weights.safetensors")), read_safetensors(file)
            assert set(mine) == set(given) and all((mine[k] == given[k]).all() for k in given), "weights differ"
        w, gradient = read_safetensors(path("weights.safetensors")), read_safetensors(path("gradient.safetensors"))
        ids = np.fromfile(path("ids.i32"), "<i4").reshape(n, -1)
        lengths, labels = np.fromfile(path("lengths.i32"), "<i4"), np.fromfile(path("labels.i32"), "<i4")
        logits, loss = np.fromfile(path("logits.f32"), "<f4").reshape(n, -1), float(open(path("loss.txt")).read())
    far = lambda a, b: np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)
    want, theirs = (hugging_face if transformers else formulas)(w, ids, lengths, labels, heads)
    assert set(gradient) == set(theirs), set(gradient) ^ set(theirs)
    least = 1e-4 * max(np.abs(g).max() for g in theirs.values())
    gaps = {k: np.abs(gradient[k] - g).max() / max(np.abs(g).max(), least) for k, g in theirs.items()}
    worst = max(gaps, key=gaps.get)
    exact = (np.log(np.exp(want).sum(1)) - want[np.arange(n), labels]).mean()
    off = [far(logits, want), abs(loss - exact) / exact, gaps[worst]]
    layers = sum(k.endswith(("intermediate.dense.bias", "ffn.lin1.bias")) for k in w)
    good = max(off) <= (1e-5 if layers <= 2 else 1e-4)
    print(f"{'ok  ' if good else 'FAIL'} {model}, {sum(v.size for v in w.values()):,} parameters, "
          f"{n} texts of {lengths.min()} to {lengths.max()} tokens, "
          f"{'transformers ' + transformers.__version__ if transformers else 'formulas'}: logits {off[0]:.1e}, "
          f"loss {off[1]:.1e}, gradients of {len(theirs)} tensors {off[2]:.1e} ({worst})")
    return int(not good)


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:6], *map(int, sys.argv[6:7])))
