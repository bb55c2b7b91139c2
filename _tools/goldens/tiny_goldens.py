"""golden.json of tiny checkpoints: outputs of Transformers in float32 (eager attention) of the saved folder, not of the model in memory that it was saved from.

argv: folders whose golden.json is to be computed again from the inputs stored in it."""
import json, os, sys
import torch, transformers

INPUTS = ("input_ids", "attention_mask", "labels", "position_ids", "start_positions", "end_positions")
NOTE = "positions whose attention_mask is 0 are not to be compared"


def rounded(t):
    return [float(f"{x:.7g}") for x in t.detach().float().reshape(-1).tolist()]


def loader(folder):
    """A function that loads the folder anew: RoPE of the type dynamic keeps frequencies from call to call."""
    with open(os.path.join(folder, "config.json")) as f:
        cls = getattr(transformers, json.load(f)["architectures"][0])
    return cls, lambda: cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def causal(load, x, ids, mask):
    T = ids.shape[1]
    positions = torch.tensor(x["position_ids"])
    o = load()(input_ids=ids, attention_mask=mask, labels=torch.tensor(x["labels"]), output_hidden_states=True, output_attentions=True, use_cache=True)
    e = {"labels": x["labels"], "loss": float(o.loss), "logits_shape": list(o.logits.shape), "logits_row0_last4": rounded(o.logits[0, -4:]), "logits_row1_last2": rounded(o.logits[1, -2:]),
         "hidden_states_row0_last": [rounded(h[0, -1, :16]) for h in o.hidden_states], "attentions_row0_last": [rounded(a[0, :, -1]) for a in o.attentions]}
    e |= {"position_ids": x["position_ids"], "logits_with_position_ids_last": rounded(load()(input_ids=ids[:1], position_ids=positions).logits[0, -1])}
    m = load()
    e["logits_inputs_embeds_times_1_5_last"] = rounded(m(inputs_embeds=m.get_input_embeddings()(ids[:1]) * 1.5, logits_to_keep=1).logits[0, -1])
    for tag, options in {"greedy": {}, "beams4": dict(num_beams=4), "beams3_lp": dict(num_beams=3, length_penalty=1.7, num_return_sequences=2)}.items():
        e[f"generate_{tag}"] = load().generate(input_ids=ids, attention_mask=mask, max_new_tokens=20, do_sample=False, **options)[:, T:].tolist()
    return e


def sequence_classification(load, x, ids, mask):
    o = load()(input_ids=ids, attention_mask=mask, labels=torch.tensor(x["labels"]))
    return {"labels": x["labels"], "loss": float(o.loss), "logits": o.logits.tolist()}


def token_classification(load, x, ids, mask):
    o = load()(input_ids=ids, attention_mask=mask, labels=torch.tensor(x["labels"]))
    return {"labels": x["labels"], "loss": float(o.loss), "logits_row0": rounded(o.logits[0]), "logits_shape": list(o.logits.shape)}


def question_answering(load, x, ids, mask):
    o = load()(input_ids=ids, attention_mask=mask, start_positions=torch.tensor(x["start_positions"]), end_positions=torch.tensor(x["end_positions"]))
    return {"start_positions": x["start_positions"], "end_positions": x["end_positions"], "loss": float(o.loss), "start_logits_row0": rounded(o.start_logits[0]), "end_logits_row0": rounded(o.end_logits[0])}


KINDS = {"ForCausalLM": causal, "ForSequenceClassification": sequence_classification, "ForTokenClassification": token_classification, "ForQuestionAnswering": question_answering}


def write_golden(folder, inputs):
    """Computes the outputs of a saved folder for lists `inputs` (keys of INPUTS that its class takes) and writes golden.json."""
    cls, load = loader(folder)
    e = {"transformers": transformers.__version__, "class": cls.__name__, "dtype": "float32", "input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "note": NOTE}
    with torch.no_grad():
        e |= next(f for kind, f in KINDS.items() if cls.__name__.endswith(kind))(load, inputs, torch.tensor(inputs["input_ids"]), torch.tensor(inputs["attention_mask"]))
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(e, f)
    print(os.path.basename(folder), e["loss"], flush=True)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    for folder in sys.argv[1:]:
        with open(os.path.join(folder, "golden.json")) as f:
            old = json.load(f)
        write_golden(folder.rstrip("/"), {k: old[k] for k in INPUTS if k in old})
