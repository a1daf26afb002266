// The module sorgum._cuda: arrays of a CUDA device in, checked calls of csrc/cuda out.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <utility>

#include "bindings/common/array.h"
#include "bindings/common/cuda_build_info.h"
#include "bindings/common/errors.h"
#include "bindings/main_interpreter.h"
#include "cuda/random/random.h"
#include "cuda/special/special.h"

namespace py = pybind11;

namespace sorgum {

namespace {

// Launches need little room on the stack. To ask for it as without_gil() does takes thread-local memory that the CUDA
// runtime's own leaves no place for: the module could not be loaded.
template <class Launch>
auto launch_without_gil(Launch&& launch) {
    const GilReleased released;
    return launch();
}

using Axes = std::optional<std::vector<index_t>>;  // None: all

// (address, shape, strides in bytes, whether it may be written), as sorgum.interop.cuda makes it. The dtype is checked
// there.
ArrayView device_view(const py::tuple& array, DType dtype) {
    ArrayView view;
    view.data = reinterpret_cast<void*>(array[0].cast<std::uintptr_t>());
    view.dtype = dtype;
    const auto shape = array[1].cast<std::vector<index_t>>(), strides = array[2].cast<std::vector<index_t>>();
    view.ndim = static_cast<int>(shape.size());
    if (view.ndim > kMaxDims)
        throw ValueError("x must have at most 64 axes, got " + std::to_string(view.ndim));
    std::copy(shape.begin(), shape.end(), view.shape);
    std::copy(strides.begin(), strides.end(), view.strides);
    view.writable = array[3].cast<bool>();
    return view;
}

cuda::Arguments arguments_of(const py::tuple& x, const Axes& axes, double temperature,
                             const std::optional<py::tuple>& where, const py::tuple& out) {
    cuda::Arguments a;
    a.x = device_view(x, DType::f32);
    a.out = device_view(out, DType::f32);
    a.all_axes = !axes.has_value();
    a.axes = axes.value_or(std::vector<index_t>());
    a.temperature = temperature;
    if (where)
        a.where = device_view(*where, DType::boolean);
    return a;
}

void exp(const py::tuple& x, const py::tuple& out, int device, cuda::Stream stream) {
    const ArrayView from = device_view(x, DType::f32), to = device_view(out, DType::f32);
    launch_without_gil([&] { cuda::exp(from, to, {device, stream}); });
}

void softmax(const py::tuple& x, const Axes& axes, double temperature, const std::optional<py::tuple>& where,
             const py::tuple& out, bool zero_empty, int device, cuda::Stream stream) {
    cuda::Arguments a = arguments_of(x, axes, temperature, where, out);
    a.zero_empty = zero_empty;
    launch_without_gil([&] { cuda::softmax(a, {device, stream}); });
}

void logsumexp(const py::tuple& x, const Axes& axes, double temperature, const std::optional<py::tuple>& where,
               const py::tuple& out, bool keepdims, int device, cuda::Stream stream) {
    cuda::Arguments a = arguments_of(x, axes, temperature, where, out);
    a.keepdims = keepdims;
    launch_without_gil([&] { cuda::logsumexp(a, {device, stream}); });
}

DType dtype_of(const std::string& name) {
    static const std::pair<const char*, DType> known[] = {
        {"float32", DType::f32}, {"float64", DType::f64}, {"float16", DType::f16}, {"bfloat16", DType::bf16}};
    for (const auto& [text, dtype] : known)
        if (name == text)
            return dtype;
    throw TypeError("dtype must be float32, float64, float16 or bfloat16, got " + name);
}

using OptionalArray = std::optional<py::array>;

cuda::Source source_of(const char* function, std::uint64_t key, const OptionalArray& streams,
                       const OptionalArray& positions, std::uint64_t position, index_t index_offset) {
    return {key,
            optional_view(streams, function, "streams"),
            optional_view(positions, function, "position"),
            position,
            index_offset,
            std::nullopt};
}

void noise(const std::string& law, bool wide, std::uint64_t key, const OptionalArray& streams,
           const OptionalArray& positions, std::uint64_t position, index_t index_offset,
           const std::vector<index_t>& shape, const py::tuple& out, const std::string& dtype, int device,
           cuda::Stream stream, const std::optional<py::tuple>& given) {
    cuda::Source source = source_of(law.c_str(), key, streams, positions, position, index_offset);
    if (given)
        source.given = device_view(*given, DType::f32);
    const ArrayView to = device_view(out, dtype_of(dtype));
    launch_without_gil([&] { cuda::noise(law, wide, source, shape, to, {device, stream}); });
}

std::uint64_t categorical(const py::tuple& logits, const std::string& dtype, const OptionalArray& temperatures,
                          double temperature, const std::optional<py::tuple>& where, const py::tuple& out,
                          std::optional<index_t> samples, std::uint64_t key, const OptionalArray& streams,
                          const OptionalArray& positions, std::uint64_t position, index_t index_offset, bool wait,
                          int device, cuda::Stream stream) {
    const char* const function = "categorical";
    const cuda::Source source = source_of(function, key, streams, positions, position, index_offset);
    cuda::DrawArguments a;
    a.logits = device_view(logits, dtype_of(dtype));
    if (where)
        a.where = device_view(*where, DType::boolean);
    a.out = device_view(out, DType::i64);
    a.samples = samples.value_or(1);
    a.several = samples.has_value();
    a.temperatures = optional_view(temperatures, function, "temperature");
    a.temperature = temperature;
    a.wait = wait;
    return launch_without_gil([&] { return cuda::categorical(a, source, {device, stream}); });
}

py::tuple device_count() {
    std::string reason;
    const int count = launch_without_gil([&] { return cuda::device_count(reason); });
    return py::make_tuple(count, reason);
}

py::dict build_info() {
    py::dict info;
    info["compiler"] = build::kCudaCompiler;
    info["targets"] = build::kCudaArchitectures;
    info["flags"] = build::kCudaFlags;
    return info;
}

}  // namespace

}  // namespace sorgum

SORGUM_MODULE(_cuda, module) {
    module.doc() = "Compiled kernels of sorgum for CUDA. Use the modules of the package; this one may change any time.";
    py::register_local_exception_translator(sorgum::translate);
    module.attr("__version__") = sorgum::build::kCudaVersion;
    module.def("build_info", &sorgum::build_info);
    module.def("device_count", &sorgum::device_count);
    module.def(
        "device_of",
        [](std::uintptr_t address) { return sorgum::cuda::device_of(reinterpret_cast<const void*>(address)); },
        py::arg("address"));
    module.def("exp", &sorgum::exp, py::arg("x"), py::arg("out"), py::arg("device"), py::arg("stream"));
    module.def("softmax", &sorgum::softmax, py::arg("x"), py::arg("axes"), py::arg("temperature"), py::arg("where"),
               py::arg("out"), py::arg("zero_empty"), py::arg("device"), py::arg("stream"));
    module.def("logsumexp", &sorgum::logsumexp, py::arg("x"), py::arg("axes"), py::arg("temperature"), py::arg("where"),
               py::arg("out"), py::arg("keepdims"), py::arg("device"), py::arg("stream"));
    module.def("noise", &sorgum::noise, py::arg("law"), py::arg("wide"), py::arg("key"), py::arg("streams"),
               py::arg("positions"), py::arg("position"), py::arg("index_offset"), py::arg("shape"), py::arg("out"),
               py::arg("dtype"), py::arg("device"), py::arg("stream"), py::arg("given") = py::none());
    module.def("categorical", &sorgum::categorical, py::arg("logits"), py::arg("dtype"), py::arg("temperatures"),
               py::arg("temperature"), py::arg("where"), py::arg("out"), py::arg("samples"), py::arg("key"),
               py::arg("streams"), py::arg("positions"), py::arg("position"), py::arg("index_offset"), py::arg("wait"),
               py::arg("device"), py::arg("stream"));
}
