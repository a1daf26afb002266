"""An ONNX model of one node, written out in the wire format of Protocol Buffers: the `onnx` package is not needed.

Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

__all__ = ["one_node_model"]

_OPERATORS = {
    "exp": "Exp",
    "log": "Log",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "logsumexp": "ReduceLogSumExp",
}
_ELEMENT_TYPES = {"float32": 1, "float16": 10, "float64": 11}  # TensorProto.DataType
_INT, _INTS = 2, 7  # AttributeProto.AttributeType
_IR_VERSION, _OPSET = 8, 13


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _value(name: str, dtype: str, ndim: int) -> bytes:
    dims = b"".join(_message(1, _message(2, f"{name}{i}")) for i in range(ndim))
    tensor = _number(1, _ELEMENT_TYPES[dtype]) + _message(2, dims)
    return _message(1, name) + _message(2, _message(1, tensor))


def one_node_model(operation: str, dtype: str, ndim: int, axis: int) -> bytes:
    """Return a model with input "x" and output "y".

    Parameters
    ----------
    operation : str
        A function of `sorgum.special`.
    dtype : {"float16", "float32", "float64"}
    ndim : int
        The number of dimensions of the input; their sizes stay open.
    axis : int
        The axis of softmax, log_softmax and logsumexp.

    Returns
    -------
    bytes
        What `onnxruntime.InferenceSession` takes.
    """
    node = _message(1, "x") + _message(2, "y") + _message(4, _OPERATORS[operation])
    out_ndim = ndim
    if operation in ("softmax", "log_softmax"):
        node += _message(5, _message(1, "axis") + _number(3, axis) + _number(20, _INT))
    elif operation == "logsumexp":
        out_ndim -= 1
        node += _message(5, _message(1, "axes") + _number(8, axis) + _number(20, _INTS))
        node += _message(5, _message(1, "keepdims") + _number(3, 0) + _number(20, _INT))
    graph = _message(1, node) + _message(2, "graph")
    graph += _message(11, _value("x", dtype, ndim)) + _message(12, _value("y", dtype, out_ndim))
    return _number(1, _IR_VERSION) + _message(7, graph) + _message(8, _message(1, "") + _number(2, _OPSET))
