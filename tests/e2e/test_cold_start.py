"""What a process imports to load a program and run it: little, and nothing that compiling needs."""

import json
import subprocess
import sys

import numpy as np
import pytest

import kjax

RUN = """
import json, sys
import numpy as np
before = set(sys.modules)
import kjax
program = kjax.load(sys.argv[1])
assert program({{"w": np.ones((3, 2), np.float32)}}, np.ones(3, np.float32)).shape == (2,)
{more}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "p.kjx"
    kjax.compile(lambda p, x: x @ p["w"], {"w": np.ones((3, 2), np.float32)}, np.ones(3, np.float32)).save(path)
    return path


def imported(path, more=""):
    out = subprocess.run([sys.executable, "-c", RUN.format(more=more), path], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def test_running_a_program_imports_little(saved):
    modules = imported(saved)
    foreign = {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"kjax"}
    assert foreign == {"ml_dtypes"}, foreign
    own = [name for name in modules if name.split(".")[0] == "kjax"]
    assert len(own) <= 22, own
    compiling = ("kjax.compiler", "kjax.frontend", "kjax.bytecode.program", "kjax.isa.ops")
    assert not [name for name in own if name.startswith(compiling)]
    assert not {"logging", "pathlib", "subprocess", "asyncio", "urllib"} & set(modules)


def test_looking_at_a_program_needs_no_jax(saved):
    modules = imported(saved, "program.as_text(), program.memory_analysis(), program.cost_analysis(), repr(program), dir(kjax)")
    assert not {"jax", "jaxlib", "click", "rich"} & set(modules)


def test_public_names_are_there():
    for name in kjax.__all__:
        assert getattr(kjax, name).__module__.startswith("kjax.")
    assert set(kjax.__all__) <= set(dir(kjax))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kjax.nothing  # noqa: B018
