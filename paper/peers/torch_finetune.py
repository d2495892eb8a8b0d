"""PyTorch's rates for MiniLM-L6 on 128 tokens and ResNet-18 at 224 px, for paper/run finetune-speed.

usage: torch_finetune.py MODEL THREADS STEPS     MODEL: minilm-l6 or resnet18
Prints lines "what,examples per second", 32 over the median time of a step: forward and backward (torch-gradient), and
with the optimiser (torch-step). MiniLM-L6 with attention written out and, where PyTorch has it, with its fused one
(torch-fused); ResNet-18 in both memory layouts (torch-nhwc). SPDX-License-Identifier: MIT
"""

import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH, LENGTH, WIDTH, HEADS, INNER = 32, 128, 384, 12, 1536


class Layer(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.fused = fused
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, 1e-12), nn.LayerNorm(WIDTH, 1e-12)

    def forward(self, x, mask):
        n, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            y = torch.softmax(q @ k.transpose(2, 3) * (WIDTH // HEADS) ** -0.5 + mask, -1) @ v
        x = self.norm1(x + self.out(y.transpose(1, 2).reshape(n, t, WIDTH)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class MiniLM(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.word, self.position = nn.Embedding(30522, WIDTH), nn.Embedding(512, WIDTH)
        self.norm, self.layers = nn.LayerNorm(WIDTH, 1e-12), nn.ModuleList(Layer(fused) for _ in range(6))
        self.pooler, self.classifier = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)

    def forward(self, tokens):
        x = self.norm(self.word(tokens) + self.position(torch.arange(tokens.shape[1])))
        mask = torch.zeros(tokens.shape[0], 1, 1, tokens.shape[1])
        for layer in self.layers:
            x = layer(x, mask)
        return self.classifier(torch.tanh(self.pooler(x[:, 0])))


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.short = None
        if stride != 1:
            self.short = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), True)))
        return F.relu(y + (self.short(x) if self.short else x), True)


def resnet18():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
    before = 64
    for after in (64, 128, 256, 512):
        layers += [Block(before, after, 2 if after != before else 1), Block(after, after, 1)]
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def measure(name, model, optimiser, x, labels, steps):
    gradient, whole = [], []
    for _ in range(steps + 1):
        begin = time.perf_counter()
        optimiser.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        gradient.append(time.perf_counter() - begin)
        optimiser.step()
        whole.append(time.perf_counter() - begin)
    print(f"{name}-gradient,{BATCH / statistics.median(gradient[1:]):.2f}")
    print(f"{name}-step,{BATCH / statistics.median(whole[1:]):.2f}")


def main():
    spec, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if spec == "minilm-l6":
        x, labels = torch.randint(0, 30522, (BATCH, LENGTH)), torch.randint(0, 4, (BATCH,))
        for fused in (False, True)[: 1 + hasattr(F, "scaled_dot_product_attention")]:
            model = MiniLM(fused)
            optimiser = torch.optim.Adam(model.parameters(), 1e-5)
            measure("torch-fused" if fused else "torch", model, optimiser, x, labels, steps)
        return
    labels = torch.randint(0, 1000, (BATCH,))
    for name, layout in (("torch", torch.contiguous_format), ("torch-nhwc", torch.channels_last)):
        model, x = resnet18().to(memory_format=layout), torch.randn(BATCH, 3, 224, 224).to(memory_format=layout)
        optimiser = torch.optim.SGD(model.parameters(), 1e-5, momentum=0.9, nesterov=True)
        measure(name, model, optimiser, x, labels, steps)


main()
