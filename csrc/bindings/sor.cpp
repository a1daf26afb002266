// The family sor.
#include <pybind11/stl.h>

#include <memory>

#include "api/sor/batch.h"
#include "api/sor/block_relaxation.h"
#include "api/sor/omega_rule.h"
#include "api/sor/relaxation.h"
#include "api/sor/sor.h"
#include "api/sor/ssor_cg.h"
#include "api/sor/stencil.h"
#include "bindings/common/array.h"

namespace sorgum {

namespace {

using OptionalArray = std::optional<py::array>;
using sor::BlockRelaxation;
using sor::Relaxation;

sor::CsrArrays csr_of(const char* name, const py::array& indptr, const py::array& indices, const py::array& data,
                      index_t rows, index_t columns) {
    return {index_view_of(indptr, name, "A.indptr"), index_view_of(indices, name, "A.indices"),
            view_of(data, name, "A.data"), rows, columns};
}

double residual_norm(const py::array& indptr, const py::array& indices, const py::array& data, index_t rows,
                     index_t columns, const py::array& x, const py::array& b) {
    constexpr const char* name = "residual_norm";
    const sor::CsrArrays a = csr_of(name, indptr, indices, data, rows, columns);
    const ArrayView from_x = view_of(x, name, "x"), from_b = view_of(b, name, "b");
    double norm = 0;
    without_gil([&] { norm = sor::residual_norm(a, from_x, from_b); });
    return norm;
}

std::unique_ptr<Relaxation> relaxation(const py::array& indptr, const py::array& indices, const py::array& data,
                                       index_t rows, index_t columns, const std::string& order) {
    const sor::CsrArrays a = csr_of("Relaxation", indptr, indices, data, rows, columns);
    const sor::Order known = sor::order_of(order);
    std::unique_ptr<Relaxation> made;
    without_gil([&] { made = std::make_unique<Relaxation>(a, known); });
    return made;
}

std::unique_ptr<BlockRelaxation> block_relaxation(const py::array& indptr, const py::array& indices,
                                                  const py::array& data, index_t rows, index_t columns,
                                                  const std::string& order, index_t size) {
    const sor::CsrArrays a = csr_of("Relaxation", indptr, indices, data, rows, columns);
    const sor::Order known = sor::order_of(order);
    std::unique_ptr<BlockRelaxation> made;
    without_gil([&] { made = std::make_unique<BlockRelaxation>(a, known, size); });
    return made;
}

// What follows is of a Relaxation or of a BlockRelaxation.
template <class Matrix>
void sweep(const Matrix& self, const py::array& x, const py::array& b, double omega, const std::string& direction,
           index_t iterations, const OptionalArray& lower, const OptionalArray& upper, const OptionalArray& norms,
           const OptionalArray& rows) {
    constexpr const char* name = "Relaxation.sweep";
    const sor::SweepArguments a = {view_of(x, name, "x"),
                                   view_of(b, name, "b"),
                                   omega,
                                   sor::direction_of(direction),
                                   iterations,
                                   optional_view(lower, name, "lower"),
                                   optional_view(upper, name, "upper"),
                                   optional_view(norms, name, "norms"),
                                   rows ? std::optional(index_view_of(*rows, name, "rows")) : std::nullopt};
    if (iterations > 16)  // long work, however short x is
        without_gil([&] { self.sweep(a); });
    else
        without_gil(a.x, [&] { self.sweep(a); });
}

template <class Matrix>
double residual(const Matrix& self, const py::array& x, const py::array& b, const OptionalArray& out) {
    constexpr const char* name = "Relaxation.residual_norm";
    const ArrayView from_x = view_of(x, name, "x"), from_b = view_of(b, name, "b");
    const std::optional<ArrayView> to = optional_view(out, name, "out");
    double norm = 0;
    without_gil([&] { norm = self.residual(from_x, from_b, to); });
    return norm;
}

void half_solve(const Relaxation& self, const py::array& b, double omega, const std::string& half,
                const py::array& out) {
    constexpr const char* name = "Relaxation.half_solve";
    const ArrayView from = view_of(b, name, "b"), to = view_of(out, name, "out");
    const sor::Half known = sor::half_of(half);
    without_gil([&] { self.half_solve(from, omega, known, to); });
}

template <class Matrix>
void precondition(const Matrix& self, const py::array& r, double omega, const py::array& out) {
    constexpr const char* name = "Relaxation.precondition";
    const ArrayView from = view_of(r, name, "r"), to = view_of(out, name, "out");
    without_gil([&] { self.precondition(from, omega, to); });
}

template <class Matrix>
void update_values(Matrix& self, const py::array& data) {
    const ArrayView from = view_of(data, "Relaxation.update_values", "data");
    without_gil([&] { self.update_values(from); });
}

template <class Matrix>
void shift(Matrix& self, double c) {
    without_gil([&] { self.shift(c); });
}

template <class Matrix>
std::pair<double, double> magnitude(const Matrix& self) {
    Relaxation::Magnitude found = {};
    without_gil([&] { found = self.magnitude(); });
    return {found.largest_row, found.off_diagonal};
}

template <class Matrix>
py::array diagonal(const Matrix& self) {
    py::array out(py::dtype(self.value_type() == DType::f32 ? "float32" : "float64"),
                  std::vector<py::ssize_t>{self.rows()});
    self.diagonal(view_of(out, "Relaxation.diagonal", "out"));
    return out;
}

template <class Matrix>
py::array colors(const Matrix& self) {
    py::array_t<std::int32_t> out(self.rows());
    self.colors(index_view_of(out, "Relaxation.colors", "out"));
    return out;
}

std::unique_ptr<sor::SsorCg> ssor_cg(const Relaxation& a, const py::array& b, const py::array& x, double omega,
                                     bool adaptive, double rtol, double atol, index_t maxiter, bool chebyshev) {
    constexpr const char* name = "ssor_cg";
    const ArrayView from = view_of(b, name, "b"), to = view_of(x, name, "x");
    std::unique_ptr<sor::SsorCg> made;
    without_gil([&] {
        made = std::make_unique<sor::SsorCg>(a, from, to,
                                             sor::SsorCgOptions{omega, adaptive, rtol, atol, maxiter, chebyshev});
    });
    return made;
}

void run(sor::SsorCg& self, index_t iterations) {
    without_gil([&] { self.run(iterations); });
}

template <class Matrix>
void add_methods(py::class_<Matrix>& to) {
    to.def("sweep", &sweep<Matrix>, py::arg("x"), py::arg("b"), py::arg("omega"), py::arg("sweep") = "forward",
           py::arg("iterations") = 1, py::arg("lower") = py::none(), py::arg("upper") = py::none(),
           py::arg("norms") = py::none(), py::arg("rows") = py::none())
        .def("residual", &residual<Matrix>, py::arg("x"), py::arg("b"), py::arg("out") = py::none())
        .def("precondition", &precondition<Matrix>, py::arg("r"), py::arg("omega"), py::arg("out"))
        .def("update_values", &update_values<Matrix>, py::arg("data"))
        .def("shift", &shift<Matrix>, py::arg("c"))
        .def("magnitude", &magnitude<Matrix>)
        .def("diagonal", &diagonal<Matrix>)
        .def("colors", &colors<Matrix>)
        .def_property_readonly("rows", &Matrix::rows)
        .def_property_readonly("memory", &Matrix::memory);
}

constexpr const char* kStencil = "sor_stencil";

std::unique_ptr<sor::Stencil> stencil(const py::array& coefficients, const std::vector<index_t>& shape,
                                      const std::vector<std::pair<std::string, std::string>>& boundary,
                                      const OptionalArray& mask, const OptionalArray& fixed, const std::string& order,
                                      const std::optional<std::array<index_t, 3>>& own) {
    sor::StencilArguments a = {view_of(coefficients, kStencil, "coefficients"),
                               shape,
                               {},
                               optional_view(mask, kStencil, "mask"),
                               optional_view(fixed, kStencil, "fixed"),
                               sor::stencil_order_of(order),
                               {}};
    if (own)
        a.own = {(*own)[0], (*own)[1], (*own)[2]};
    for (const auto& [before, after] : boundary)
        a.side.push_back({sor::side_of(before), sor::side_of(after)});
    std::unique_ptr<sor::Stencil> made;
    without_gil([&] { made = std::make_unique<sor::Stencil>(a); });
    return made;
}

void stencil_sweep(const sor::Stencil& self, const py::array& u, const py::array& f, double omega, index_t sweeps,
                   const OptionalArray& lower, const OptionalArray& upper, const OptionalArray& sums) {
    const sor::StencilSweep a = {view_of(u, kStencil, "u"),
                                 view_of(f, kStencil, "f"),
                                 omega,
                                 sweeps,
                                 optional_view(lower, kStencil, "bounds[0]"),
                                 optional_view(upper, kStencil, "bounds[1]"),
                                 optional_view(sums, kStencil, "sums")};
    without_gil([&] { self.sweep(a); });
}

// As an array of shape (1, kSumWords).
template <class Sum>
py::array_t<std::int64_t> words_without_gil(Sum&& sum_of) {
    py::array_t<std::int64_t> words({index_t(1), sor::kSumWords});
    std::int64_t* const to = words.mutable_data();
    without_gil([&] { sor::store(sum_of(), to); });
    return words;
}

py::array_t<std::int64_t> stencil_residual(const sor::Stencil& self, const py::array& u, const py::array& f,
                                           const OptionalArray& out) {
    const ArrayView from_u = view_of(u, kStencil, "u"), from_f = view_of(f, kStencil, "f");
    const std::optional<ArrayView> to = optional_view(out, kStencil, "out");
    return words_without_gil([&] { return self.residual(from_u, from_f, to); });
}

py::array_t<std::int64_t> squares_of_rows(const py::array& x) {
    const ArrayView from = view_of(x, "squares_of_rows", "x");
    return words_without_gil([&] { return sor::squares_of_rows(from); });
}

py::array_t<double> merged_norms(const py::array& parts) {
    const ArrayView from = view_of(parts, "merged_norms", "parts");
    py::array_t<double> norms(parts.ndim() > 1 ? parts.shape(1) : 0);
    double* const to = norms.mutable_data();
    without_gil([&] { sor::merged_norms(from, to); });
    return norms;
}

void sor_batch(const py::array& indptr, const py::array& indices, const py::array& entries, index_t rows,
               index_t columns, const OptionalArray& data, const OptionalArray& shift, const py::array& b,
               const py::array& x, const OptionalArray& omega, double rtol, double atol, index_t maxiter,
               const py::array& info, const py::array& iterations) {
    constexpr const char* name = "sor_batch";
    const sor::BatchArguments a = {csr_of(name, indptr, indices, entries, rows, columns),
                                   optional_view(data, name, "data"),
                                   optional_view(shift, name, "shift"),
                                   view_of(b, name, "b"),
                                   view_of(x, name, "x"),
                                   optional_view(omega, name, "omega"),
                                   rtol,
                                   atol,
                                   maxiter,
                                   index_view_of(info, name, "info"),
                                   index_view_of(iterations, name, "iterations")};
    without_gil([&] { sor::batch(a); });
}

const char* observe(sor::OmegaRule& self, const std::vector<double>& norms) {
    switch (self.observe(norms.data(), static_cast<index_t>(norms.size()))) {
        case sor::OmegaAction::keep:
            return "keep";
        case sor::OmegaAction::undo:
            return "undo";
        default:
            return nullptr;
    }
}

}  // namespace

void register_sor(py::module_& module) {
    module.def("residual_norm", &residual_norm, py::arg("indptr"), py::arg("indices"), py::arg("data"), py::arg("rows"),
               py::arg("columns"), py::arg("x"), py::arg("b"));
    module.attr("SUM_WORDS") = sor::kSumWords;
    module.def("squares_of_rows", &squares_of_rows, py::arg("x"));
    module.def("merged_norms", &merged_norms, py::arg("parts"));
    module.def("share_from", &sor::share_from, py::arg("elements"));
    module.def("threads_of_last_sweep", &sor::threads_of_last_sweep);
    module.def("sweeps_at_twice", &sor::sweeps_at_twice);
    module.def("sor_batch", &sor_batch, py::arg("indptr"), py::arg("indices"), py::arg("entries"), py::arg("rows"),
               py::arg("columns"), py::arg("data"), py::arg("shift"), py::arg("b"), py::arg("x"), py::arg("omega"),
               py::arg("rtol"), py::arg("atol"), py::arg("maxiter"), py::arg("info"), py::arg("iterations"));
    py::class_<sor::OmegaRule>(module, "OmegaRule")
        .def(py::init<double, bool, double>(), py::arg("weight"), py::arg("guarded"), py::arg("begin"))
        .def("window", &sor::OmegaRule::window)
        .def("observe", &observe, py::arg("norms"))
        .def_property_readonly("omega", &sor::OmegaRule::omega);
    py::class_<Relaxation> relaxation_class(module, "Relaxation");
    relaxation_class
        .def(py::init(&relaxation), py::arg("indptr"), py::arg("indices"), py::arg("data"), py::arg("rows"),
             py::arg("columns"), py::arg("order"))
        .def("half_solve", &half_solve, py::arg("b"), py::arg("omega"), py::arg("half"), py::arg("out"));
    add_methods(relaxation_class);
    py::class_<BlockRelaxation> blocks_class(module, "BlockRelaxation");
    blocks_class.def(py::init(&block_relaxation), py::arg("indptr"), py::arg("indices"), py::arg("data"),
                     py::arg("rows"), py::arg("columns"), py::arg("order"), py::arg("size"));
    add_methods(blocks_class);
    py::class_<sor::Stencil>(module, "Stencil")
        .def(py::init(&stencil), py::arg("coefficients"), py::arg("shape"), py::arg("boundary"), py::arg("mask"),
             py::arg("fixed"), py::arg("order"), py::arg("own") = py::none(), py::keep_alive<1, 2>())
        .def("sweep", &stencil_sweep, py::arg("u"), py::arg("f"), py::arg("omega"), py::arg("sweeps"),
             py::arg("lower") = py::none(), py::arg("upper") = py::none(), py::arg("sums") = py::none())
        .def_property_readonly("colors", &sor::Stencil::colors)
        .def("residual", &stencil_residual, py::arg("u"), py::arg("f"), py::arg("out") = py::none())
        .def(
            "diagonal",
            [](const sor::Stencil& self, const py::array& out) { self.diagonal(view_of(out, kStencil, "out")); },
            py::arg("out"));
    using sor::SsorCg;
    py::class_<SsorCg>(module, "SsorCg")
        .def(py::init(&ssor_cg), py::arg("a"), py::arg("b"), py::arg("x"), py::arg("omega"), py::arg("adaptive"),
             py::arg("rtol"), py::arg("atol"), py::arg("maxiter"), py::arg("chebyshev"), py::keep_alive<1, 2>(),
             py::keep_alive<1, 3>(), py::keep_alive<1, 4>())
        .def("run", &run, py::arg("iterations"))
        .def_property_readonly("finished", [](const SsorCg& s) { return s.progress().finished; })
        .def_property_readonly("info", [](const SsorCg& s) { return s.progress().info; })
        .def_property_readonly("iterations", [](const SsorCg& s) { return s.progress().iterations; })
        .def_property_readonly("residual", [](const SsorCg& s) { return s.progress().residual; })
        .def_property_readonly("tolerance", [](const SsorCg& s) { return s.progress().tolerance; })
        .def_property_readonly("residuals", [](const SsorCg& s) { return s.progress().residuals; })
        .def_property_readonly("omegas", [](const SsorCg& s) { return s.progress().omegas; })
        .def_property_readonly("lower_ends", [](const SsorCg& s) { return s.progress().lower_ends; });
}

}  // namespace sorgum
