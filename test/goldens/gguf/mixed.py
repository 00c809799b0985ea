"""Makes the mixed file of a model, as llama.cpp does: its float32 source from any GGUF file, and a Q4_K_M of that.

Run: python test/goldens/gguf/mixed.py MODEL.gguf LIBRARIES SOURCE.F32.gguf OUT.Q4_K_M.gguf

LIBRARIES is a folder with llama.cpp's shared libraries, such as bins/linux-x64 of the npm package @node-llama-cpp/linux-x64; the
Python package `gguf` reads and writes (pip install gguf). Rows that are no multiple of 256 get the types that llama.cpp falls back to.
"""
import ctypes
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize

Q4_K_M = 15  # llama_ftype


def widen(source, out):
    """The same file with every tensor as F32."""
    reader = GGUFReader(source)
    writer = GGUFWriter(out, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type", "general.quantization_version"):
            continue
        kind = field.types[0]
        writer.add_key_value(name, field.contents(), kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)
    writer.add_file_type(0)
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, values.reshape([int(n) for n in reversed(tensor.shape)]), raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Params(ctypes.Structure):
    """llama_model_quantize_params: threads and ftype come first; the rest stays as llama.cpp's defaults have it."""
    _fields_ = [("threads", ctypes.c_int32), ("ftype", ctypes.c_int32), ("rest", ctypes.c_int32 * 62)]


def quantize(libraries, source, out):
    paths = sorted(pathlib.Path(libraries).glob("lib*.so"))
    order = ["libggml-base", "libggml.", "libllama."]
    loaded = [ctypes.CDLL(str(next(path for path in paths if path.name.startswith(name))), ctypes.RTLD_GLOBAL) for name in order]
    ggml, llama = loaded[1], loaded[2]
    ggml.ggml_backend_load_all_from_path(str(libraries).encode())
    llama.llama_model_quantize_default_params.restype = Params
    params = llama.llama_model_quantize_default_params()
    params.ftype = Q4_K_M
    result = llama.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(params))
    if result:
        raise SystemExit(f"llama_model_quantize must return 0, got {result}")


model, libraries, source, out = sys.argv[1:]
widen(model, source)
quantize(libraries, source, out)
