"""Tiny random models of every architecture: the GGUF file and what transformers computes with the same weights.

  pip install torch transformers gguf numpy
  python make.py [name …]            # writes name.gguf and name.json here
  node llama.mjs                     # adds what llama.cpp decodes, see there

Weights are rounded to float16 before transformers sees them, so both sides read the same numbers. Tensor names, metadata keys and the
rearrangements are those of llama.cpp's converter: query and key rows of families with neighbouring pairs are interleaved, gemma's norms
have their one added, phi3's fused matrices stay fused.
"""
import json, math, sys
from pathlib import Path
import gguf, numpy as np, torch
from transformers import AutoConfig, AutoModelForCausalLM

here = Path(__file__).parent
VOCAB, PROMPT, ANSWER, ORIGINAL, WINDOW = 260, 150, 16, 64, 24
wide = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0, attn_implementation="eager", rms_norm_eps=1e-5)
deep = dict(wide, hidden_size=32, intermediate_size=48)
theta = lambda base, **more: dict(rope_parameters=dict(rope_type="default", rope_theta=base) | more)
yarn = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=ORIGINAL)
llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=ORIGINAL)
longrope = dict(rope_type="longrope", original_max_position_embeddings=ORIGINAL, partial_rotary_factor=0.75,
                short_factor=[1.0, 1.0, 1.1, 1.2, 1.3, 1.5], long_factor=[1.1, 1.4, 2.1, 3.3, 5.2, 7.9])

# name: (architecture in the file, transformers' model type, its configuration)
models = {
    "llama": ("llama", "llama", dict(wide, tie_word_embeddings=True, **theta(10000.0))),
    "llama-linear": ("llama", "llama", dict(wide, **theta(10000.0, rope_type="linear", factor=4.0))),
    "llama-yarn": ("llama", "llama", dict(wide, **theta(10000.0, **yarn))),
    "llama-llama3": ("llama", "llama", dict(wide, **theta(500000.0, **llama3))),
    "qwen2": ("qwen2", "qwen2", dict(wide, **theta(1000000.0))),
    "qwen2-yarn": ("qwen2", "qwen2", dict(wide, **theta(1000000.0, **yarn))),
    "qwen3": ("qwen3", "qwen3", dict(wide, head_dim=32, tie_word_embeddings=True, **theta(1000000.0))),
    "gemma3": ("gemma3", "gemma3_text", dict(deep, num_hidden_layers=6, head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW, rope_parameters=dict(
        full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0), sliding_attention=dict(rope_type="default", rope_theta=10000.0)))),
    "gemma2": ("gemma2", "gemma2", dict(deep, num_hidden_layers=4, head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW,
                                        attn_logit_softcapping=2.0, final_logit_softcapping=4.0, **theta(10000.0))),
    "phi3": ("phi3", "phi3", dict(wide, partial_rotary_factor=0.75, original_max_position_embeddings=ORIGINAL, **theta(10000.0, **longrope))),
    "phi3-window": ("phi3", "phi3", dict(wide, sliding_window=WINDOW, **theta(10000.0))),
    "smollm3": ("smollm3", "smollm3", dict(deep, num_hidden_layers=4, tie_word_embeddings=True, **theta(5000000.0))),
    "granite": ("granite", "granite", dict(wide, embedding_multiplier=12.0, residual_multiplier=0.22,
                                           attention_multiplier=0.0625, logits_scaling=2.0, **theta(10000.0))),
    "olmo2": ("olmo2", "olmo2", dict(wide, **theta(500000.0))),
    "olmo3": ("olmo2", "olmo3", dict(deep, num_hidden_layers=4, sliding_window=WINDOW, rope_parameters=dict(
        full_attention=dict(yarn, rope_theta=500000.0), sliding_attention=dict(rope_type="default", rope_theta=500000.0)))),
}

names = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up",
    "input_layernorm": "attn_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
}
neighbours = {"llama", "smollm3", "granite"}
both_norms = {"gemma2", "gemma3", "olmo2"}


def tensor_name(arch, name):
    if not name.startswith("model.layers."):
        return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}[name]
    _, _, layer, *path, kind = name.split(".")
    part = ".".join(path)
    if part == "post_attention_layernorm": part = "post_attention_norm" if arch in both_norms else "ffn_norm"
    return f"blk.{layer}.{names.get(part, part)}.{kind}"


def interleave(rows, heads):
    """Rows of halves (c, c + n / 2) become rows of neighbours (2c, 2c + 1)."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def fill(model, seed):
    generator = torch.Generator().manual_seed(seed)
    # Small next to what the layers add where the head is the embedding: else a token predicts itself.
    embedding = (0.5 if model.config.tie_word_embeddings else 4) / getattr(model.config, "embedding_multiplier", 1)
    for name, p in model.named_parameters():
        x = torch.randn(p.shape, generator=generator)
        if name.endswith("norm.weight"): x = 0.2 * x + (0 if "gemma" in model.config.model_type else 1)
        elif p.ndim == 1: x = 0.5 * x
        # Queries and keys larger than the rest, so that attention has preferences.
        else: x = (1.6 if "q_proj" in name or "k_proj" in name or "qkv" in name else 1) * x / math.sqrt(p.shape[1]) * (embedding if "embed" in name else 1)
        p.data.copy_(x.to(torch.float16).float() if p.ndim > 1 else x)


def byte_letters():
    printing = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    rest = iter(range(256, 512))
    return [chr(b) if b in printing else chr(next(rest)) for b in range(256)]


def write(path, arch, config, model):
    w = gguf.GGUFWriter(str(path), arch)
    heads, dim = config.num_attention_heads, config.hidden_size
    head_dim = getattr(config, "head_dim", None) or dim // heads
    ropes = config.rope_parameters
    rope = ropes.get("full_attention", ropes)
    rotary = int(head_dim * rope.get("partial_rotary_factor", 1))
    w.add_name("random weights")  # llama.cpp looks for some families by name
    w.add_vocab_size(VOCAB); w.add_context_length(config.max_position_embeddings); w.add_embedding_length(dim)
    w.add_block_count(config.num_hidden_layers); w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(heads); w.add_head_count_kv(config.num_key_value_heads); w.add_layer_norm_rms_eps(config.rms_norm_eps)
    if head_dim != dim // heads or "gemma" in arch: w.add_key_length(head_dim); w.add_value_length(head_dim)
    w.add_rope_dimension_count(rotary); w.add_rope_freq_base(rope["rope_theta"])
    if getattr(config, "sliding_window", None): w.add_sliding_window(config.sliding_window)
    if "sliding_attention" in ropes and arch == "gemma3": w.add_float32("gemma3.rope.freq_base_swa", ropes["sliding_attention"]["rope_theta"])
    if arch == "gemma2": w.add_attn_logit_softcapping(config.attn_logit_softcapping); w.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch == "granite":
        w.add_attention_scale(config.attention_multiplier); w.add_embedding_scale(config.embedding_multiplier)
        w.add_residual_scale(config.residual_multiplier); w.add_logit_scale(config.logits_scaling)
    kind, extra = rope["rope_type"], {}
    if kind in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType(kind)); w.add_rope_scaling_factor(rope["factor"])
    if kind in ("yarn", "longrope"): w.add_rope_scaling_orig_ctx_len(ORIGINAL)
    if kind == "llama3":
        f = 1 / model.model.rotary_emb.inv_freq.numpy() / rope["rope_theta"] ** (np.arange(0, rotary, 2) / rotary)
        extra["rope_freqs.weight"] = f.astype(np.float32)
    if kind == "longrope":
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(config.max_position_embeddings / ORIGINAL) / math.log(ORIGINAL)))
        extra |= {f"rope_factors_{n}.weight": np.array(rope[f"{n}_factor"], np.float32) for n in ("long", "short")}
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + byte_letters() + ["ee"]
    w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("smollm"); w.add_token_list(tokens)
    w.add_token_types([3] * 3 + [1] * (VOCAB - 3)); w.add_token_merges(["e e"]); w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_add_bos_token(False)
    for name, x in extra.items(): w.add_tensor(name, x)
    for name, p in model.named_parameters():
        x = p.detach().numpy()
        if arch in neighbours and ("q_proj" in name or "k_proj" in name):
            x = interleave(x, heads if "q_proj" in name else config.num_key_value_heads)
        if "gemma" in arch and name.endswith("norm.weight"): x = x + 1
        w.add_tensor(tensor_name(arch, name), np.ascontiguousarray(x.astype(np.float16 if x.ndim > 1 else np.float32)))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    assert path.stat().st_size <= 200_000, f"{path.name}: {path.stat().st_size} bytes"


@torch.no_grad()
def make(name, seed):
    arch, kind, options = models[name]
    config = AutoConfig.for_model(kind, **options)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    fill(model, seed)
    write(here / f"{name}.gguf", arch, config, model)
    ids = torch.randint(3, VOCAB, (PROMPT,), generator=torch.Generator().manual_seed(seed)).tolist()
    logits = lambda tokens: model(torch.tensor([tokens]), use_cache=False).logits[0].double().numpy()
    numbers = lambda x: [float(f"{v:.7g}") for v in x]
    all_logits, tokens, gaps = logits(ids), [], []
    rows = {row: numbers(all_logits[row]) for row in (0, WINDOW, PROMPT - 1)}
    for _ in range(ANSWER):
        last = logits(ids + tokens)[-1]
        tokens.append(int(last.argmax()))
        gaps.append(round(float(np.sort(last)[-1] - np.sort(last)[-2]), 5))
    after = numbers(logits(ids + tokens)[-1])
    golden = dict(source=f"transformers {__import__('transformers').__version__}, {type(model).__name__}, float32, eager attention, random weights of seed {seed}: make.py",
                  ids=ids, logits=rows, tokens=tokens, gaps=gaps, after=after)
    # A prompt within the original context, where LongRope has divisors of its own.
    if name == "phi3": golden["short"] = numbers(logits(ids[:ORIGINAL - 4])[-1])
    (here / f"{name}.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(name, (here / f"{name}.gguf").stat().st_size, "bytes; logits", round(float(all_logits.std()), 3), "tokens", tokens, "least gap", min(gaps))


for i, name in enumerate(models):
    if len(sys.argv) == 1 or name in sys.argv[1:]: make(name, 100 + i)
