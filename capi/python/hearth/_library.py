"""Finds and loads libhearth, and turns its status codes into exceptions."""
import ctypes
import os
import pathlib

from . import _abi

ABI_MAJOR = 0


class HearthError(RuntimeError):
    """A failure that the library reported. code: the hearth_status; line and column: 1-based place in a text, 0 if none.

    device: number of the device concerned among those of its backend, -1 if none; device_spec: what names it, "cuda:1", or "".
    """

    def __init__(self, message, code=_abi.HEARTH_E_INTERNAL, record=None):
        super().__init__(message)
        self.code = code
        self.subcode = record.subcode if record else 0
        self.bytes_wanted = record.bytes_wanted if record else 0
        self.bytes_free = record.bytes_free if record else 0
        self.line = record.line if record else 0
        self.column = record.column if record else 0
        self.device = record.device if record else -1
        self.device_spec = record.device_spec.decode("utf-8", "replace") if record else ""


class InvalidArgumentError(HearthError, ValueError):
    """An argument that cannot be right."""


class FileError(HearthError):
    """A model file that is missing, unreadable or damaged."""


class NotFoundError(HearthError, LookupError):
    """Something by a name or number that is not there."""


class UnsupportedError(HearthError, NotImplementedError):
    """Something that this version does not do: an architecture, a tensor type, a parameter."""


class OutOfMemoryError(HearthError, MemoryError):
    """Memory that is not there: bytes_wanted and bytes_free say how much."""


class ContextFullError(HearthError):
    """No room in the context for more tokens."""


class CancelledError(HearthError):
    """Work that was cancelled; everything is as it was before."""


class TemplateError(HearthError):
    """A chat template that fails: line and column say where."""


EXCEPTIONS = {
    _abi.HEARTH_E_INVALID_ARGUMENT: InvalidArgumentError,
    _abi.HEARTH_E_NOT_FOUND: NotFoundError,
    _abi.HEARTH_E_IO: FileError,
    _abi.HEARTH_E_BAD_FILE: FileError,
    _abi.HEARTH_E_UNSUPPORTED_ARCH: UnsupportedError,
    _abi.HEARTH_E_UNSUPPORTED_TYPE: UnsupportedError,
    _abi.HEARTH_E_UNSUPPORTED_STRUCT: UnsupportedError,
    _abi.HEARTH_E_OOM_HOST: OutOfMemoryError,
    _abi.HEARTH_E_OOM_DEVICE: OutOfMemoryError,
    _abi.HEARTH_E_CONTEXT_FULL: ContextFullError,
    _abi.HEARTH_E_CANCELLED: CancelledError,
    _abi.HEARTH_E_TEMPLATE: TemplateError,
}


def candidates():
    """Where the library may be: HEARTH_LIBRARY alone if set, else beside this file (installed), else in the build tree."""
    if os.environ.get("HEARTH_LIBRARY"):
        return [pathlib.Path(os.environ["HEARTH_LIBRARY"])]
    here = pathlib.Path(__file__).resolve().parent
    folders = [here]
    if len(here.parents) > 2:
        folders += [here.parents[2] / "build" / "lib", here.parents[2] / "build" / "bin"]
    return [folder / name for folder in folders for name in ("libhearth.so", "libhearth.dylib", "hearth.dll", "libhearth.dll")]


def load():
    paths = candidates()
    path = next((p for p in paths if p.exists()), None)
    if path is None:
        folders = list(dict.fromkeys(str(p if os.environ.get("HEARTH_LIBRARY") else p.parent) for p in paths))
        raise ImportError(f"libhearth is not there: looked at {', '.join(folders)}; build it, install the package, or set HEARTH_LIBRARY")
    library = ctypes.CDLL(str(path))
    for name, (result, parameters) in _abi.FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"{path} is older than this package: it has no {name}") from None
        function.restype, function.argtypes = result, parameters
    if library.hearth_version() >> 16 != ABI_MAJOR:
        raise ImportError(f"{path} has version {library.hearth_version() >> 16}, this package needs {ABI_MAJOR}")
    return library


lib = load()


def make(struct, **fields):
    """A zeroed parameter struct with struct_size set."""
    return struct(struct_size=ctypes.sizeof(struct), **fields)


def check(status):
    """Raises what a negative status means; to be called on the thread that got it, at once."""
    if status == _abi.HEARTH_OK:
        return
    record = make(_abi.hearth_error)
    lib.hearth_last_error(ctypes.byref(record))
    message = record.message.decode("utf-8", "replace") or lib.hearth_status_name(status).decode()
    kind = EXCEPTIONS.get(status, HearthError)
    if kind is NotFoundError and record.subcode:  # an errno: it is a file that is not there
        kind = FileError
    raise kind(message, status, record)


def text_bytes(text):
    """UTF-8 of a str, or the bytes as they are."""
    return text.encode("utf-8") if isinstance(text, str) else bytes(text)


def two_calls(function, *arguments):
    """The bytes that a function of the two-call convention writes."""
    size = ctypes.c_size_t()
    cap = 256
    while True:
        buffer = ctypes.create_string_buffer(cap)
        status = function(*arguments, buffer, cap, ctypes.byref(size))
        if status == _abi.HEARTH_OK:
            return buffer.raw[:size.value]
        # Too small, or another mistake: the length alone tells which.
        check(function(*arguments, None, 0, ctypes.byref(size)))
        if size.value <= cap:
            check(status)
        cap = size.value + 1
