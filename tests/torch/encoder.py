#!/usr/bin/env python3
"""Compare a text encoder's logits, loss and gradients with an independent one, on pretrained weights and real texts.

usage: encoder.py BUILD_FOLDER MODEL WEIGHTS.safetensors TEXTS.csv VOCAB.txt [EXAMPLES]      (exits 77 without numpy)

With Hugging Face's transformers installed, its own model in double precision, gradients too; else forward and loss
against the formulas of Devlin et al. 2019 in numpy, double precision. To 1e-4 of the largest value of a tensor, through
six layers of attention. SPDX-License-Identifier: MIT"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)
try:
    import torch
    import transformers
except ImportError:
    torch = None

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


def numpy_logits(w, ids, lengths, heads):
    root, layer, q, k, v, out, norm1, up, down, norm2 = BERT if "bert.pooler.dense.weight" in w else DISTILBERT
    erf = np.vectorize(math.erf)

    def dense(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * w[name + ".weight"] + w[name + ".bias"]

    rows = []
    for tokens, length in zip(ids, lengths):  # a text by itself: no padding, so no mask
        x = w[root + "embeddings.word_embeddings.weight"][tokens[:length]]
        x = x + w[root + "embeddings.position_embeddings.weight"][:length]
        if root == "bert.":
            x = x + w[root + "embeddings.token_type_embeddings.weight"][0]
        x = norm(x, root + "embeddings.LayerNorm")
        i = 0
        while (at := root + layer.format(i)) + q + ".weight" in w:
            split = lambda y: y.reshape(length, heads, -1).transpose(1, 0, 2)
            a, b, c = split(dense(x, at + q)), split(dense(x, at + k)), split(dense(x, at + v))
            s = a @ b.transpose(0, 2, 1) / math.sqrt(a.shape[-1])
            s = np.exp(s - s.max(-1, keepdims=True))
            s /= s.sum(-1, keepdims=True)
            x = norm(x + dense((s @ c).transpose(1, 0, 2).reshape(length, -1), at + out), at + norm1)
            h = dense(x, at + up)
            x = norm(x + dense(h * 0.5 * (1 + erf(h / math.sqrt(2))), at + down), at + norm2)
            i += 1
        y = np.tanh(dense(x[0], "bert.pooler.dense")) if root == "bert." else np.maximum(dense(x[0], "pre_classifier"), 0)
        rows.append(dense(y, "classifier"))
    return np.array(rows)


def hugging_face(w, ids, lengths, labels, heads):
    word = next(v for k, v in w.items() if k.endswith("word_embeddings.weight"))
    layers = sum(k.endswith(("intermediate.dense.bias", "ffn.lin1.bias")) for k in w)
    inner = next(v for k, v in w.items() if k.endswith(("intermediate.dense.bias", "ffn.lin1.bias"))).size
    classes = w["classifier.bias"].size
    if "bert.pooler.dense.weight" in w:
        config = transformers.BertConfig(
            vocab_size=word.shape[0], hidden_size=word.shape[1], num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=inner, num_labels=classes, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
        model = transformers.BertForSequenceClassification(config)
    else:
        config = transformers.DistilBertConfig(
            vocab_size=word.shape[0], dim=word.shape[1], n_layers=layers, n_heads=heads, hidden_dim=inner,
            num_labels=classes, dropout=0, attention_dropout=0, seq_classif_dropout=0)
        model = transformers.DistilBertForSequenceClassification(config)
    model.double().eval()
    missing, extra = model.load_state_dict({k: torch.from_numpy(v) for k, v in w.items()}, strict=False)
    assert not extra and all("position_ids" in k for k in missing), (missing, extra)
    mask = torch.arange(ids.shape[1])[None] < torch.from_numpy(lengths)[:, None].long()
    out = model(torch.from_numpy(ids).long(), attention_mask=mask.long(), labels=torch.from_numpy(labels).long())
    out.loss.backward()
    return out.logits.detach().numpy(), {k: p.grad.numpy() for k, p in model.named_parameters() if p.grad is not None}


def main(build, model, weights, texts, vocab, n=12):
    heads = HEADS[model.split(":")[0]]
    with tempfile.TemporaryDirectory() as folder:
        dump = os.path.join(build, "tests", "encoder-dump")
        subprocess.run([dump, model, weights, texts, vocab, str(n), folder], check=True)
        path = lambda name: os.path.join(folder, name)
        w, gradient = read_safetensors(path("weights.safetensors")), read_safetensors(path("gradient.safetensors"))
        ids = np.fromfile(path("ids.i32"), "<i4").reshape(n, -1)
        lengths, labels = np.fromfile(path("lengths.i32"), "<i4"), np.fromfile(path("labels.i32"), "<i4")
        logits, loss = np.fromfile(path("logits.f32"), "<f4").reshape(n, -1), float(open(path("loss.txt")).read())
    far = lambda a, b: np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)
    if torch:
        want, theirs = hugging_face(w, ids, lengths, labels, heads)
        least = 1e-4 * max(np.abs(g).max() for g in theirs.values())
        off = max(np.abs(gradient[k] - g).max() / max(np.abs(g).max(), least) for k, g in theirs.items())
        print(f"gradients of transformers {transformers.__version__}: {off:.1e}")
    else:
        want, off = numpy_logits(w, ids, lengths, heads), 0
    exact = np.log(np.exp(want).sum(1)) - want[np.arange(n), labels]
    print(f"{model}, {n} texts of {lengths.min()} to {lengths.max()} tokens, {'Hugging Face' if torch else 'numpy'}: "
          f"logits {far(logits, want):.1e}, loss {abs(loss - exact.mean()) / exact.mean():.1e}")
    return int(max(far(logits, want), abs(loss - exact.mean()) / exact.mean(), off) > 1e-4)


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:6], *map(int, sys.argv[6:7])))
