"""Attention over a cache quantised as KIVI does (arXiv:2402.02750, section 3), in double precision and by the paper's formulas alone:
q = round((x - min) / s), s = (max - min) / (2^b - 1), read back as q s + min; keys per channel of a group of tokens, values per token.
Groups of 64 tokens; the tokens of a group that is not full stay as they are. Python 3, no packages: python3 make.py > kivi.json"""
import json
import math

HEADS, KV_HEADS, DIM, PROMPT, STEPS, GROUP = 4, 2, 16, 150, 3, 64


def number(i, seed):
    """The i-th input, in [-2, 2), a multiple of 2^-22."""
    x = ((i + 1) * 2654435761 + seed * 40503) & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 2246822519 & 0xFFFFFFFF
    x ^= x >> 13
    return (x >> 8) / 2**22 - 2


def rows(heads, seed):
    return [[[number((t * heads + h) * DIM + c, seed) for c in range(DIM)] for h in range(heads)] for t in range(PROMPT + STEPS)]


def quantised(x, bits):
    low, high, most = min(x), max(x), 2**bits - 1
    s = (high - low) / most
    codes = [(v - low) / s for v in x]
    # No code may hang on the last bit of a quotient.
    assert all(abs(q - math.floor(q) - 0.5) > 1e-6 for q in codes)
    return [round(q) * s + low for q in codes]


def attention(query, keys, values):
    scores = [sum(a * b for a, b in zip(query, key)) / math.sqrt(DIM) for key in keys]
    top = max(scores)
    weights = [math.exp(s - top) for s in scores]
    return [sum(w * v[c] for w, v in zip(weights, values)) / sum(weights) for c in range(DIM)]


def case(bits):
    keys, values, queries = rows(KV_HEADS, 1), rows(KV_HEADS, 2), rows(HEADS, 3)
    for h in range(KV_HEADS):
        for first in range(0, PROMPT - GROUP + 1, GROUP):
            for c in range(DIM):
                for t, x in enumerate(quantised([keys[first + t][h][c] for t in range(GROUP)], bits)):
                    keys[first + t][h][c] = x
            for t in range(first, first + GROUP):
                values[t][h] = quantised(values[t][h], bits)
    outs = []
    for t in range(PROMPT, PROMPT + STEPS):
        outs.append([x for head in range(HEADS) for x in attention(
            queries[t][head], [k[head * KV_HEADS // HEADS] for k in keys[:t + 1]], [v[head * KV_HEADS // HEADS] for v in values[:t + 1]])])
    return {"bits": bits, "outs": [[float("%.9g" % x) for x in out] for out in outs]}


print(json.dumps({"source": "make.py beside this file", "heads": HEADS, "kvHeads": KV_HEADS, "headDim": DIM, "prompt": PROMPT, "steps": STEPS, "cases": [case(b) for b in (2, 4, 8)]}))
