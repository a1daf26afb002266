"""Write python/sorgum/<family>/__init__.pyi: the types of public functions as checkers and editors see them.

Functions have one signature in their source. What callers get depends on what they give: arrays of NumPy give arrays of
NumPy, those of a library with DLPack give that library's, and an `out` is returned itself. So each function has an
overload for each case. With --check nothing is written: the exit status tells whether the stubs fit the sources.
"""

import argparse
import ast
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import TypeAlias

Changes: TypeAlias = dict[str, tuple[str, str | None]]  # of some parameters, the annotation and the default

ROOT = Path(__file__).resolve().parents[1]
STUBS = sorted((ROOT / "python" / "sorgum").glob("[a-z]*/__init__.pyi"))  # a new family begins with an empty one
WIDTH = 120

# Structured arrays, which stay NumPy's whatever the arguments are.
RECORDS = {"logsumexp_partial", "logsumexp_merge", "gumbel_partial", "gumbel_merge"}
# Flags that make a pair of the result.
PAIRS = {"return_sign", "return_log_prob"}

HEADER = '''\
"""The types of sorgum.{family}, made from its sources by tools/make_stubs.py."""

'''
DEFINITIONS = """
class _SupportsDLPack(Protocol):
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[Any, Any]: ...

_Array: TypeAlias = npt.NDArray[Any]
_Numbers: TypeAlias = npt.ArrayLike | _SupportsDLPack
_Plain: TypeAlias = npt.NDArray[Any] | np.generic | bool | int | float | Sequence[Any]
_A = TypeVar("_A", bound=_SupportsDLPack)
_Out = TypeVar("_Out", bound=_SupportsDLPack)

"""


class Source:
    """The syntax of a module, and where its names come from."""

    def __init__(self, module: str) -> None:
        self.module = module
        tree = ast.parse(inspect.getsource(importlib.import_module(module)))
        self.functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.homes = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                self.homes |= {alias.asname or alias.name: node.module or "" for alias in node.names}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.homes[node.target.id] = module
            elif isinstance(node, ast.ClassDef):
                self.homes[node.name] = module


def in_double_quotes(node: ast.expr | None) -> str:
    """Return the text of an annotation or a default, quoted as the formatter quotes."""
    return ast.unparse(node).replace("'", '"') if node else "Any"


def shown(annotation: str) -> str:
    """Return a parameter's annotation by the stub's own short names."""
    names = {"npt.ArrayLike": "_Numbers", "Array": "_Array"}
    return re.sub(r"npt\.ArrayLike|\bArray\b", lambda found: names[found[0]], annotation)


class Signature:
    """The parameters of a function as they are written."""

    def __init__(self, node: ast.FunctionDef) -> None:
        self.name = node.name
        given, keywords = node.args, node.args.kwonlyargs
        blanks: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
        defaults = [*blanks, *given.defaults, *given.kw_defaults]
        self.positional = len(given.args)
        self.parameters = {
            argument.arg: (in_double_quotes(argument.annotation), self.default(value))
            for argument, value in zip([*given.args, *keywords], defaults, strict=True)
        }
        self.returns = in_double_quotes(node.returns)

    @staticmethod
    def default(value: ast.expr | None) -> str | None:
        if value is None:
            return None
        return in_double_quotes(value) if isinstance(value, ast.Constant | ast.UnaryOp) else "..."

    def text(self, changed: Changes, returns: str) -> str:
        """Return the declaration, as the formatter would write it."""
        parts = []
        for place, (name, (annotation, default)) in enumerate(self.parameters.items()):
            annotation, default = changed.get(name, (shown(annotation), default))
            if place == self.positional:
                parts.append("*")
            parts.append(f"{name}: {annotation}" + (f" = {default}" if default is not None else ""))
        if len(line := f"def {self.name}({', '.join(parts)}) -> {returns}: ...\n") <= WIDTH + 1:
            return line
        inside = ", ".join(parts)
        body = f"    {inside}\n" if len(inside) + 4 <= WIDTH else "".join(f"    {part},\n" for part in parts)
        return f"def {self.name}(\n{body}) -> {returns}: ...\n"


def declarations(signature: Signature) -> list[str]:
    """Return the overloads of a function, or its one declaration."""
    first, (annotation, default) = next(iter(signature.parameters.items()))
    returns, pair = signature.returns, signature.returns in ("tuple[Array, Array]", "tuple[Any, Array]")
    unknown = annotation == returns == "Any"  # what is made of an object that is no array
    if signature.name in RECORDS or unknown or not (pair or returns in ("Any", "Array")):
        return [signature.text({}, shown(returns))]
    no_out: Changes = {"out": ("None", "None")} if "out" in signature.parameters else {}
    cases: list[tuple[Changes, str]] = [({"out": ("_Out", None)}, "_Out")] if no_out else []
    if annotation == "npt.ArrayLike":
        cases += [({first: ("_Plain", default), **no_out}, "_Array"), ({first: ("_A", default), **no_out}, "_A")]
    else:
        cases.append((no_out, "_Array"))
    flags = PAIRS & signature.parameters.keys()
    texts = []
    for changed, result in cases:
        off: Changes = dict.fromkeys(flags, ("Literal[False]", "False"))
        texts.append(signature.text(changed | off, f"tuple[{result}, {result}]" if pair else result))
        for flag in flags:
            second = "Any" if result == "_Out" else result
            texts.append(signature.text(changed | {flag: ("Literal[True]", None)}, f"tuple[{result}, {second}]"))
    return texts


def stub(family: str) -> str:
    package = importlib.import_module(f"sorgum.{family}")
    sources: dict[str, Source] = {}
    origins = {}
    for node in ast.parse(inspect.getsource(package)).body:
        if isinstance(node, ast.ImportFrom):
            origins |= {alias.name: node.module or "" for alias in node.names if alias.name in package.__all__}
    imports: dict[str, set[str]] = {
        "collections.abc": {"Sequence"},
        "typing": {"Any", "Protocol", "TypeAlias", "TypeVar"},
    }
    body = ""
    for name in package.__all__:
        source = sources.setdefault(origins[name], Source(origins[name]))
        if name not in source.functions:
            imports.setdefault(origins[name], set()).add(f"{name} as {name}")
            continue
        texts = declarations(Signature(source.functions[name]))
        for text in texts:
            body += ("@overload\n" if len(texts) > 1 else "") + text
            used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
            for word in used & source.homes.keys() - {"Array", "overload"}:
                if word not in package.__all__:
                    imports.setdefault(source.homes[word], set()).add(word)
    if "@overload\n" in body:
        imports["typing"].add("overload")
    lines = []
    for module, names in imports.items():
        lines += [f"from {module} import {name}" for name in names if " as " in name]
        if plain := sorted((name for name in names if " as " not in name), key=lambda name: (name.islower(), name)):
            lines.append(f"from {module} import {', '.join(plain)}")
    own = [line for line in lines if line.startswith("from sorgum")]
    own.sort(key=lambda line: (line.split()[1], not line.split()[3].isupper(), line))  # constants first, as ruff has it
    standard = sorted(line for line in lines if not line.startswith("from sorgum"))
    text = HEADER.format(family=family) + "\n".join(standard) + "\n\nimport numpy as np\nimport numpy.typing as npt\n\n"
    text += "".join(f"{line}\n" for line in [*own, ""] if own)
    text += "__all__ = [\n" + "".join(f'    "{name}",\n' for name in package.__all__) + "]\n"
    return text + DEFINITIONS + body


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    given = parser.parse_args()
    status = 0
    for path in STUBS:
        text = stub(path.parent.name)
        if given.check and path.read_text() != text:
            print(f"{path.relative_to(ROOT)}: is not that of the sources: run python tools/make_stubs.py")
            status = 1
        elif not given.check:
            path.write_text(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
