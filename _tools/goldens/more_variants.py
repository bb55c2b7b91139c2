"""A few tiny checkpoints whose sizes divide nothing and whose configurations combine what variants.py has one by one; outputs of Transformers in float32 (eager attention)
of the saved folders. argv: outdir"""
import json, os, sys
import torch, transformers
from transformers import LlamaConfig, LlamaForCausalLM, SmolLM3Config, SmolLM3ForCausalLM
from tiny_goldens import loader, rounded

IDS = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.25)
FACTORS = dict(short_factor=[1.0 + .05 * i for i in range(6)], long_factor=[1.0 + .5 * i for i in range(6)])


def smollm3(**options):
    return SmolLM3ForCausalLM(SmolLM3Config(**IDS, **{"use_sliding_window": False, "no_rope_layer_interval": 4, **options}))


def llama(**options):
    return LlamaForCausalLM(LlamaConfig(**IDS, **options))


def sizes(vocab, hidden, inter, layers, heads, kv, positions, head_dim=None):
    names = dict(vocab_size=vocab, hidden_size=hidden, intermediate_size=inter, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv, max_position_embeddings=positions)
    return names | ({"head_dim": head_dim} if head_dim else {})


def rope(kind, theta=10000.0, **options):
    return {"rope_type": kind, "rope_theta": theta, **options}


# Name: model, number type, columns of the prompts, options of save_pretrained.
MODELS = {
    "yarn_sliding_biases": (lambda: smollm3(**sizes(131, 40, 72, 3, 4, 2, 128, 48), use_sliding_window=True, sliding_window=7, no_rope_layer_interval=2, attention_bias=True, mlp_bias=True,
                                            rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=8.0, attention_factor=1.3)), torch.float16, 24, {}),
    "llama_untied_llama3": (lambda: llama(**sizes(97, 64, 88, 3, 8, 2, 256), tie_word_embeddings=False, rms_norm_eps=1e-5,
                                          rope_parameters=rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)), torch.bfloat16, 24, {}),
    "gqa_interval_3": (lambda: smollm3(**sizes(101, 40, 72, 4, 8, 2, 64, 20), no_rope_layer_interval=3, hidden_act="gelu_new", tie_word_embeddings=False, rope_parameters=rope("default", 5000.0)),
                       torch.bfloat16, 21, {"max_shard_size": "90KB"}),
    # From the 21st and the 25th token on, frequencies change while a text is being written.
    "longrope_grows": (lambda: smollm3(**sizes(90, 36, 50, 4, 3, 1, 64, 12), tie_word_embeddings=False, rope_parameters=rope("longrope", factor=3.0, original_max_position_embeddings=20, **FACTORS)),
                       torch.float16, 15, {}),
    "dynamic_grows": (lambda: smollm3(**sizes(70, 40, 60, 4, 5, 5, 24), no_rope_layers=[1, 1, 0, 1], hidden_act="relu", tie_word_embeddings=False, rope_parameters=rope("dynamic", factor=3.0)), torch.bfloat16, 15, {}),
    "layer_types": (lambda: smollm3(**sizes(77, 44, 70, 4, 2, 1, 64, 22), no_rope_layers=[0, 1, 1, 0], use_sliding_window=True, sliding_window=5,
                                    layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"], rope_parameters=rope("linear", factor=3.0), tie_word_embeddings=True),
                    torch.float16, 24, {}),
    "llama_config_4x": (lambda: llama(**sizes(65, 48, 64, 2, 4, 4, 64), attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=rope("yarn", factor=2.0, original_max_position_embeddings=32)),
                        torch.float32, 17, {}),
}


def to_4x(folder):
    """The spelling of config.json before Transformers 5."""
    path = os.path.join(folder, "config.json")
    with open(path) as f:
        c = json.load(f)
    r = c.pop("rope_parameters")
    c |= {"rope_theta": r.pop("rope_theta"), "torch_dtype": c.pop("dtype"), "rope_scaling": {"type": r.pop("rope_type"), **r}, "transformers_version": "4.45.0"}
    c.pop("head_dim", None)
    with open(path, "w") as f:
        json.dump(c, f, indent=2)


def golden(folder, columns, generator):
    cls, load = loader(folder)
    vocab = load().config.vocab_size
    ids = torch.randint(3, vocab, (3, columns), generator=generator)
    left, right, holes = (torch.ones_like(ids) for _ in range(3))
    for row, padding in ((1, 4), (2, 9)):
        left[row, :padding] = 0
        right[row, columns - padding:] = 0
        holes[row, 2:2 + padding // 2] = 0
    left_ids, right_ids = ids * left, ids * right
    positions = torch.stack([torch.arange(columns) + 5, torch.arange(columns) // 2, torch.randint(0, 40, (columns,), generator=generator)])
    seen = lambda logits, mask: [rounded(row[m == 1][-3:]) for row, m in zip(logits, mask)]
    # RoPE of the type dynamic takes the longest row of a batch: one row at a time.
    rows = lambda **tensors: torch.cat([load()(**{k: v[i:i + 1] for k, v in tensors.items()}).logits for i in range(3)])
    e = {"transformers": transformers.__version__, "class": cls.__name__, "dtype": "float32", "input_ids": ids.tolist(), "logits_row0_last8": rounded(rows(input_ids=ids)[0, -8:]),
         "left_mask": left.tolist(), "logits_left_last3": seen(rows(input_ids=left_ids, attention_mask=left), left),
         "right_mask": right.tolist(), "logits_right_last3": seen(rows(input_ids=right_ids, attention_mask=right), right),
         "holes_mask": holes.tolist(), "logits_holes_last3": seen(rows(input_ids=ids, attention_mask=holes), holes),
         "position_ids": positions.tolist(), "logits_position_ids_last3": seen(rows(input_ids=ids, position_ids=positions), torch.ones_like(ids)),
         "loss": float(load()(input_ids=right_ids, attention_mask=right, labels=torch.where(right == 1, ids, -100)).loss) if "dynamic" not in folder else None}
    options = dict(max_new_tokens=40, do_sample=False)
    answers = [load().generate(input_ids=left_ids[i:i + 1], attention_mask=left[i:i + 1], **options)[0, columns:].tolist() for i in range(3)]
    e["generate_one_by_one"] = answers
    if not folder.endswith("_grows"):
        e["generate_batch"] = load().generate(input_ids=left_ids, attention_mask=left, **options)[:, columns:].tolist()
    e["generate_penalty"] = load().generate(input_ids=ids[:1], repetition_penalty=1.4, no_repeat_ngram_size=2, min_new_tokens=36, **options)[0, columns:].tolist()
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(e, f)
    print(os.path.basename(folder), sum(os.path.getsize(os.path.join(folder, x)) for x in os.listdir(folder)), [len(set(a)) for a in answers], flush=True)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for n, (name, (make, dtype, columns, saving)) in enumerate(MODELS.items()):
        torch.manual_seed(3000 + n)
        m, folder = make(), os.path.join(sys.argv[1], name)
        with torch.no_grad():
            for k, p in m.named_parameters():
                if k.endswith("bias"): p.normal_(0, .1)
                elif p.dim() == 1: p.copy_(1 + .2 * torch.randn_like(p))
        m.to(dtype).save_pretrained(folder, **saving)
        if name.endswith("4x"): to_4x(folder)
        with torch.no_grad():
            golden(folder, columns, torch.Generator().manual_seed(n + 1))
