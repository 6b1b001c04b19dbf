"""Stand-ins for packages that other projects import and that a small model does not use: fairscale, timm."""

import sys
import types
from importlib.machinery import ModuleSpec

_fairscale = types.ModuleType("fairscale.nn")
_fairscale.checkpoint_wrapper = lambda module, *_, **__: module
_fairscale.wrap = lambda module, *_, **__: module
_timm = types.ModuleType("timm.models.layers")
_timm.drop_path = lambda x, *_, **__: x
for name, module in {
    "fairscale": types.ModuleType("fairscale"), "fairscale.nn": _fairscale, "timm": types.ModuleType("timm"),
    "timm.models": types.ModuleType("timm.models"), "timm.models.layers": _timm,
}.items():
    module.__spec__ = ModuleSpec(name, None)
    sys.modules.setdefault(name, module)
