"""Makes flash-linear-attention's models run on a processor: its Triton kernels in Triton's interpreter.

Import this first, with the package `triton` installed. The path of a checkout is the first argument of the script. Kernels
are the project's own; only the search for the fastest block sizes is left out, since it times them on a device.
"""

import os
import subprocess
import sys

os.environ["TRITON_INTERPRET"] = "1"
import triton  # noqa: E402

FLA = sys.argv[1]
COMMIT = subprocess.run(
    ["git", "-C", FLA, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
).stdout.strip() or "bc3b101"
VERSIONS = f"fla-org/flash-linear-attention {COMMIT}, triton {triton.__version__} interpreter"


class FirstConfiguration:
    """A kernel with the first of the configurations that would be tried."""

    def __init__(self, fn, configurations):
        self.fn, self.arg_names = fn, fn.arg_names
        self.constants = configurations[0].kwargs if configurations else {}

    def run(self, *arguments, grid, warmup=False, **named):
        return self.fn.run(*arguments, grid=grid, warmup=warmup, **{**self.constants, **named})

    def __getitem__(self, grid):
        return lambda *arguments, **named: self.run(*arguments, grid=grid, **named)

    def __getattr__(self, name):
        return getattr(self.fn, name)


triton.autotune = lambda configs, key, **_: lambda fn: FirstConfiguration(fn, configs)
sys.path.insert(0, FLA)
