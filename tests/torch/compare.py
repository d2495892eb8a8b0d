#!/usr/bin/env python3
"""Compare forward, loss, gradients and running statistics of every model with PyTorch, on the same weights and batch.

usage: compare.py BUILD_FOLDER [SPEC...]      (needs torch; exits 77, "skipped", without it)

All must agree with PyTorch in double precision to 1e-5 of the largest value of a tensor. A ReLU makes gradients jump
where rounding puts a value on the other side of zero, which also sets PyTorch's own float32 apart from its double: small
batches make it rare, and another batch is tried, up to eight. Gradients of deep networks with batch norm lose digits in
any float32: one passes too that is no farther from double than thrice PyTorch's float32 is. SPDX-License-Identifier: MIT"""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def read_safetensors(path):
    with open(path, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(length)), f.read()
    header.pop("__metadata__", None)
    return {name: torch.from_numpy(np.frombuffer(data[slice(*h["data_offsets"])], "<f4").reshape(h["shape"]).copy())
            for name, h in header.items()}


class EvoNormS0(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.groups = min(c, 32)
        self.weight, self.bias = nn.Parameter(torch.ones(c)), nn.Parameter(torch.zeros(c))

    def forward(self, x):
        n, c, h, w = x.shape
        var = x.reshape(n, self.groups, -1).var(2, unbiased=True).reshape(n, self.groups, 1, 1)
        var = var.repeat_interleave(c // self.groups, 1)
        return x * torch.sigmoid(x) / torch.sqrt(var + 1e-5) * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


NORMS = {
    "bn": (nn.BatchNorm2d, nn.BatchNorm2d),
    "gn": (lambda c: nn.GroupNorm(2, c),) * 2,
    "evonorm": (EvoNormS0, EvoNormS0),
    "lin2021": (EvoNormS0, lambda c: nn.BatchNorm2d(c, track_running_stats=False)),
}


def conv(i, o, k, s=1):
    return nn.Conv2d(i, o, k, s, k // 2, bias=False)


def act(norm, x):
    return x if isinstance(norm, EvoNormS0) else F.relu(x)


class Block(nn.Module):
    def __init__(self, i, width, stride, norms, bottleneck):
        super().__init__()
        inner, outer = norms
        o = width * (4 if bottleneck else 1)
        kernels = [(i, width, 1, 1), (width, width, 3, stride), (width, o, 1, 1)] if bottleneck else \
                  [(i, width, 3, stride), (width, width, 3, 1)]
        self.last = len(kernels)
        for n, k in enumerate(kernels, 1):
            setattr(self, f"conv{n}", conv(*k))
            setattr(self, f"bn{n}", (outer if n == self.last else inner)(k[1]))
        if stride != 1 or i != o:
            self.downsample = nn.Sequential(conv(i, o, 1, stride), outer(o))

    def forward(self, x):
        y = x
        for n in range(1, self.last + 1):
            norm = getattr(self, f"bn{n}")
            y = norm(getattr(self, f"conv{n}")(y))
            if n < self.last:
                y = act(norm, y)
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    def __init__(self, norm, blocks, width, bottleneck=False, imagenet=False, classes=10):
        super().__init__()
        norms, self.imagenet = NORMS[norm], imagenet
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False) if imagenet else conv(3, width, 3)
        self.bn1, i, self.stages = norms[0](width), width, len(blocks)
        for stage, n in enumerate(blocks):
            layer = []
            for k in range(n):
                layer.append(Block(i, width << stage, 2 if stage and not k else 1, norms, bottleneck))
                i = (width << stage) * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(i, classes)

    def forward(self, x):
        x = act(self.bn1, self.bn1(self.conv1(x)))
        if self.imagenet:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class LeNet(nn.Module):
    def __init__(self, c, side):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(c, 6, 5, padding=2 if side < 32 else 0), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1)
        self.conv3, self.fc = nn.Conv2d(32, 32, 3, 1, 1), nn.Linear(1568, 10)

    def forward(self, x):
        return self.fc(F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))).flatten(1))


class Mlp(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        self.names = [f"fc{i}" for i in range(1, len(widths))] if len(widths) > 2 else ["fc"]
        for name, i, o in zip(self.names, widths, widths[1:]):
            setattr(self, name, nn.Linear(i, o))

    def forward(self, x):
        x = x.flatten(1)
        for name in self.names:
            x = getattr(self, name)(x if name == self.names[0] else F.relu(x))
        return x


def vgg(scale, norm=False):
    plan = [4, "M", 8, "M", 16, 16, "M", 32, 32, "M", 32, 32, "M"]
    layers, i = [], 3
    for width in plan:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        o = width * scale if scale else width * 16
        layers += [nn.Conv2d(i, o, 3, 1, 1)] + ([nn.BatchNorm2d(o)] if norm else []) + [nn.ReLU()]
        i = o
    model = nn.Sequential()
    model.add_module("features", nn.Sequential(*layers))
    model.add_module("flatten", nn.Flatten())
    model.add_module("classifier", nn.Linear(i, 10) if scale else nn.Sequential(
        nn.Dropout(0), nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)))
    return model


class WideBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(i), conv(i, o, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(o), conv(o, o, 3)
        if i != o:
            self.downsample = conv(i, o, 1, stride)

    def forward(self, x):
        a = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return y + (self.downsample(a) if hasattr(self, "downsample") else x)


class WideResNet(nn.Module):
    def __init__(self, depth, widen):
        super().__init__()
        self.conv1, i = conv(3, 16, 3), 16
        for stage in range(3):
            layer = []
            for k in range((depth - 4) // 6):
                layer.append(WideBlock(i, widen * (16 << stage), 2 if stage and not k else 1))
                i = widen * (16 << stage)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.bn1, self.fc = nn.BatchNorm2d(i), nn.Linear(i, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


# spec: (PyTorch's model, side, channels, classes, examples)
MODELS = {
    "logreg": (lambda: Mlp(784, 10), 28, 1, 10, 64),
    "mlp:hidden=256-128": (lambda: Mlp(784, 256, 128, 10), 28, 1, 10, 64),
    "cnn": (Cnn, 28, 1, 10, 70),
    "lenet": (lambda: LeNet(3, 32), 32, 3, 10, 32),
    "resnet20": (lambda: ResNet("bn", [3] * 3, 16), 16, 3, 10, 6),
    "resnet20:norm=gn": (lambda: ResNet("gn", [3] * 3, 16), 32, 3, 10, 2),
    "resnet20-evonorm": (lambda: ResNet("evonorm", [3] * 3, 16), 32, 3, 10, 32),
    "resnet20-evonorm-lin2021": (lambda: ResNet("lin2021", [3] * 3, 16), 32, 3, 10, 32),
    "resnet44:norm=gn": (lambda: ResNet("gn", [7] * 3, 16, bottleneck=True), 16, 3, 10, 4),
    "resnet18-cifar:norm=gn": (lambda: ResNet("gn", [2] * 4, 64), 16, 3, 10, 2),
    "resnet18": (lambda: ResNet("bn", [2] * 4, 64, imagenet=True, classes=100), 64, 3, 100, 8),
    "resnet18:norm=evonorm": (lambda: ResNet("evonorm", [2] * 4, 64, imagenet=True, classes=100), 64, 3, 100, 4),
    "resnet18:norm=lin2021": (lambda: ResNet("lin2021", [2] * 4, 64, imagenet=True, classes=100), 64, 3, 100, 8),
    "resnet50:norm=gn": (lambda: ResNet("gn", [3, 4, 6, 3], 64, True, True, 100), 64, 3, 100, 2),
    "vgg11": (lambda: vgg(0), 32, 3, 10, 8),
    "vgg11:scale=8": (lambda: vgg(8), 32, 3, 10, 8),
    "vgg11:scale=1,norm=bn": (lambda: vgg(1, True), 32, 3, 10, 12),
    "wideresnet:depth=16,widen=2": (lambda: WideResNet(16, 2), 16, 3, 10, 4),
}


def evaluate(model, weights, x, labels, dtype):
    """Logits in evaluation, loss, gradients and the state after a training step, as PyTorch has them."""
    model.to(dtype)
    missing, extra = model.load_state_dict({k: v.to(dtype) for k, v in weights.items()}, strict=False)
    assert not extra and all(name.endswith("num_batches_tracked") for name in missing), (missing, extra)
    model.eval()
    logits = model(x.to(dtype)).detach()
    model.train()
    model.zero_grad()
    loss = F.cross_entropy(model(x.to(dtype)), labels)
    loss.backward()
    return logits, loss.item(), {k: p.grad for k, p in model.named_parameters()}, model.state_dict()


def distance(a, b, least=0.0):
    """Largest difference, relative to the largest value of b, which counts as at least `least`."""
    return (a.double() - b.double()).abs().max().item() / max(b.abs().max().item(), least, 1e-300)


def run(dump, spec, seed):
    """Distances from PyTorch's double: logits, loss, gradient, PyTorch's own float32 gradient, running statistics."""
    build, side, channels, classes, n = MODELS[spec]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([dump, spec, str(side), str(channels), str(classes), str(n), str(seed), folder], check=True)
        path = lambda name: os.path.join(folder, name)
        weights, ours = read_safetensors(path("weights.safetensors")), read_safetensors(path("gradient.safetensors"))
        after = read_safetensors(path("after.safetensors"))
        x = torch.from_numpy(np.fromfile(path("x.f32"), "<f4").reshape(n, channels, side, side))
        labels = torch.from_numpy(np.fromfile(path("labels.i32"), "<i4").astype("int64"))
        logits = torch.from_numpy(np.fromfile(path("logits.f32"), "<f4").reshape(n, classes))
        loss = float(open(path("loss.txt")).read())
    exact = evaluate(build(), weights, x, labels, torch.float64)
    single = evaluate(build(), weights, x, labels, torch.float32)
    assert set(ours) == set(exact[2])
    least = 1e-4 * max(g.abs().max().item() for g in exact[2].values())  # a bias before a batch norm has gradient 0
    far = lambda grads: max(distance(grads[name], g, least) for name, g in exact[2].items())
    running = max([distance(after[k], v) for k, v in exact[3].items() if "running" in k], default=0.0)
    return distance(logits, exact[0]), abs(loss - exact[1]) / abs(exact[1]), far(ours), far(single[2]), running


def compare(dump, spec):
    for seed in range(1, 9):
        forward, loss, gradient, theirs, running = run(dump, spec, seed)
        good = max(forward, loss, running) <= 1e-5 and gradient <= max(1e-5, 3 * theirs)
        if good or max(forward, loss, running) > 1e-5:
            break
    print(f"{'ok  ' if good else 'FAIL'} {spec:28} batch {seed}: logits {forward:.1e}, loss {loss:.1e}, gradient "
          f"{gradient:.1e} (PyTorch float32 {theirs:.1e}), running {running:.1e}", flush=True)
    return good


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    specs = sys.argv[2:] or list(MODELS)
    results = [compare(os.path.join(sys.argv[1], "tests", "torch-dump"), spec) for spec in specs]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(not all(results))
