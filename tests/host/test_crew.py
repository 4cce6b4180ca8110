"""Several threads in one run: the same bits, nothing started unasked, and what happens around it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kjax
from kjax import errors
from kjax.isa import limits
from kjax.runtime.embedded import Embedded

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def f32(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def net(w, v, x):
    h = jax.nn.gelu(x @ w)
    return jax.nn.softmax(h @ v, -1), jnp.sort(h, -1)[:, :5], h.sum(0), jnp.cumsum(h, 1)[:, -1]


def loop(w, x):
    return jax.lax.fori_loop(0, 5, lambda i, c: jnp.tanh(c @ w) + i, x)


def convolution(x, w):
    y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jax.nn.relu(y), jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


PROGRAMS = {
    "net": (net, (f32(96, 200), f32(200, 130), f32(300, 96))),
    "net_grad": (jax.grad(lambda w, v, x: sum(jnp.sum(r * r) for r in net(w, v, x)[:1]), (0, 1)),
                 (f32(96, 200), f32(200, 130), f32(300, 96))),
    "loop": (loop, (f32(120, 120) / 10, f32(200, 120))),
    "convolution": (convolution, (f32(4, 30, 33, 5), f32(3, 3, 5, 24))),
    "convolution_grad": (jax.grad(lambda x, w: jnp.sum(convolution(x, w)[0] ** 2), (0, 1)), (f32(4, 30, 33, 5), f32(3, 3, 5, 24))),
    "layernorm": (lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5), (f32(700, 900),)),
    "map": (lambda x, y: jnp.exp(-x) * jnp.sin(y) / (1 + x * x), (f32(100_003), f32(100_003))),
    "gather": (lambda t, i: t[i], (f32(5000, 33), RNG.integers(-10, 6000, 3000).astype(np.int32))),
    "picks": (lambda t, i: t[i], (f32(50_000), RNG.integers(0, 50_000, 40_000).astype(np.int32))),
    "sort": (lambda x: (jnp.sort(x, 0), jnp.argsort(x, 1)), (f32(300, 500),)),
    "cumulative": (lambda x: (jnp.cumsum(x, 0), jnp.cumprod(x, 1), jax.lax.cummax(x, 0, reverse=True)), (f32(301, 503),)),
    "transpose": (lambda x: jnp.concatenate([x.transpose(2, 0, 1), x[::-1].transpose(2, 0, 1)], 1) + 1, (f32(80, 90, 100),)),
    "linalg": (lambda a, b: (jnp.linalg.solve(a, b), jnp.linalg.cholesky(a @ a.mT + 9 * jnp.eye(12)), jnp.linalg.qr(a)[1]),
               (f32(40, 12, 12), f32(40, 12, 3))),
    "integers": (lambda a, b: (jnp.einsum("bik,kj->bij", a, b), a * 3 % 7),
                 (RNG.integers(-9, 9, (60, 20, 50), np.int32), RNG.integers(-9, 9, (50, 70), np.int32))),
    "complex": (lambda a, b: a @ b, (f32(150, 60) + 1j * f32(150, 60), f32(60, 170) + 1j * f32(60, 170))),
}


def same_bits(got, want):
    for g, w in zip(jax.tree_util.tree_leaves(got), jax.tree_util.tree_leaves(want), strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_array_equal(np.ascontiguousarray(g).view(np.uint8), np.ascontiguousarray(w).view(np.uint8))


@pytest.mark.parametrize("cpu", kjax._engine.cpus())
@pytest.mark.parametrize("name", PROGRAMS)
def test_same_bits_for_any_number_of_threads(name, cpu):
    fn, args = PROGRAMS[name]
    program = kjax.compile(fn, *args)
    assert program._facts["part_bytes"] and program._facts["part_bytes"] % 64 == 0
    arrays = program.signature.flatten(args, {})
    with Embedded() as place:
        want = place.load(program.image, cpu=cpu).run(arrays)
        for threads in (2, 3, 8):
            loaded = place.load(program.image, cpu=cpu, threads=threads)
            for _ in range(5):
                same_bits(loaded.run(arrays), want)
            same_bits(loaded.run(arrays, fuel=10**15, deadline=100), want)


CHILD = """
import os, sys, threading
import numpy as np
import kjax
from kjax.runtime.embedded import Embedded

def started():
    return len(os.listdir("/proc/self/task"))

program = kjax.load(sys.argv[1])
x = np.ones((400, 300), np.float32)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A program file that is worth several threads, and one that is not."""
    folder = tmp_path_factory.mktemp("programs")
    kjax.compile(lambda x: jnp.tanh(x @ x.T).sum(1), np.ones((400, 300), np.float32)).save(folder / "large.kjx")
    kjax.compile(lambda x: jnp.tanh(x), np.ones(30, np.float32)).save(folder / "small.kjx")
    return folder


def child(code, *args):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CHILD + code, *map(str, args)], capture_output=True, text=True, env=environment,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_thread_is_started_unasked(saved):
    child("""
before = started()
program(x), program(x, threads=1), program.load(threads=1).run([x])
assert started() == before
small = kjax.load(sys.argv[2])
small(np.ones(30, np.float32), threads=4)       # nothing of it is worth sharing out
assert started() == before
want = program(x)
got = program(x, threads=3)
assert started() == before + 2
assert (got == want).all()
other = kjax.load(sys.argv[1])
other(x, threads=2)                             # one crew for all
assert started() == before + 2
program.load(threads=3).close()
assert started() == before + 2
other.load(threads=2).close()
assert started() == before
assert (program(x, threads=2) == want).all() and started() == before + 1
""", saved / "large.kjx", saved / "small.kjx")


def test_an_interpreter_ends_with_helpers_awake_asleep_and_at_work(saved):
    for wait in ("", "import time; time.sleep(0.2)", """
def forever():
    while True:
        program(x, threads=2)
threading.Thread(target=forever, daemon=True).start()
import time; time.sleep(0.2)
"""):
        child(f"program(x, threads=2)\n{wait}\nprint('end')", saved / "large.kjx")


def test_a_child_process_has_helpers_of_its_own(saved):
    out = child("""
want = program(x, threads=2)
assert started() == 2
for _ in range(5):
    for pause in (False, True):
        if pause:
            import time; time.sleep(0.01)       # the helper sleeps
        pid = os.fork()
        if not pid:
            assert started() == 1
            ok = all((program(x, threads=2) == want).all() for _ in range(20)) and started() == 2
            os._exit(0 if ok else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert (program(x, threads=2) == want).all()
print("done")
""", saved / "large.kjx")
    assert "done" in out


def test_a_fork_while_other_threads_run(saved):
    child("""
import warnings
warnings.simplefilter("ignore")
want = program(x, threads=2)
stop = False
def work():
    while not stop:
        assert (program(x, threads=2) == want).all()
others = [threading.Thread(target=work) for _ in range(3)]
for t in others: t.start()
for _ in range(20):
    pid = os.fork()
    if not pid:
        mine = kjax.load(sys.argv[1])
        os._exit(0 if (mine(x, threads=2) == want).all() else 1)
    assert os.waitpid(pid, 0)[1] == 0
stop = True
for t in others: t.join()
""", saved / "large.kjx")


def test_callers_at_the_same_time():
    fn, args = PROGRAMS["net"]
    program = kjax.compile(fn, *args)
    want = program(*args)
    failures = []

    def work(seed):
        r = np.random.default_rng(seed)
        try:
            for _ in range(30):
                same_bits(program(*args, threads=int(r.integers(1, 4))), want)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_many_short_calls():
    """Steps just above what is worth it: helpers come late, or not at all."""
    fn = kjax.jit(lambda x, y: jnp.tanh(x) * y, threads=2)
    x, y = f32(150, 200), f32(150, 200)
    want = kjax.jit(lambda x, y: jnp.tanh(x) * y)(x, y)
    for n in range(3000):
        got = fn(x, y)
        if n % 300 == 0:
            same_bits(got, want)
            time.sleep(0.001)
    same_bits(got, want)


def test_a_deadline_ends_a_run_in_parts():
    program = kjax.compile(lambda w: jax.lax.fori_loop(0, 100_000, lambda i, c: jnp.tanh(c @ w), w), f32(300, 300))
    for _ in range(3):
        with pytest.raises(errors.DeadlineError):
            program(f32(300, 300), threads=2, deadline=0.05)
    small = kjax.compile(lambda w: jax.lax.fori_loop(0, 10, lambda i, c: jnp.tanh(c @ w), w), f32(300, 300))
    w = f32(300, 300)
    same_bits(small(w, threads=2), small(w))


def test_one_long_step_meets_its_deadline():
    a = np.ones((4000, 4000), np.float32)
    program = kjax.compile(lambda a, b: a @ b, a, a)
    program.load(threads=2)
    with pytest.raises(errors.DeadlineError):
        program(a, a, threads=2, deadline=0.02)


def test_fuel_runs_out_alike():
    fn, args = PROGRAMS["layernorm"]
    program = kjax.compile(fn, *args)
    cost = program.cost_analysis()["cost"]
    for threads in (1, 2):
        with pytest.raises(errors.KjaxError) as failed:
            program(*args, threads=threads, fuel=cost // 3)
        assert failed.value.status.number == 96


def test_a_signal_ends_a_run_in_parts():
    program = kjax.compile(lambda w: jax.lax.fori_loop(0, 10_000_000, lambda i, c: jnp.tanh(c @ w), w), f32(300, 300))
    w = f32(300, 300)
    program.load(threads=2)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            program(w, threads=2)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_memory_is_counted_for_each_thread():
    fn, args = PROGRAMS["net"]
    program = kjax.compile(fn, *args)
    facts = program._facts
    one, three = program.memory_analysis(), program.memory_analysis(threads=3)
    assert three.temp_size_in_bytes == one.temp_size_in_bytes + 3 * facts["part_bytes"]
    assert three.peak_memory_in_bytes - one.peak_memory_in_bytes == 3 * facts["part_bytes"]
    with Embedded() as a, Embedded() as b:
        kept = a.load(program.image), b.load(program.image, threads=3)
        more = b.memory()["used"] - a.memory()["used"]
        assert 3 * facts["part_bytes"] <= more < 3 * (facts["part_bytes"] + 8192)
        del kept
    needed = facts["plan_bytes"] + facts["arena_bytes"]
    with Embedded() as place:
        place.load(program.image, memory_limit=needed).close()
        place.load(program.image, threads=2, memory_limit=needed + 2 * facts["part_bytes"]).close()
        with pytest.raises(errors.LimitError):
            place.load(program.image, threads=2, memory_limit=needed + 2 * facts["part_bytes"] - 1)


def test_threads_of_an_environment(saved):
    child("""
before = started()
with Embedded(threads=2) as place:
    program.load(place).run([x])
    assert started() == before + 1
    program.load(place, threads=1).run([x])
assert started() == before
""", saved / "large.kjx")


@pytest.mark.parametrize("threads", [0, -1, limits.MAX_THREADS + 1])
def test_numbers_that_are_none(threads):
    program = kjax.compile(lambda x: x + 1, f32(3))
    with pytest.raises(ValueError, match="threads"):
        program(f32(3), threads=threads)


def test_the_kernel_says_that_it_has_one():
    from kjax.runtime.guest import GuestEnvironment
    from kjax.runtime.kernel import KernelEnvironment

    image = kjax.compile(lambda x: x + 1, f32(3)).image
    for place in GuestEnvironment, KernelEnvironment:  # at once: no guest is booted, no device is opened
        with pytest.raises(errors.DeviceError, match="one thread"):
            place.load(None, image, threads=2)
