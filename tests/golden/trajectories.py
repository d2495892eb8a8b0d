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


def dpsgd(p):
    x = p.x0
    for t in range(p.T):
        x = mix(p.W(t), x) - p.lr[t] * p.g(x)
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


def qg_gut(p):
    x = last = p.x0
    for t in range(p.T):
        x, last = mix(p.W(t), x) - p.lr[t] * p.g(x) + p.beta * (x - last), x
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


def dsgdm_sync(p, nesterov=False):
    x, m = p.x0, 0 * p.x0
    for t in range(p.T):
        m, d = momentum(m, p.g(x), p.beta, nesterov)
        x, m = mix(p.W(t), x - p.lr[t] * d), mix(p.W(t), m)
        yield x


def dmsgd_first(p):
    x, m = p.x0, 0 * p.x0
    for t in range(p.T):
        m = p.beta * mix(p.W(t), m) + p.g(x)
        x = mix(p.W(t), x) - p.lr[t] * m
        yield x


def qhm(p, nu, discount):
    x, m = p.x0, 0 * p.x0
    for t in range(p.T):
        g = p.g(x)
        m = discount * m + (1 - discount) * g
        x = mix(p.W(t), x - p.lr[t] * ((1 - nu) * g + nu * m))
        yield x


def qg_ars(p, nesterov, rate, growth, period, mu=0.9):
    x, m = p.x0, 0 * p.x0
    for t in range(p.T):
        _, d = momentum(m, p.g(x), p.beta, nesterov)
        h = x - p.lr[t] * d
        new = h + min(1, rate * growth ** (t // period)) * (mix(p.W(t), h) - h)
        m, x = mu * m + (1 - mu) * (x - new) / p.lr[t], new
        yield x


def decentlam(p):
    x, m = p.x0, 0 * p.x0
    for t in range(p.T):
        m = p.beta * m + (x - mix(p.W(t), x - p.lr[t] * p.g(x))) / p.lr[t]
        x = x - p.lr[t] * m
        yield x


def momentum_tracking(p):
    x = p.x0
    u = c = (p.g(x) - mean(p.g(x))) / (1 - p.beta)
    for t in range(p.T):
        u = p.beta * u + p.g(x)
        x = mix(p.W(t), x) - p.lr[t] * (u - c)
        c = mix(p.W(t), c - u) + u
        yield x


def edm(p):
    """x(t+2) = W (2 x(t+1) - x(t) - lr (m(t+1) - m(t))), displacements rescaled as in D2+."""
    x, m, last, lr_last = p.x0, 0 * p.x0, None, None
    for t in range(p.T):
        new_m, lr = p.beta * m + p.g(x), p.lr[t]
        y = x - lr * new_m if t == 0 else x - lr * ((last - x) / lr_last + new_m - m)
        last, lr_last, m, x = x, lr, new_m, mix(p.W(t), y)
        yield x


def gut(p, mu, beta=0.0, nesterov=False):
    z = z_last = x_last = x = p.x0  # x: the mixed model, where gradients are taken
    delta_last, v = 0 * z, 0 * z
    b = 1 + beta + (beta ** 2 if nesterov else 0)
    for t in range(p.T):
        lr = p.lr[t]
        delta = p.g(x) - (x - z) / lr
        y = delta - mu * delta_last - (mu / lr) * ((x - x_last) + b * (x_last - z_last))
        v, d = momentum(v, y, beta, nesterov)
        delta_last, z_last, x_last = delta, z, x
        z = z - lr * d
        x = mix(p.W(t), z)
        yield x


def gt_nsgdm(p):
    x, v, y = p.x0, 0 * p.x0, 0 * p.x0
    for t in range(p.T):
        new = p.beta * v + (1 - p.beta) * p.g(x)
        y, v = mix(p.W(t), y + new - v), new
        x = mix(p.W(t), x - p.lr[t] * y.each([1 / s for s in y.norms()]))
        yield x


def sgp(p, beta=0.0, nesterov=False, mu=None):
    """Push-sum; with mu a quasi-global buffer, which follows the displacement of z."""
    n = p.n
    x, w, z, m = p.x0, [1.0] * n, p.x0, 0 * p.x0
    for t in range(p.T):
        kept, d = momentum(m, p.g(z), beta, nesterov)
        x = mix(p.W(t), x - p.lr[t] * d)
        new_w = [sum(p.W(t)[i][j] * w[j] for j in range(n)) for i in range(n)]
        new = x.each([1 / a for a in new_w])
        m = kept if mu is None else mu * m + (1 - mu) * ((z - new) / p.lr[t]).each(w)
        z, w = new, new_w
        yield z


def top(z, ratio):
    """The largest magnitudes of each row; ties to the lower index."""
    k = max(1, int(len(z.r[0]) * ratio + 0.5))
    keep = [sorted(range(len(u)), key=lambda i: (-abs(u[i]), i))[:k] for u in z.r]
    return Rows([[a if i in kept else 0.0 for i, a in enumerate(u)] for u, kept in zip(z.r, keep)])


def sign(z):
    return Rows([[((a > 0) - (a < 0)) * sum(map(abs, u)) / len(u) for a in u] for u in z.r])


def choco(p, compress, gamma, quasi_global=False, nesterov=False, mu=0.9, local=1):
    x, copy, m = p.x0, 0 * p.x0, 0 * p.x0
    for t in range(p.T):
        d = momentum(m, p.g(x), p.beta, nesterov)[1] if quasi_global else p.g(x)
        new = h = x - p.lr[t] * d
        if (t + 1) % local == 0:
            copy = copy + compress(h - copy)
            new = h + gamma * (mix(p.W(t), copy) - copy)
        m, x = mu * m + (1 - mu) * (x - new) / p.lr[t], new
        yield x


def motef(p, compress, gamma, lam, local=1):
    """X' = X + gamma (W - I) H - lr V;  H' = H + C(X' - H);  V' = V + gamma (W - I) K + M' - M;  K' = K + C(V' - K).
    With local steps H and K change every local-th step, and their terms count in the step after that."""
    x, h, k, zero = p.x0, 0 * p.x0, 0 * p.x0, 0 * p.x0
    gossip = lambda t, z: gamma * (mix(p.W(t), z) - z) if t % local == 0 else zero
    m = v = p.g(x)
    for t in range(p.T):
        x = x + gossip(t, h) - p.lr[t] * v
        if (t + 1) % local == 0:
            h, k = h + compress(x - h), k + compress(v - k)
        yield x
        new = (1 - lam) * m + lam * p.g(x)
        v, m = v + gossip(t + 1, k) + new - m, new


def relaysgd(p, beta=0.0, nesterov=False, local=1):
    """Messages (model sums, counts) on directed edges of a tree, as in the paper's pseudo-code."""
    n, x, m = p.n, p.x0, 0 * p.x0
    near = [[j for j in range(n) if j != i and p.W(0)[i][j]] for i in range(n)]
    sums, counts = {}, {}
    for t in range(p.T):
        m, d = momentum(m, p.g(x), beta, nesterov)
        x = x - p.lr[t] * d
        if (t + 1) % local:
            yield x
            continue
        new, number = {}, {}
        for i in range(n):
            for j in near[i]:
                others = [k for k in near[i] if k != j and (k, i) in sums]
                new[i, j] = [sum([a] + [sums[k, i][c] for k in others]) for c, a in enumerate(x.r[i])]
                number[i, j] = 1 + sum(counts[k, i] for k in others)
        sums, counts = new, number
        x = Rows([[(sum(sums[k, i][c] for k in near[i]) + (n - sum(counts[k, i] for k in near[i])) * a) / n
                   for c, a in enumerate(x.r[i])] for i in range(n)])
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


def one_way(n, t):
    """Client i sends to i + 1 and, if even, to i + 2: columns sum to 1, rows do not."""
    w = [[0.0] * n for _ in range(n)]
    for i in range(n):
        to = [i, (i + 1) % n] + ([(i + 2) % n] if i % 2 == 0 else [])
        for j in to:
            w[j][i] = 1 / len(to)
    return w


def star(n):
    return metropolis(n, [(0, i) for i in range(1, n)])


def two_sided(n, t):
    hop = 2 ** (t % (int(math.log2(n - 1)) + 1))
    return metropolis(n, sorted({tuple(sorted((i, (i + hop) % n))) for i in range(n)}))


GRAPHS = {
    "alone": lambda n, t: [[1.0]],
    "star": lambda n, t: star(n),
    "two-sided": two_sided,
    "one-way": one_way,
    "ring": lambda n, t: ring(n),
    "lazy-ring": lambda n, t: lazy(ring(n)),
    "tree": lambda n, t: metropolis(n, [(0, 1), (1, 2), (1, 3), (3, 4)]),
    "house": lambda n, t: metropolis(n, [(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)]),
    "one-peer": one_peer,
    "alternating": lambda n, t: metropolis(n, [(0, 1), (2, 3)] if t % 2 else [(1, 2), (3, 4)]),
}


class Problem:
    """Client i, coordinate k: gradient h (x - c) + 0.3 sin(2 x + p), plus weight decay."""

    def __init__(self, seed, graph, n, d, T, beta, wd=0.01, peak=0.1, apart=1, schedule=None):
        r = random.Random(seed)
        self.n, self.d, self.T, self.beta, self.wd, self.graph = n, d, T, beta, wd, graph
        draw = lambda f: Rows([[f() for _ in range(d)] for _ in range(n)])
        self.h, self.c = draw(lambda: r.uniform(0.2, 1.5)), draw(lambda: r.uniform(-4, 4))
        self.p, self.x0 = draw(lambda: r.uniform(0, 6)), draw(lambda: r.uniform(-apart, apart))
        steps = lambda t: min(1, (t + 2) / 5) * (0.1 if 3 * t >= 2 * T else 1)
        self.lr = [peak * (schedule or steps)(t) for t in range(T)]
        self.varying = graph in ("one-peer", "alternating", "two-sided")

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
    ("qg-dsgdm-n-relaysgd", "qg-dsgdm-n:dialect=relaysgd", "house", 0.9, lambda p: qg(p, True, dialect="relaysgd")),
    ("qg-dsgdm-gut", "qg-dsgdm-gut", "house", 0.8, qg_gut),
    ("dsgdm-sync", "dsgdm-sync", "house", 0.8, dsgdm_sync),
    ("dsgdm-n-sync", "dsgdm-n-sync", "one-peer", 0.8, lambda p: dsgdm_sync(p, True)),
    ("dmsgd-1", "dmsgd", "house", 0.8, dmsgd_first),
    ("dmsgd-2", "dmsgd:option=2", "house", 0.8, dsgdm_sync),
    ("qhm", "qhm:nu=0.6,discount=0.95", "house", 0.0, lambda p: qhm(p, 0.6, 0.95)),
    ("qg-ars", "qg-ars:rate=0.2,growth=1.5,period=2", "house", 0.9, lambda p: qg_ars(p, False, 0.2, 1.5, 2)),
    ("qg-ars-n", "qg-ars-n:mu=0.8,period=3", "ring", 0.9, lambda p: qg_ars(p, True, 0.09, 1.01, 3, 0.8)),
    ("decentlam", "decentlam", "lazy-ring", 0.7, decentlam),
    ("momentum-tracking", "momentum-tracking", "house", 0.8, momentum_tracking),
    ("edm", "edm", "lazy-ring", 0.7, edm),
    ("gut", "gut:mu=0.5", "house", 0.0, lambda p: gut(p, 0.5)),
    ("qg-gut", "qg-gut", "ring", 0.8, lambda p: gut(p, 0.06, p.beta)),
    ("qg-gut-n", "qg-gut-n:mu=0.1", "house", 0.8, lambda p: gut(p, 0.1, p.beta, True)),
    ("gt-nsgdm", "gt-nsgdm", "one-peer", 0.8, gt_nsgdm),
    ("sgp", "sgp", "one-way", 0.0, sgp),
    ("sgpm-n", "sgpm-n", "one-way", 0.8, lambda p: sgp(p, p.beta, True)),
    ("qg-sgp", "qg-sgp:mu=0.7", "one-way", 0.8, lambda p: sgp(p, p.beta, True, 0.7)),
    ("choco-top", "choco:ratio=0.67", "house", 0.0, lambda p: choco(p, lambda z: top(z, 0.67), 0.3)),
    ("choco-sign", "choco:compressor=sign,gamma=0.2", "ring", 0.0, lambda p: choco(p, sign, 0.2)),
    ("qg-choco", "qg-choco:compressor=none,gamma=0.5", "house", 0.8,
     lambda p: choco(p, lambda z: z, 0.5, True)),
    ("qg-choco-n", "qg-choco-n:ratio=0.3", "house", 0.8, lambda p: choco(p, lambda z: top(z, 0.3), 0.3, True, True)),
    ("motef", "motef:ratio=0.67,lambda=0.3", "house", 0.0, lambda p: motef(p, lambda z: top(z, 0.67), 0.3, 0.3)),
    ("beer", "beer:compressor=none", "house", 0.0, lambda p: motef(p, lambda z: z, 0.3, 1.0)),
    ("relaysgd", "relaysgd", "tree", 0.0, relaysgd),
    ("relaysgdm", "relaysgdm", "tree", 0.8, lambda p: relaysgd(p, p.beta)),
    ("relaysgdm-n", "relaysgdm-n", "tree", 0.8, lambda p: relaysgd(p, p.beta, True)),
    ("qg-dadam-v2", "qg-dadam", "one-peer", 0.0, lambda p: qg_dadam(p, "v2")),
    ("dpsgd", "dpsgd", "house", 0.0, dpsgd),
    ("choco-local", "choco:ratio=0.67,local=3", "house", 0.0, lambda p: choco(p, lambda z: top(z, 0.67), 0.3, local=3)),
    ("qg-choco-n-local", "qg-choco-n:compressor=sign,local=2", "house", 0.8,
     lambda p: choco(p, sign, 0.3, True, True, local=2)),
    ("motef-local", "motef:ratio=0.67,lambda=0.3,local=3", "house", 0.0,
     lambda p: motef(p, lambda z: top(z, 0.67), 0.3, 0.3, 3)),
    ("beer-local", "beer:compressor=none,local=2", "ring", 0.0, lambda p: motef(p, lambda z: z, 0.3, 1.0, 2)),
    ("relaysgd-local", "relaysgd:local=3", "tree", 0.0, lambda p: relaysgd(p, local=3)),
    ("relaysgdm-n-local", "relaysgdm-n:local=2", "tree", 0.8, lambda p: relaysgd(p, p.beta, True, 2)),
]
# The same with other sizes, schedules and starts: vectors of more than one register, one client, many clients, rates
# that fall at every step or rise again, clients that start far apart.
cosine = lambda T: lambda t: 0.55 + 0.45 * math.cos(math.pi * t / T)
cyclic = lambda t: (1, 0.4, 0.1, 0.7)[t % 4]
SHAPES = [
    ("qg-dsgdm-n-wide", "qg-dsgdm-n", "star", 0.9, lambda p: qg(p, True), dict(n=3, d=37, T=5)),
    ("qg-dsgdm-alone", "qg-dsgdm", "alone", 0.9, qg, dict(n=1, d=18, T=30, schedule=cosine(30))),
    ("qg-dsgdm-n-many", "qg-dsgdm-n:mu=0.8", "two-sided", 0.8, lambda p: qg(p, True, 0.8),
     dict(n=11, d=2, T=9, apart=5, schedule=cyclic)),
    ("dsgdm-n-many", "dsgdm-n", "star", 0.9, lambda p: dsgd(p, p.beta, True), dict(n=12, d=2, T=20, apart=5)),
    ("d2-plus-cosine", "d2-plus", "lazy-ring", 0.0, lambda p: d2(p, True), dict(n=8, d=2, T=16, schedule=cosine(16))),
    ("gtm-n-cyclic", "gtm-n", "star", 0.7, lambda p: gt(p, p.beta, True), dict(n=7, d=2, T=14, schedule=cyclic)),
    ("slowmo-many", "slowmo-n:tau=5,alpha=0.7", "two-sided", 0.9, lambda p: slowmo(p, 5, 0.7, 0.7, True),
     dict(n=6, d=3, T=16, apart=3, schedule=cosine(16))),
    ("qg-dadam-wide", "qg-dadam", "star", 0.0, lambda p: qg_dadam(p, "v2"), dict(n=4, d=21, T=6, schedule=cyclic)),
]

if __name__ == "__main__":
    for seed, (name, algo, graph, beta, formula) in enumerate(CASES):
        problem = Problem(seed, graph, n=5, d=3, T=12, beta=beta)
        write(name, algo, problem, formula(problem))
    for seed, (name, algo, graph, beta, formula, shape) in enumerate(SHAPES, 100):
        problem = Problem(seed, graph, beta=beta, **shape)
        write(name, algo, problem, formula(problem))
