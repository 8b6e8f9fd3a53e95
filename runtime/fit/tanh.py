"""Fits the rational tanh of runtime/src/kernel/math.rs. Needs numpy only: python3 runtime/fit/tanh.py

    tanh(x) ~ x P(x^2) / Q(x^2),   deg P = 6, deg Q = 3,   Q(0) = 1,   |x| <= CLAMP

P and Q are found for the *relative* error by a weighted linear least-squares problem that is solved again and
again: dividing by the last Q makes the problem linear (Sanathanan and Koerner), and multiplying the weights by the
error flattens it towards the minimax solution (Lawson). The coefficients are then rounded to f32 and the whole
expression is evaluated in f32, in the order the kernel uses, to print the error that counts.
"""

import numpy as np

CLAMP = 8.0
NUM, DEN = 7, 4  # coefficients of P and of Q


def fit(clamp):
    n = 4000
    x = 0.5 * clamp * (1 - np.cos(np.pi * (np.arange(n) + 0.5) / n))
    y = (x / clamp) ** 2  # scaled to [0, 1] for conditioning
    target = np.tanh(x) / x
    lawson, q = np.ones(n), np.ones(n)
    best = (np.inf, None, None)
    for _ in range(400):
        w = np.sqrt(lawson) / (target * q)
        a = np.empty((n, NUM + DEN - 1))
        for i in range(NUM):
            a[:, i] = w * y**i
        for i in range(1, DEN):
            a[:, NUM + i - 1] = -w * target * y**i
        c = np.linalg.lstsq(a, w * target, rcond=None)[0]
        p_, q_ = c[:NUM], np.concatenate([[1.0], c[NUM:]])
        q = np.polyval(q_[::-1], y)
        err = np.abs(np.polyval(p_[::-1], y) / q / target - 1)
        if q.min() > 0 and err.max() < best[0]:
            best = (err.max(), p_, q_)
        lawson = lawson * (err / err.max() + 1e-3)
        lawson /= lawson.mean()
    scale = clamp ** -(2.0 * np.arange(NUM))
    return best[0], best[1] * scale, best[2] * scale[:DEN]


def f32_error(p, q, clamp):
    """Largest absolute error of the f32 evaluation on a dense grid, and where."""
    f = np.float32
    x = np.linspace(0, clamp + 2, 4_000_001).astype(f)
    v = np.minimum(x, f(clamp))
    y = v * v
    num = f(p[-1])
    for c in p[-2::-1]:
        num = num * y + f(c)
    den = f(q[-1])
    for c in q[-2::-1]:
        den = den * y + f(c)
    t = np.minimum(v * num / den, f(1))
    e = np.abs(t.astype(np.float64) - np.tanh(x.astype(np.float64)))
    return e.max(), x[e.argmax()]


def main():
    for clamp in (7.6, 7.8, CLAMP, 8.2, 8.4, 8.6, 9.0):
        rel, p, q = fit(clamp)
        err, at = f32_error(p, q, clamp)
        print(f"clamp {clamp}: fit {rel:.2e} relative, f32 {err:.3e} absolute at x = {at:.4f}")
        if clamp == CLAMP:
            lines = [f"NUM = {[float(np.float32(c)) for c in p]}", f"DEN = {[float(np.float32(c)) for c in q]}"]
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
