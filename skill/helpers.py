"""The module `helpers` of the skill: `parallel_agents.helpers` under its old name."""

import importlib
import runpy
import sys
from pathlib import Path

# By its file: another module of that name may come first on the path.
runpy.run_path(str(Path(__file__).resolve().with_name("launch.py")))["provide"]()
# One module under both names: what a program assigns in one is assigned in the other.
module = importlib.import_module("parallel_agents.helpers")
if __name__ == "__main__":
    help(module)
else:
    sys.modules[__name__] = module
