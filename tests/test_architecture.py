"""The architecture's claims, as tests.

Import direction, file size, one record an operator, `__all__`, who may touch a storage's array,
what `import rushlight` may pull in, and that torch never comes in.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "rushlight"
FILES = sorted(PACKAGE.rglob("*.py"))

# The layers, top to bottom; a file may import its own layer and those above it.
# What stands nowhere here belongs to the API layer (autograd, nn, optim, ...).
LAYERS: list[set[str]] = [
    {"errors", "config", "naming", "dtypes", "devices"},
    {"ir"},
    {"ops"},
    {"runtime"},
    {"compiler", "codegen"},
    {"dispatch", "replay"},
    {"_tensor"},
    set(),  # the API layer: every other name
    {"vision"},
    {"tensorboard", "utils.tensorboard"},
    {"cli", "alias", "__main__"},
]
API_LAYER = LAYERS.index(set())
# Where a storage's array may be touched: kernels and drivers, the dispatcher, the NumPy bridge.
STORAGE_READERS = ("runtime/", "dispatch/", "replay/", "_tensor/numpy_bridge.py")
STORAGE_ATTRIBUTES = {"bytes", "_array"}
MAX_LINES = 800


def module_name(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> int | None:
    """The layer of a module of rushlight, by its dotted name; None for the root package."""
    inside = module.split(".")[1:]
    if not inside:
        return None
    for number, names in enumerate(LAYERS):
        if inside[0] in names or ".".join(inside[:2]) in names:
            return number
    return API_LAYER


def is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below `node`, functions' bodies included, but what stands under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from executed(other)
            continue
        yield child
        yield from executed(child)


def known(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each module that a file imports, relative imports resolved."""
    here = module_name(file).split(".")
    package = here if file.name == "__init__.py" else here[:-1]
    for node in executed(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, node.module] if node.module else base)
            for alias in node.names:
                full = f"{source}.{alias.name}"
                # `from rushlight import nn` imports rushlight.nn; `from x import name` imports x
                yield node.lineno, full if known(full) else source


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_imports_point_upward(file: Path) -> None:
    mine = layer_of(module_name(file))
    wrong = []
    for line, module in imports(file):
        if module.split(".")[0] != "rushlight" or mine is None:
            continue
        theirs = layer_of(module)
        # The root package gathers the API; the API layer and what stands below may use it.
        too_low = mine < API_LAYER if theirs is None else theirs > mine
        if too_low:
            wrong.append(f"line {line} imports {module}")
    assert not wrong, f"{relative(file)}: {wrong}"


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_nothing_imports_torch(file: Path) -> None:
    found = [(n, m) for n, m in imports(file) if m.split(".")[0] in {"torch", "torchvision"}]
    assert not found


@pytest.mark.parametrize("folder", ["rushlight", "tests", "scripts", "examples", "benchmarks"])
def test_files_stay_small(folder: str) -> None:
    for file in (ROOT / folder).rglob("*.py"):
        lines = file.read_text(encoding="utf-8").count("\n")
        assert lines <= MAX_LINES, f"{relative(file)} has {lines} lines"


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_files_say_what_they_are_for(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), relative(file)


def test_public_packages_have_all() -> None:
    missing = []
    for file in PACKAGE.rglob("__init__.py"):
        if any(part.startswith("_") for part in file.parent.relative_to(ROOT).parts):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        targets = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        ]
        if "__all__" not in targets:
            missing.append(relative(file))
    assert not missing


def test_names_in_all_exist() -> None:
    import importlib

    for file in PACKAGE.rglob("__init__.py"):
        module = importlib.import_module(module_name(file))
        missing = [n for n in getattr(module, "__all__", ()) if not hasattr(module, n)]
        assert not missing, f"{module_name(file)} names in __all__ what it lacks: {missing}"


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_only_the_runtime_touches_arrays(file: Path) -> None:
    inside = file.relative_to(PACKAGE).as_posix()
    if inside.startswith(STORAGE_READERS):
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    touched = [
        f"line {node.lineno}: .{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in STORAGE_ATTRIBUTES
    ]
    assert not touched, f"{relative(file)} touches a storage's array: {touched}"


def python(program: str, **environment: str) -> str:
    """Runs a program in a fresh interpreter, with warnings as errors; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        env=dict(os.environ, **environment),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HEAVY = ["PIL", "matplotlib", "tensorboard", "llvmlite", "ml_dtypes", "torch", "multiprocessing"]


def test_import_is_light() -> None:
    loaded = python("import sys, rushlight; print(*sys.modules)").split()
    assert not [name for name in HEAVY if name in loaded]


USE = """
import sys, tempfile, os
import rushlight as rl
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset
from rushlight.vision import transforms
from rushlight.tensorboard import SummaryWriter

rl.manual_seed(0)
data = TensorDataset(rl.rand(8, 3, 8, 8), rl.randint(0, 2, (8,)))
features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
net = nn.Sequential(features, nn.Linear(144, 2))
optimizer = rl.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
with tempfile.TemporaryDirectory() as folder:
    with SummaryWriter(folder) as writer:
        for step, (images, labels) in enumerate(DataLoader(data, batch_size=4, shuffle=True)):
            loss = nn.functional.cross_entropy(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            writer.add_scalar("loss", loss.item(), step)
    rl.save(net.state_dict(), os.path.join(folder, "net.pth"))
    net.load_state_dict(rl.load(os.path.join(folder, "net.pth")))
transforms.ToPILImage()(rl.rand(3, 4, 4))
print(*[name for name in sys.modules if name.split(".")[0] in ("torch", "torchvision")])
"""


def test_use_never_imports_torch(tmp_path: Path) -> None:
    """A package called torch that refuses to be imported stands first on the path."""
    for name in ("torch", "torchvision"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('torch was imported')\n")
    assert python(USE, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)])) == ""


def test_one_record_an_operator() -> None:
    """Records are made in ops/ only, each name in one place, and the registry refuses a second."""
    from rushlight.ir import op as record

    places: dict[str, list[str]] = {}
    for file in FILES:
        inside = file.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = getattr(node.func, "id", getattr(node.func, "attr", None))
            first = node.args[0]
            if called == "Op":
                assert inside.startswith("ops/"), f"{inside} line {node.lineno} makes a record"
            if inside.startswith("ops/") and isinstance(first, ast.Constant):
                made_here = called in {"Op", "elementwise", "reduction"}
                if made_here and isinstance(first.value, str):
                    places.setdefault(first.value, []).append(f"{inside} line {node.lineno}")
    assert not {name: where for name, where in places.items() if len(where) > 1}

    import rushlight.ops  # noqa: F401 -- fills the registry

    names = list(record.names())
    assert len(names) > 100
    taken = record.get(names[0])
    with pytest.raises(ValueError, match="two records"):
        record.Op(taken.name, kind=taken.kind, rule=taken.rule)
