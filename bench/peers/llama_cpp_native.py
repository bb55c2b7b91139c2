"""Native llama.cpp, driven through its C API as llama-bench drives it (no sampling): on the CPU, or with 0 threads all of it on the GPU.

    python llama_cpp_native.py FILE.gguf THREADS PROMPT NEW

Loads, decodes 8 tokens, prints a line of JSON; then measures once for each line on stdin and prints a line of JSON.
Needs llama-cpp-python built for this machine: CMAKE_ARGS="-DGGML_NATIVE=on" (or -DGGML_CUDA=on, -DGGML_VULKAN=on)
pip install llama-cpp-python --no-binary llama-cpp-python
"""
import ctypes, json, sys, time

start = time.monotonic()
import llama_cpp
import llama_cpp.llama_cpp as L

path, threads, prompt, new = sys.argv[1], *map(int, sys.argv[2:5])
silent = L.llama_log_callback(lambda *args: None)
L.llama_log_set(silent, None)
L.llama_backend_init()
model_params = L.llama_model_default_params()
model_params.n_gpu_layers = 0 if threads else 999
model = L.llama_model_load_from_file(path.encode(), model_params)
if not model:
    sys.exit(f"Cannot load {path}")
params = L.llama_context_default_params()
params.n_ctx = prompt + new + 8
params.n_batch, params.n_ubatch = max(prompt, 512), min(max(prompt, 512), 2048)
if threads:
    params.n_threads = params.n_threads_batch = threads
else:
    params.flash_attn_type = L.LLAMA_FLASH_ATTN_TYPE_ENABLED
context = L.llama_init_from_model(model, params)
memory = L.llama_get_memory(context)


def decode(tokens):
    ids = (ctypes.c_int32 * len(tokens))(*tokens)  # the batch borrows it
    if L.llama_decode(context, L.llama_batch_get_one(ids, len(tokens))) != 0:
        sys.exit("llama_decode failed")
    L.llama_synchronize(context)


decode([1] * 8)
backend = "" if threads else " " + L.llama_print_system_info().decode().split(":")[0].strip()
ready = {"version": llama_cpp.__version__ + backend, "startMs": (time.monotonic() - start) * 1000}
print(json.dumps(ready), flush=True)

for run, _ in enumerate(sys.stdin):
    L.llama_memory_clear(memory, True)
    t0 = time.monotonic()
    decode([100 + (i * 7919 + run * 31) % 5000 for i in range(prompt)])
    t1 = time.monotonic()
    for i in range(new):
        decode([100 + (i * 31 + run) % 5000])
    t2 = time.monotonic()
    print(json.dumps({"prefill": prompt / (t1 - t0), "decode": new / (t2 - t1)}), flush=True)
