"""Mutation testing of the engine: how many small faults, put in one at a time, the engine's tests notice.

    python bench/mutation.py [--sample 500] [--minutes 30] [--seed 1] [--only evaluate.py] [--survivors FILE]

Every mutant changes one node of one file of sla_plugin/engine: a comparison, an operator, a constant, a condition, a statement left out. The whole set is
counted; a sample is drawn evenly over the files with a fixed seed, and worked in a mixed order, so that what `--minutes` cuts off is missing everywhere.
Each mutant runs in a process of its own, forked from one that has imported pytest and all libraries, so that only the engine and its tests are read again;
the tests of that file come first, and the first failure ends the run.
Equivalent mutants (which no test can notice) count as survivors.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
ENGINE = ROOT / "sla_plugin" / "engine"
TESTS = ROOT / "tests" / "engine"
SECONDS = 60  # of processor time per mutant; a mutant that does not end is noticed
LONGEST = 900  # seconds of wall time, should it sleep
SLOW = ("calendars_dst", "laws")  # these come last
FIRST = {  # where a file's faults show first, if not in the tests of its own name
    **dict.fromkeys(("fold", "clocks", "facts", "ledger"), ("evaluate", "changes", "metrics", "bad_input")),
    **dict.fromkeys(("definitions", "own", "tiers", "waking"), ("metrics", "policies")),
    **dict.fromkeys(("policy_definitions", "possible"), ("policies", "conditions")),
    "operators": ("conditions",),
    "calendar_definitions": ("calendars",),
    "checkpoints": ("laws",),
    "instants": ("bad_input",),
    "events": ("changes",),
}
MEMORY = 3 * 2**30

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Break: ast.Continue,
    ast.Continue: ast.Break,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "bisect_left": "bisect_right", "bisect_right": "bisect_left"}


class Mutant(NamedTuple):
    """One fault: the `number`-th of its file."""

    file: Path
    number: int
    line: int
    what: str


class _Mutate(ast.NodeTransformer):
    """Counts the places that can be changed and changes the `wanted`-th; what has no behaviour (annotations, docstrings, words of messages) is left out."""

    def __init__(self, wanted: int | None) -> None:
        self.wanted = wanted
        self.found: list[tuple[int, str]] = []

    def offer(self, node: ast.AST, what: str) -> bool:
        """Take note of a place; whether it is the one to change."""
        self.found.append((getattr(node, "lineno", 0), what))
        return self.wanted == len(self.found) - 1

    def visit(self, node: ast.AST) -> Any:
        """Change the node or what is in it."""
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return node
        if isinstance(node, ast.FunctionDef):
            if node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant) and len(node.body) > 1:
                node.body = [node.body[0], *self._block(node.body[1:])]
            elif not (len(node.body) == 1 and isinstance(node.body[0], ast.Expr)):
                node.body = self._block(node.body)
            node.args.defaults = [self.visit(default) for default in node.args.defaults]
            node.args.kw_defaults = [self.visit(default) if default is not None else None for default in node.args.kw_defaults]
            return node
        if isinstance(node, ast.ClassDef):
            node.body = [self.visit(part) for part in node.body]
            return node
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                node.value = self.visit(node.value)
            return node
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            return node
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if isinstance(block, list) and not isinstance(node, ast.Module):
                setattr(node, field, self._block(block))
        return self._own(node)

    def _block(self, block: list[ast.stmt]) -> list[ast.stmt]:
        done: list[ast.stmt] = []
        for statement in block:
            said = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            acts = isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr) and not said
            if acts and self.offer(statement, f"without `{ast.unparse(statement)[:60]}`"):
                done.append(ast.copy_location(ast.Pass(), statement))
                continue
            done.append(self.visit(statement))
        return done

    def _own(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.If | ast.IfExp | ast.While) and self.offer(node, f"not `{ast.unparse(node.test)[:60]}`"):
            node.test = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
            return node
        if isinstance(node, ast.Compare):
            for place, operator in enumerate(node.ops):
                if type(operator) in SWAPS and self.offer(node, f"{type(operator).__name__} in `{ast.unparse(node)[:60]}`"):
                    node.ops[place] = SWAPS[type(operator)]()
                    return node
        elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
            if type(node.op) in SWAPS and self.offer(node, f"{type(node.op).__name__} in `{ast.unparse(node)[:60]}`"):
                node.op = SWAPS[type(node.op)]()
                return node
        elif isinstance(node, ast.Break | ast.Continue):
            if self.offer(node, type(node).__name__):
                return ast.copy_location(SWAPS[type(node)](), node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            if self.offer(node, f"without not in `{ast.unparse(node)[:60]}`"):
                return node.operand
        elif isinstance(node, ast.Return) and node.value is not None:
            if not (isinstance(node.value, ast.Constant) and node.value.value is None) and self.offer(node, f"None for `{ast.unparse(node.value)[:60]}`"):
                node.value = ast.copy_location(ast.Constant(None), node.value)
                return node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
            if self.offer(node, f"{NAMES[node.id]} for {node.id}"):
                node.id = NAMES[node.id]
                return node
        elif isinstance(node, ast.Constant):
            return self._constant(node)
        return self.generic_visit_fields(node)

    def _constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        changed: Any
        if isinstance(value, bool):
            changed = not value
        elif isinstance(value, int):
            changed = value + 1
        elif isinstance(value, str) and value:
            changed = f"{value}~"
        else:
            return node
        return ast.copy_location(ast.Constant(changed), node) if self.offer(node, f"{changed!r} for {value!r}"[:80]) else node

    def generic_visit_fields(self, node: ast.AST) -> ast.AST:
        """The parts of a node but its blocks, which are done."""
        for field, value in ast.iter_fields(node):
            if field in ("body", "orelse") and isinstance(value, list) and not isinstance(node, ast.Module):
                continue
            if field in ("annotation", "returns", "decorator_list", "type_comment"):
                continue
            if isinstance(value, list):
                setattr(node, field, [self.visit(part) if isinstance(part, ast.AST) else part for part in value])
            elif isinstance(value, ast.AST):
                setattr(node, field, self.visit(value))
        return node


def mutants_of(file: Path) -> list[Mutant]:
    """Every mutant of a file."""
    counter = _Mutate(None)
    counter.visit(ast.parse(file.read_text(encoding="utf-8")))
    return [Mutant(file, number, line, what) for number, (line, what) in enumerate(counter.found)]


def mutated(mutant: Mutant) -> ast.Module:
    """The file with the fault in it."""
    tree = ast.parse(mutant.file.read_text(encoding="utf-8"))
    return ast.fix_missing_locations(_Mutate(mutant.number).visit(copy.deepcopy(tree)))


class _Loader(importlib.abc.InspectLoader):
    """Loads the mutated file in place of the real one."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        self.name, self.mutant = name, mutant

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        """The spec of the mutated module, None for any other."""
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.mutant.file)) if name == self.name else None

    def get_source(self, fullname: str) -> str:
        """The real text: for tracebacks only."""
        return self.mutant.file.read_text(encoding="utf-8")

    def exec_module(self, module: ModuleType) -> None:
        """Run the mutated file as the module."""
        module.__file__ = str(self.mutant.file)
        exec(compile(mutated(self.mutant), str(self.mutant.file), "exec"), module.__dict__)


def _stages(file: Path) -> list[list[str]]:
    """The test files in the order in which they are run: where the file's faults show first, the others, the slow ones."""
    stages: list[list[str]] = [[], [], []]
    for test in sorted(TESTS.glob("test_*.py")):
        name = test.stem.removeprefix("test_")
        first = name == file.stem or name in FIRST.get(file.stem, ())
        stages[0 if first else 2 if name in SLOW else 1].append(str(test))
    return [stage for stage in stages if stage]


def _run(mutant: Mutant | None, stages: Sequence[Sequence[str]]) -> int:
    """In the forked child: the first exit code of pytest that is not 0, with the fault in."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    if mutant is not None:
        relative = mutant.file.relative_to(ROOT).with_suffix("")
        name = ".".join(relative.parts).removesuffix(".__init__")
        sys.meta_path.insert(0, _Loader(name, mutant))
    for tests in stages:
        code = pytest.main(["-x", "-q", "--noconftest", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests])
        if code:
            return int(code)
    return 0


def survives(mutant: Mutant | None, stages: Sequence[Sequence[str]]) -> bool:
    """Whether all tests pass with the fault in; one that does not end in time does not survive."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        code = 70
        try:
            code = _run(mutant, stages)
        finally:
            os._exit(code)
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def sampled(files: Sequence[Path], wanted: int, seed: int) -> Iterator[list[Mutant]]:
    """By file, a share of its mutants that is as large as its share of all."""
    every = [mutants_of(file) for file in files]
    total = sum(map(len, every))
    for number, mutants in enumerate(every):
        share = len(mutants) if not wanted or wanted >= total else min(len(mutants), max(1, round(wanted * len(mutants) / total))) if mutants else 0
        yield sorted(random.Random(f"{seed}-{number}").sample(mutants, share))


def _told(mutant: Mutant) -> str:
    return f"{mutant.file.relative_to(ENGINE)}:{mutant.line} {mutant.what}"


def main() -> int:
    """Run the sample; print a line per file and every survivor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, default=500, help="how many mutants (0: all)")
    parser.add_argument("--minutes", type=float, default=0, help="stop then and say how far it came (0: never)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a fault first")
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--survivors", type=Path, help="write them here, too")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    os.environ["LAW_EXAMPLES"] = "25"
    hypothesis.settings.register_profile("mutation", phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate), database=None, derandomize=True)
    hypothesis.settings.load_profile("mutation")
    files = [file for file in sorted(ENGINE.rglob("*.py")) if asked.only in str(file.relative_to(ENGINE))]
    begin = time.monotonic()
    if not asked.trust and not survives(None, _stages(files[-1])):
        print("the tests fail without any fault: nothing can be said")
        return 1
    print(f"begun after {time.monotonic() - begin:.1f} s", flush=True)
    exist = {file: len(mutants_of(file)) for file in files}
    chosen = [mutant for mutants in sampled(files, asked.sample, asked.seed) for mutant in mutants]
    random.Random(asked.seed).shuffle(chosen)
    run: Counter[Path] = Counter()
    survived: dict[Path, list[Mutant]] = {file: [] for file in files}
    for mutant in chosen:
        if asked.minutes and time.monotonic() - begin > 60 * asked.minutes:
            break
        run[mutant.file] += 1
        if survives(mutant, _stages(mutant.file)):
            survived[mutant.file].append(mutant)
            print(f"survived {_told(mutant)}", flush=True)
    for file in files:
        print(f"{file.relative_to(ENGINE)}: {run[file] - len(survived[file])} of {run[file]} killed, {exist[file]} exist")
    alive = [_told(mutant) for file in files for mutant in sorted(survived[file])]
    if asked.survivors is not None:
        asked.survivors.write_text("\n".join(alive) + "\n", encoding="utf-8")
    killed = run.total() - len(alive)
    print(f"{killed} of {run.total()} killed ({100 * killed / max(run.total(), 1):.1f} %); {sum(exist.values())} exist, {len(chosen)} drawn, seed {asked.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
