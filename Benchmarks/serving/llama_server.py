"""Starts llama.cpp's server from the wheel `xllamacpp` with a file in GGUF; prints its address and serves until it is ended.

    python Benchmarks/serving/llama_server.py FILE --parallel 8 --context 4224 [--threads 2]
"""

import argparse
import os
import time

import xllamacpp

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--parallel", type=int, default=1)
parser.add_argument("--context", type=int, default=4224, help="tokens of each sequence")
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
options = parser.parse_args()

parameters = xllamacpp.CommonParams()
parameters.model.path = options.file
parameters.n_parallel = options.parallel
parameters.n_ctx = options.context * options.parallel
# A part of the memory for each sequence, as many texts of full length need it; no second cache beside that of the slots.
parameters.kv_unified = False
parameters.cache_ram_mib = 0
parameters.cpuparams.n_threads = options.threads
parameters.cpuparams_batch.n_threads = options.threads
parameters.warmup = True
parameters.hostnames = ["127.0.0.1"]
parameters.fit_params = False
parameters.port = 0
server = xllamacpp.Server(parameters)
print("listening at", server.listening_address, flush=True)
while True:
    time.sleep(3600)
