#!/usr/bin/env python3
# Writes the trajectories in this folder: every algorithm once more, in double, as matrix formulas over all clients,
# straight from the papers and without a line of the C code. Standard library only. SPDX-License-Identifier: MIT
# usage: trajectories.py            (writes *.csv beside itself)
import math, os, random


class Rows:
    """One row a client; + - and * act element by element."""

    def __init__(self, rows):
        self.r = rows

    def _with(self, other, f):
        if isinstance(other, Rows):
            return Rows([[f(a, b) for a, b in zip(u, v)] for u, v in zip(self.r, other.r)])
        return Rows([[f(a, other) for a in u] for u in self.r])

    def __add__(self, o): return self._with(o, lambda a, b: a + b)
    def __sub__(self, o): return self._with(o, lambda a, b: a - b)
    def __mul__(self, o): return self._with(o, lambda a, b: a * b)
    def __truediv__(self, o): return self._with(o, lambda a, b: a / b)
    __rmul__ = __mul__
    def sqrt(self): return Rows([[math.sqrt(a) for a in u] for u in self.r])
    def each(self, scale): return Rows([[a * s for a in u] for u, s in zip(self.r, scale)])
    def norms(self): return [math.sqrt(sum(a * a for a in u)) for u in self.r]


def mix(w, z):
    n, d = len(z.r), len(z.r[0])
    return Rows([[sum(w[i][j] * z.r[j][k] for j in range(n)) for k in range(d)] for i in range(n)])


def mean(z):
    n = len(z.r)
    m = [sum(col) / n for col in zip(*z.r)]
    return Rows([m[:] for _ in range(n)])


# ---- Algorithms: generators that yield x after each step; g() is the gradient at the current x, decay included ----

def momentum(b, g, beta, nesterov):
    b = beta * b + g
    return b, (g + beta * b if nesterov else b)


def sgd_central(p, nesterov=None):
    x, b = p.x0, 0 * p.x0
    for t in range(p.T):
        g = mean(p.raw(x)) + p.wd * x
        b, d = momentum(b, g, 0 if nesterov is None else p.beta, bool(nesterov))
        x = x - p.lr[t] * d
        yield x


def dsgd(p, beta=0.0, nesterov=False, local=1):
    x, b = p.x0, 0 * p.x0
    for t in range(p.T):
        b, d = momentum(b, p.g(x), beta, nesterov)
        x = x - p.lr[t] * d
        if (t + 1) % local == 0:
            x = mix(p.W(t), x)
        yield x


def slowmo(p, tau, beta, alpha, nesterov=False):
    x, b, s, u = p.x0, 0 * p.x0, p.x0, 0 * p.x0
    for t in range(p.T):
        b, d = momentum(b, p.g(x), p.beta, nesterov)
        x = mix(p.W(t), x - p.lr[t] * d)
        if t % tau == 0:
            u = beta * u + (s - mean(x)) / p.lr[t]
            s = s - alpha * p.lr[t] * u
            x = s
        yield x


def qg(p, nesterov=False, mu=0.9, tau=1, local=1, dialect="paper"):
    x, m, v = p.x0, 0 * p.x0, 0 * p.x0
    for t in range(p.T):
        _, d = momentum(m, p.g(x), p.beta, nesterov)
        if dialect == "relaysgd":
            d = d / (1 + p.beta)
        new = x - p.lr[t] * d
        if (t + 1) % local == 0:
            new = mix(p.W(t), new)
        v = v + (x - new) / p.lr[t]
        x = new
        if t % tau == 0:
            m, v = mu * m + (1 - mu) * v / tau, 0 * v
        yield x


def d2(p, plus=False):
    x, last, g_last, lr_last = p.x0, None, None, None
    for t in range(p.T):
        g, lr = p.g(x), p.lr[t]
        if t == 0:
            y = x - lr * g
        elif plus:
            y = x - lr * ((last - x) / lr_last + g - g_last)
        else:
            y = 2 * x - last - lr * (g - g_last)
        last, g_last, lr_last, x = x, g, lr, mix(p.W(t), y)
        yield x


def gt(p, beta=0.0, nesterov=False):
    x, y, g_last, b = p.x0, 0 * p.x0, 0 * p.x0, 0 * p.x0
    for t in range(p.T):
        g = p.g(x)
        y, g_last = y + g - g_last, g
        b, d = momentum(b, y, beta, nesterov)
        x, y = mix(p.W(t), x) - p.lr[t] * d, mix(p.W(t), y)
        yield x


def adam(p, central, b1=0.9, b2=0.999, eps=1e-8):
    x, m, v = p.x0, 0 * p.x0, 0 * p.x0
    for t in range(p.T):
        g = (mean(p.raw(x)) if central else p.raw(x)) + p.wd * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * (g * g)
        x = x - p.lr[t] * (m / (1 - b1 ** (t + 1))) / ((v / (1 - b2 ** (t + 1))).sqrt() + eps)
        if not central:
            x = mix(p.W(t), x)
        yield x


def qg_dadam(p, version, b1=0.9, b2=0.999, eps=1e-8, norm_eps=1e-8):
    x, m, v = p.x0, 0 * p.x0, 0 * p.x0
    unit = lambda z: z.each([1 / (s + norm_eps) for s in z.norms()])
    for t in range(p.T):
        g = (unit(p.raw(x)) if version == "v1" else p.raw(x)) + p.wd * x
        mt = b1 * m + (1 if version == "original" else 1 - b1) * g
        vt = b2 * v + (1 - b2) * (g * g)
        new = x - p.lr[t] * (mt / (1 - b1 ** (t + 1))) / ((vt / (1 - b2 ** (t + 1))).sqrt() + eps)
        new = mix(p.W(t), new)
        q = unit(x - new)
        m = mt if version == "v2" else b1 * m + (1 - b1) * q
        v, x = b2 * v + (1 - b2) * (q * q), new
        yield x


# ---- Problems ----

def ring(n):
    return [[1 / 3 if (i - j) % n in (0, 1, n - 1) else 0.0 for j in range(n)] for i in range(n)]


def metropolis(n, edges):
    degree = [sum(i in e for e in edges) for i in range(n)]
    w = [[0.0] * n for _ in range(n)]
    for i, j in edges:
        w[i][j] = w[j][i] = 1 / (1 + max(degree[i], degree[j]))
    for i in range(n):
        w[i][i] = 1 - sum(w[i])
    return w


def lazy(w):
    return [[0.5 * a + (0.5 if i == j else 0) for j, a in enumerate(row)] for i, row in enumerate(w)]


def one_peer(n, t):
    hop = 2 ** (t % math.ceil(math.log2(n)))
    w = [[0.5 if i == j else 0.0 for j in range(n)] for i in range(n)]
    for i in range(n):
        w[(i + hop) % n][i] += 0.5
    return w


GRAPHS = {
    "ring": lambda n, t: ring(n),
    "lazy-ring": lambda n, t: lazy(ring(n)),
    "house": lambda n, t: metropolis(n, [(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)]),
    "one-peer": one_peer,
    "alternating": lambda n, t: metropolis(n, [(0, 1), (2, 3)] if t % 2 else [(1, 2), (3, 4)]),
}


class Problem:
    """Client i, coordinate k: gradient h (x - c) + 0.3 sin(2 x + p), plus weight decay."""

    def __init__(self, seed, graph, n, d, T, beta, wd=0.01, peak=0.1):
        r = random.Random(seed)
        self.n, self.d, self.T, self.beta, self.wd, self.graph = n, d, T, beta, wd, graph
        draw = lambda f: Rows([[f() for _ in range(d)] for _ in range(n)])
        self.h, self.c = draw(lambda: r.uniform(0.2, 1.5)), draw(lambda: r.uniform(-4, 4))
        self.p, self.x0 = draw(lambda: r.uniform(0, 6)), draw(lambda: r.uniform(-1, 1))
        self.lr = [peak * min(1, (t + 2) / 5) * (0.1 if 3 * t >= 2 * T else 1) for t in range(T)]
        self.varying = graph in ("one-peer", "alternating")

    def W(self, t): return GRAPHS[self.graph](self.n, t)
    def g(self, x): return self.raw(x) + self.wd * x

    def raw(self, x):
        sine = Rows([[math.sin(2 * a + b) for a, b in zip(u, v)] for u, v in zip(x.r, self.p.r)])
        return self.h * (x - self.c) + 0.3 * sine


def write(name, algo, problem, trajectory):
    p, q = problem, repr
    out = [f"# n={p.n}", f"# d={p.d}", f"# T={p.T}", f"# wd={q(p.wd)}", f"# momentum={q(p.beta)}", f"# algo={algo}",
           f"# graph={p.graph}", "# written by trajectories.py"]
    for t in range(p.T if p.varying else 1):
        for i, row in enumerate(p.W(t)):
            out += [f"W,{f'{t},' if p.varying else ''}{i},{j},{q(w)}" for j, w in enumerate(row) if w]
    for i in range(p.n):
        for k in range(p.d):
            out.append("P,%d,%d,%r,%r,%r,%r" % (i, k, p.h.r[i][k], p.c.r[i][k], p.p.r[i][k], p.x0.r[i][k]))
    out += [f"LR,{t},{q(lr)}" for t, lr in enumerate(p.lr)]
    for t, x in enumerate(trajectory, 1):
        if t in (1, 2, 7, p.T):
            out += [f"X,{t},{i},{k},{q(x.r[i][k])}" for i in range(p.n) for k in range(p.d)]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".csv"), "w") as f:
        f.write("\n".join(out) + "\n")


# name of the file, algorithm as the programs spell it, graph, momentum, formula
CASES = [
    ("sgd-central", "sgd-central", "ring", 0.9, sgd_central),
    ("sgd-central-m", "sgd-central-m", "ring", 0.9, lambda p: sgd_central(p, False)),
    ("sgd-central-m-n", "sgd-central-m-n", "ring", 0.9, lambda p: sgd_central(p, True)),
    ("adam-central", "adam-central", "ring", 0.9, lambda p: adam(p, True)),
    ("dsgd", "dsgd", "one-peer", 0.9, dsgd),
    ("dsgd-local", "dsgd:local=3", "house", 0.9, lambda p: dsgd(p, local=3)),
    ("dsgdm", "dsgdm", "house", 0.8, lambda p: dsgd(p, p.beta)),
    ("dsgdm-n", "dsgdm-n", "alternating", 0.9, lambda p: dsgd(p, p.beta, True)),
    ("slowmo", "slowmo:tau=4,beta=0.5,alpha=0.8", "house", 0.9, lambda p: slowmo(p, 4, 0.5, 0.8)),
    ("slowmo-n", "slowmo-n:tau=3", "ring", 0.9, lambda p: slowmo(p, 3, 0.7, 1.0, True)),
    ("qg-dsgdm", "qg-dsgdm:mu=0.7", "house", 0.9, lambda p: qg(p, mu=0.7)),
    ("qg-dsgdm-n", "qg-dsgdm-n", "one-peer", 0.8, lambda p: qg(p, True)),
    ("qg-dsgdm-n-tau", "qg-dsgdm-n:mu=0.8,tau=4", "ring", 0.9, lambda p: qg(p, True, 0.8, 4)),
    ("qg-dsgdm-local", "qg-dsgdm:local=2", "ring", 0.9, lambda p: qg(p, local=2)),
    ("d2", "d2", "lazy-ring", 0.0, d2),
    ("d2-plus", "d2-plus", "lazy-ring", 0.0, lambda p: d2(p, True)),
    ("gt", "gt", "house", 0.0, gt),
    ("gtm", "gtm", "ring", 0.8, lambda p: gt(p, p.beta)),
    ("gtm-n", "gtm-n", "one-peer", 0.8, lambda p: gt(p, p.beta, True)),
    ("dadam", "dadam:beta2=0.99", "house", 0.0, lambda p: adam(p, False, b2=0.99)),
    ("qg-dadam-original", "qg-dadam:version=original", "house", 0.0, lambda p: qg_dadam(p, "original")),
    ("qg-dadam-v1", "qg-dadam:version=v1", "house", 0.0, lambda p: qg_dadam(p, "v1")),
    ("qg-dadam-v2", "qg-dadam", "one-peer", 0.0, lambda p: qg_dadam(p, "v2")),
]

if __name__ == "__main__":
    for seed, (name, algo, graph, beta, formula) in enumerate(CASES):
        problem = Problem(seed, graph, n=5, d=3, T=12, beta=beta)
        write(name, algo, problem, formula(problem))
