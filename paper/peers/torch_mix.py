#!/usr/bin/env python3
# A step of Nesterov quasi-global momentum on a ring of 16, as one would write it in PyTorch: all clients in one matrix;
# a loop over clients, formula by formula; and that loop tuned, with in-place operations and as few passes as PyTorch
# can do it in. Prints a CSV row for each.  SPDX-License-Identifier: MIT
# usage: torch_mix.py THREADS REPEATS PARAMETERS...
import sys
import time

import torch

N, LR, BETA, MU, DECAY = 16, 0.1, 0.9, 0.9, 1e-4


class Matrix:
    def __init__(self, size):
        self.x, self.m, self.g = torch.randn(N, size), torch.zeros(N, size), torch.randn(N, size) * 0.01
        self.w = torch.zeros(N, N)
        for i in range(N):
            for j in (i - 1, i, i + 1):
                self.w[i, j % N] = 1 / 3

    def step(self):
        g = self.g + DECAY * self.x
        u = BETA * self.m + g
        new = self.w @ (self.x - LR * (g + BETA * u))
        self.m = MU * self.m + (1 - MU) * (self.x - new) / LR
        self.x = new


class Loop:
    def __init__(self, size):
        self.x, self.m, self.g = ([torch.randn(size) * s for _ in range(N)] for s in (1, 0, 0.01))

    def step(self):
        sent = []
        for x, m, g in zip(self.x, self.m, self.g):
            g = g + DECAY * x
            u = BETA * m + g
            sent.append(x - LR * (g + BETA * u))
        for i in range(N):
            new = sum(sent[j % N] / 3 for j in (i - 1, i, i + 1))
            self.m[i].mul_(MU).add_((self.x[i] - new) / LR, alpha=1 - MU)
            self.x[i].copy_(new)


class Tuned(Loop):
    def step(self):
        sent = []
        for x, m, g in zip(self.x, self.m, self.g):
            g = g.add(x, alpha=DECAY)
            u = m.mul(BETA).add_(g)
            sent.append(x.sub(g.add_(u, alpha=BETA), alpha=LR))
        for i in range(N):
            new = sent[i - 1].add(sent[i]).add_(sent[(i + 1) % N]).mul_(1 / 3)
            self.m[i].mul_(MU).add_(self.x[i].sub_(new), alpha=(1 - MU) / LR)
            self.x[i] = new


def seconds(step, repeats):
    step()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return sorted(times)[repeats // 2]


threads, repeats = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
print("peer,parameters,threads,step_s")
with torch.no_grad():
    for size in map(int, sys.argv[3:]):
        for kind in (Matrix, Loop, Tuned):
            print(f"torch {torch.__version__} {kind.__name__.lower()},{size},{threads},"
                  f"{seconds(kind(size).step, repeats):.6g}", flush=True)
