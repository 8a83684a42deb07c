"""Numba behind typed functions: the only module that imports it.

Functions are compiled when their module is imported, for the one signature that they declare, and kept in
`code_cache.code_folder` for other processes; where that cannot be written they are compiled in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any, TypeVar

import numba
from numba import types
from numba.extending import intrinsic

from drq_spark.tokenizer.fast.code_cache import code_folder

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Forms = str | tuple[type, tuple[str, ...]]

# Numba's own types are partial.
_njit: Any = numba.njit
_config: Any = numba.config
_types: Any = types

# No fastmath: nothing is reordered, and a multiplication and an addition are never one operation.
_OPTIONS = {"nogil": True, "error_model": "numpy"}


def inlined(function: _Function) -> _Function:
    """A function that only compiled ones call; it is compiled with them."""
    made: _Function = _njit(**_OPTIONS)(function)
    return made


def compiled(result: str, *forms: _Forms) -> Callable[[_Function], _Function]:
    """A function compiled now, or taken from the cache, for one signature.

    Args:
        result: Numba's name of the type that it returns.
        forms: Numba's names of the types of its arguments; of a named tuple the class, and those of its fields.
    """
    signature = _type(result)(*(_type(form) for form in forms))
    folder = code_folder()

    def make(function: _Function) -> _Function:
        before = _config.CACHE_DIR
        try:
            if folder is not None:
                kept = str(folder / f"{function.__module__.rpartition('.')[2]}.py")  # see `code_cache`
                function.__code__ = function.__code__.replace(co_filename=kept)
                _config.CACHE_DIR = str(folder)  # numba reads it where a function is made, so others keep theirs
            made: _Function = _njit(signature, cache=folder is not None, **_OPTIONS)(function)
        finally:
            _config.CACHE_DIR = before
        return made

    return make


def _type(form: _Forms) -> Any:
    if isinstance(form, str):
        return eval(form, {}, vars(types))
    kind, fields = form
    return _types.NamedTuple([_type(field) for field in fields], kind)


def vector_function(result: str, **kinds: str) -> Callable[[Callable[..., Any]], Any]:
    """A function for compiled ones whose body is written in LLVM's vectors, see `llvm_vectors`.

    What is decorated writes the body: from LLVM's builder and the values of the arguments to the value of the result.

    Args:
        result: Numba's name of the type that it returns; "void" for none.
        kinds: Its arguments by name, and numba's names of their types.
    """
    signature = _type(result)(*(_type(kind) for kind in kinds.values()))
    names = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("context", *kinds)]

    def make(body: Callable[..., Any]) -> Any:
        def emit(context: Any, builder: Any, _: Any, values: Any) -> Any:
            value = body(builder, *values)
            return context.get_dummy_value() if result == "void" else value

        def typed(*_: Any) -> Any:
            return signature, emit

        typed.__signature__ = Signature(names)  # type: ignore[attr-defined]  # numba reads the names of arguments here
        typed.__name__ = body.__name__
        return intrinsic(typed)

    return make
