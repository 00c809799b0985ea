"""Makes blocks.json with the Python package `gguf` (pip install gguf): f32 values, their quantised bytes, and those dequantised; of types
that the package cannot quantise, or whose blocks are long, hashes of many blocks of any bytes.

Run: python test/goldens/gguf/make.py
"""
import hashlib
import importlib.metadata
import json
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

random = np.random.default_rng(7)


def case(name, values):
    values = np.asarray(values, np.float32).reshape(-1, 32)
    entry = {"name": name, "values": values.tobytes().hex(), "types": {}}
    for type in (Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1):
        packed = quantize(values, type)
        entry["types"][type.name] = {"bytes": packed.tobytes().hex(), "dequantized": dequantize(packed, type).astype(np.float32).tobytes().hex()}
    return entry


def raw(name, type, data):
    """Bytes that no quantiser writes."""
    data = np.frombuffer(bytes(data), np.uint8)
    with np.errstate(all="ignore"):
        return {"name": name, "type": type.name, "bytes": data.tobytes().hex(), "dequantized": dequantize(data, type).astype(np.float32).tobytes().hex()}


def ternary(name, values):
    """Blocks of 256 values, by their hash after dequantising."""
    values = np.asarray(values, np.float32).reshape(-1, 256)
    entry = {"name": name, "values": values.tobytes().hex(), "types": {}}
    for type in (Type.TQ1_0, Type.TQ2_0):
        packed = quantize(values, type)
        entry["types"][type.name] = {"bytes": packed.tobytes().hex(), "sha256": digest(dequantize(packed, type))}
    return entry


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values, np.float32).tobytes()).hexdigest()


def noise(count, seed):
    """Byte i of a sequence that any language makes alike: a hash of i in 32 bits."""
    x = (np.arange(count, dtype=np.uint64) + (seed << 20)) * 0x9E3779B1 & 0xFFFFFFFF
    x = (x ^ x >> 16) * 0x21F0AAAD & 0xFFFFFFFF
    return ((x ^ x >> 15) & 255).astype(np.uint8)


# Where the f16 scales and minima of a block lie; of Q8_K an f32.
places = {
    Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2], Type.Q6_K: [208], Type.Q8_K: [0], Type.IQ4_NL: [0], Type.IQ4_XS: [0], Type.TQ1_0: [52], Type.TQ2_0: [64],
}


def fuzz(type, count=512):
    """Blocks of noise. A scale that is no number loses the upper bit of its exponent; of the first blocks they are extreme."""
    _, size = GGML_QUANT_SIZES[type]
    data = noise(count * size, int(type)).reshape(count, size).copy()
    for at in places[type]:
        if type == Type.Q8_K:
            bits = data[:, at:at + 4].copy().view("<u4")
            data[:, at:at + 4] = np.where(bits & 0x7F800000 == 0x7F800000, bits & ~np.uint32(0x40000000), bits).astype("<u4").view(np.uint8)
            continue
        bits = data[:, at:at + 2].copy().view("<u2")
        bits[:6, 0] = [0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0xFBFF]
        data[:, at:at + 2] = np.where(bits & 0x7C00 == 0x7C00, bits & ~np.uint16(0x4000), bits).astype("<u2").view(np.uint8)
    if type == Type.Q8_K:  # which the package cannot dequantise: d times each code
        values = data[:, :4].copy().view("<f4") * data[:, 4:260].view(np.int8).astype(np.float32)
    else:
        values = dequantize(data, type)
    return {"type": type.name, "blocks": count, "bytes": hashlib.sha256(data.tobytes()).hexdigest(), "dequantized": digest(values),
            "block": 7, "values": np.ascontiguousarray(values.reshape(count, -1)[7], np.float32).tobytes().hex()}


cases = [
    case("zeros", np.zeros(32)),
    case("multiples of 1/8 in [-4, 4]", random.integers(-32, 33, 64) / 8),
    case("normal", random.normal(0, 1, 96)),
    case("a small scale, subnormal as f16", random.normal(0, 1e-6, 32)),
    case("one value, all alike", np.full(32, -0.37)),
    case("far apart", np.concatenate([random.normal(0, 1e-3, 31), [900.0]])),
    case("below zero", -random.random(32) - 1),
]
halves = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x0200, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFE01, 0x3C00, 0x3555, 0xB266], "<u2")
every = [0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255]
scale = lambda bits: list(np.array([bits], "<u2").tobytes())
raws = [
    raw("f16 of every kind", Type.F16, halves.tobytes()),
    raw("bf16 of every kind", Type.BF16, np.array([0, 0x8000, 1, 0x7F80, 0xFF80, 0x7FC1, 0x3F80, 0xC2F7], "<u2").tobytes()),
    raw("scale below zero, code -128", Type.Q8_0, scale(0xB266) + [128, 127, 255, 0] * 8),
    raw("largest scale", Type.Q8_0, scale(0x7BFF) + list(range(112, 144))),
    raw("every nibble", Type.Q4_0, scale(0x3555) + every),
    raw("every nibble, scale below zero", Type.Q4_0, scale(0xB555) + every),
    raw("every nibble, subnormal scale", Type.Q4_0, scale(0x0003) + every),
    raw("every nibble", Type.Q4_1, scale(0x2E66) + scale(0xB123) + every),
    raw("a minimum that swallows the scale", Type.Q4_1, scale(0x0001) + scale(0x7BFF) + every),
    raw("scale that cancels the minimum", Type.Q4_1, scale(0x3555) + scale(0xC4FF) + every),
]
golden = {
    "source": f"Python package gguf {importlib.metadata.version('gguf')} (gguf.quants), numpy {np.__version__}",
    "how": "Hex of little-endian bytes. values, dequantized: f32. cases: values quantised, then dequantised. raws: bytes dequantised. "
           "ternary: as cases, f32 by their SHA-256. fuzz: `blocks` blocks of noise(i, type), SHA-256 of their bytes and of their f32, and the f32 of one block.",
    "cases": cases,
    "ternary": [ternary("zeros", np.zeros(256)), ternary("thirds", random.normal(0, 1, 512)), ternary("trits", random.integers(-1, 2, 256) * 0.25)],
    "raws": raws,
    "fuzz": [fuzz(type) for type in places],
}
pathlib.Path(__file__).with_name("blocks.json").write_text(json.dumps(golden, indent=1) + "\n")
