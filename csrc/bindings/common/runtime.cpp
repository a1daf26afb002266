// Run-time controls, error types and Ctrl-C.
#include <pthread.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <limits>
#include <memory>

#include "api/call/runtime.h"
#include "bindings/common/array.h"
#include "bindings/common/build_info.h"
#include "bindings/common/errors.h"
#include "bindings/common/pooled.h"
#include "core/interrupt.h"
#include "core/memory_pool.h"
#include "core/parallel.h"

namespace py = pybind11;

namespace sorgum {

namespace {

// Python runs signal handlers in its main thread only: other threads need not wait for the interpreter's lock.
// (std::atomic<pthread_t>: a forked child's only thread becomes its main thread.)
std::atomic<pthread_t> main_thread;

bool signal_raised() {
    if (!pthread_equal(pthread_self(), main_thread.load(std::memory_order_relaxed))) {
        return false;
    }
    const py::gil_scoped_acquire acquired;
    return PyErr_CheckSignals() != 0;
}

void install_interrupt_callback() {
    const py::object ident = py::module_::import("threading").attr("main_thread")().attr("ident");
    main_thread.store(static_cast<pthread_t>(ident.cast<unsigned long>()), std::memory_order_relaxed);
    pthread_atfork(nullptr, nullptr, [] { main_thread.store(pthread_self(), std::memory_order_relaxed); });
    set_interrupt_callback(signal_raised);
}

// An int of any size: one that does not fit is as far out of range as the nearest that does.
void set_num_threads_from(const py::int_& n) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(n.ptr(), &overflow);
    using Limits = std::numeric_limits<index_t>;
    set_num_threads(overflow == 0 ? value : overflow > 0 ? Limits::max() : Limits::min());
}

// An array of `bytes` bytes in pooled memory, which goes back when the last view of it does.
py::array pooled(std::size_t bytes) {
    const PooledMemory memory = pooled_memory(bytes);
    return py::array(py::dtype::of<std::uint8_t>(), static_cast<py::ssize_t>(bytes), memory.data, memory.owner);
}

py::dict build_info() {
    py::dict flags;
    for (const build::IsaFlags& row : build::kIsaFlags) {
        flags[row.isa] = row.flags;
    }
    py::dict info;
    info["compiler"] = build::kCompiler;
    info["build_type"] = build::kBuildType;
    info["flags"] = flags;
    return info;
}

}  // namespace

PooledMemory pooled_memory(std::size_t bytes) {
    struct Block {
        void* memory;
        std::size_t capacity;
    };
    auto block = std::make_unique<Block>();
    block->memory = take_memory(bytes, block->capacity);
    void* const memory = block->memory;
    const py::capsule owner(block.get(), [](void* p) {
        const std::unique_ptr<Block> own(static_cast<Block*>(p));
        give_memory(own->memory, own->capacity);
    });
    static_cast<void>(block.release());
    return {owner, memory};
}

void register_runtime(py::module_& module) {
    py::register_local_exception_translator(translate);
    install_interrupt_callback();

    module.attr("__version__") = build::kVersion;
    module.def("initialise", &runtime::initialise);
    module.def("isa", &runtime::isa);
    module.def("available_isas", &runtime::available_isas);
    module.def("set_isa", &runtime::set_isa, py::arg("name"));
    module.def("families", &runtime::families);
    module.def("kernel_names", &runtime::kernel_names);
    module.def("count_kernel_calls", &runtime::count_kernel_calls);
    module.def("kernel_calls", &runtime::kernel_calls);
    module.def("num_threads", &num_threads);
    module.def("num_threads_source", &num_threads_source);
    module.def("set_num_threads", &set_num_threads_from, py::arg("n"));
    module.def("build_info", &build_info);
    module.def("set_bfloat16_type", [](int number) { bfloat16_type = number; }, py::arg("number"));
    module.attr("POOLED_FROM") = kPooledFrom;
    module.def("pooled", &pooled, py::arg("bytes"));
    module.def("memory_pool", &memory_pool);
    module.def("memory_pooled", &memory_pooled);
    module.def("set_memory_pool", &set_memory_pool, py::arg("bytes"));
}

}  // namespace sorgum
