"""PyTorch's rate for ResNet-20 on 3x32x32 images, forward and backward, for paper/run train-speed.

usage: torch_train.py NORM LAYOUT THREADS STEPS     NORM: bn, gn or evonorm; LAYOUT: nchw or nhwc
Prints images per second: 32 over the median time of a step. SPDX-License-Identifier: MIT
"""

import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH = 32


class EvoNorm(nn.Module):
    """EvoNorm-S0 without v (Liu et al. 2020): x sigmoid(x) / std over groups of at most 32, scaled and shifted."""

    def __init__(self, channels):
        super().__init__()
        self.groups = min(channels, 32)
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        n, c, h, w = x.shape
        variance = x.reshape(n, self.groups, -1).var(dim=2, keepdim=True)
        deviation = torch.sqrt(variance + 1e-5).expand(n, self.groups, c // self.groups).reshape(n, c, 1, 1)
        return x * torch.sigmoid(x) / deviation * self.scale + self.shift


NORMS = {"bn": nn.BatchNorm2d, "gn": lambda c: nn.GroupNorm(2, c), "evonorm": EvoNorm}


class Block(nn.Module):
    def __init__(self, norm, before, after, stride):
        super().__init__()
        self.relu = norm != "evonorm"  # which is a non-linearity itself
        make = NORMS[norm]
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = make(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = make(after)
        self.short = None
        if stride != 1 or before != after:
            self.short = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), make(after))

    def forward(self, x):
        y = self.norm1(self.conv1(x))
        y = self.norm2(self.conv2(F.relu(y) if self.relu else y))
        y = y + (self.short(x) if self.short else x)
        return F.relu(y)


def resnet20(norm):
    layers, before = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), NORMS[norm](16)], 16
    if norm != "evonorm":
        layers.append(nn.ReLU())
    for after, stride in ((16, 1), (32, 2), (64, 2)):
        for k in range(3):
            layers.append(Block(norm, before, after, stride if k == 0 else 1))
            before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def main():
    norm, layout, threads, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, x = resnet20(norm), torch.randn(BATCH, 3, 32, 32)
    labels = torch.randint(0, 10, (BATCH,))
    if layout == "nhwc":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    times = []
    for _ in range(steps + 3):
        begin = time.perf_counter()
        model.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        times.append(time.perf_counter() - begin)
    print(f"{BATCH / statistics.median(times[3:]):.1f}")


main()
