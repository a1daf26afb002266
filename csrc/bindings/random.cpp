// The family random.
#include <pybind11/stl.h>

#include <algorithm>
#include <tuple>

#include "api/call/extent.h"
#include "api/random/categorical.h"
#include "api/random/check.h"
#include "api/random/random.h"
#include "api/random/soft_tokens.h"
#include "bindings/common/array.h"
#include "bindings/common/call.h"

namespace sorgum {

namespace {

using OptionalArray = std::optional<py::array>;

random::Source source_of(const char* function, std::uint64_t key, const OptionalArray& streams,
                         const py::array& position, index_t index_offset, const OptionalArray& given) {
    random::Source source;
    source.key = key;
    source.streams = optional_view(streams, function, "streams");
    source.position = view_of(position, function, "position");
    source.index_offset = index_offset;
    source.given = optional_view(given, function, "given");
    return source;
}

void noise(const std::string& law, bool wide, std::uint64_t key, const OptionalArray& streams,
           const py::array& position, index_t index_offset, const std::vector<index_t>& shape, const py::array& out,
           const OptionalArray& given) {
    const char* const name = law.c_str();
    const random::Source source = source_of(name, key, streams, position, index_offset, given);
    const ArrayView to = view_of(out, name, "out");
    without_gil([&] { random::noise(law, wide, source, shape, to); });
}

void check_places(const std::string& function, const std::vector<index_t>& shape, const OptionalArray& streams,
                  const py::array& position, index_t index_offset) {
    const char* const name = function.c_str();
    random::check_places(name, shape, source_of(name, 0, streams, position, index_offset, std::nullopt));
}

void check_draw(const std::string& function, const std::vector<index_t>& shape, const py::array& temperature,
                const OptionalArray& streams, const py::array& position, index_t index_offset) {
    const char* const name = function.c_str();
    random::check_draw(name, shape, view_of(temperature, name, "temperature"),
                       source_of(name, 0, streams, position, index_offset, std::nullopt));
}

// top_k, top_p, min_p, filter_order, and whether all ties are kept.
using FilterTuple = std::tuple<py::array, py::array, py::array, std::vector<std::string>, bool>;

random::FilterArguments filters_of(const char* function, const FilterTuple& given) {
    const auto& [top_k, top_p, min_p, order, all_ties] = given;
    return {view_of(top_k, function, "top_k"), view_of(top_p, function, "top_p"), view_of(min_p, function, "min_p"),
            order, all_ties};
}

void draw(const std::string& function, const py::array& logits, const py::array& temperature,
          const OptionalArray& where, std::uint64_t key, const OptionalArray& streams, const py::array& position,
          index_t index_offset, const py::array& out, bool inverse, bool log_prob,
          const std::optional<FilterTuple>& filters, const OptionalArray& given) {
    const char* const name = function.c_str();
    const random::Source source = source_of(name, key, streams, position, index_offset, given);
    random::DrawArguments a = {name,
                               view_of(logits, name, "logits"),
                               view_of(temperature, name, "temperature"),
                               optional_view(where, name, "where"),
                               view_of(out, name, "out"),
                               inverse,
                               log_prob,
                               std::nullopt};
    if (filters)
        a.filters = filters_of(name, *filters);
    without_gil([&] { random::draw(a, source); });
}

void keep_filtered(const std::string& function, const py::array& logits, const py::array& temperature,
                   const OptionalArray& where, const FilterTuple& filters, const py::array& out) {
    const char* const name = function.c_str();
    const random::KeepArguments a = {
        name,
        view_of(logits, name, "logits"),
        view_of(temperature, name, "temperature"),
        optional_view(where, name, "where"),
        view_of(out, name, "out"),
        filters_of(name, filters),
    };
    without_gil([&] { random::keep_filtered(a); });
}

void penalise(const std::string& function, const py::array& logits, const py::array& tokens,
              const OptionalArray& prompt, const py::array& repetition, const py::array& frequency,
              const py::array& presence) {
    const char* const name = function.c_str();
    const random::PenaltyArguments a = {
        name,
        view_of(logits, name, "logits"),
        view_of(tokens, name, "tokens"),
        optional_view(prompt, name, "prompt"),
        view_of(repetition, name, "repetition"),
        view_of(frequency, name, "frequency"),
        view_of(presence, name, "presence"),
    };
    without_gil([&] { random::penalise(a); });
}

void gamma(const std::string& function, const py::array& concentration, bool logarithm, std::uint64_t key,
           const OptionalArray& streams, const py::array& position, index_t index_offset, const py::array& out) {
    const char* const name = function.c_str();
    const random::Source source = source_of(name, key, streams, position, index_offset, std::nullopt);
    const ArrayView from = view_of(concentration, name, "concentration"), to = view_of(out, name, "out");
    without_gil([&] { random::gamma(name, from, logarithm, source, to); });
}

void gumbel_top(const std::string& function, const py::array& logits, const py::array& temperature,
                const OptionalArray& where, index_t most, std::uint64_t key, const OptionalArray& streams,
                const py::array& position, index_t index_offset, const py::array& out,
                const std::optional<FilterTuple>& filters) {
    const char* const name = function.c_str();
    const random::Source source = source_of(name, key, streams, position, index_offset, std::nullopt);
    random::TopArguments a = {name,
                              view_of(logits, name, "logits"),
                              view_of(temperature, name, "temperature"),
                              optional_view(where, name, "where"),
                              most,
                              view_of(out, name, "out"),
                              std::nullopt};
    if (filters)
        a.filters = filters_of(name, *filters);
    without_gil([&] { random::gumbel_top(a, source); });
}

void gumbel_softmax(const std::string& function, const py::array& logits, const py::array& temperature,
                    const OptionalArray& where, std::uint64_t key, const OptionalArray& streams,
                    const py::array& position, index_t index_offset, const py::array& out) {
    const char* const name = function.c_str();
    const random::Source source = source_of(name, key, streams, position, index_offset, std::nullopt);
    const random::RelaxArguments a = {name, view_of(logits, name, "logits"), view_of(temperature, name, "temperature"),
                                      optional_view(where, name, "where"), view_of(out, name, "out")};
    without_gil([&] { random::gumbel_softmax(a, source); });
}

void gumbel_add(const std::string& function, const py::array& logits, std::uint64_t key, const OptionalArray& streams,
                const py::array& position, index_t index_offset, const py::array& out) {
    const char* const name = function.c_str();
    const random::Source source = source_of(name, key, streams, position, index_offset, std::nullopt);
    const ArrayView from = view_of(logits, name, "logits"), to = view_of(out, name, "out");
    without_gil([&] { random::gumbel_add(name, from, source, to); });
}

void noise_of_chosen(const std::string& function, std::uint64_t key, const py::array& streams,
                     const py::array& positions, const py::array& indices, const OptionalArray& concentration,
                     const py::array& out) {
    const char* const name = function.c_str();
    const random::ChosenNoise a = {name,
                                   key,
                                   view_of(streams, name, "streams"),
                                   view_of(positions, name, "positions"),
                                   view_of(indices, name, "indices"),
                                   optional_view(concentration, name, "concentration"),
                                   view_of(out, name, "out")};
    without_gil([&] { random::noise_of_chosen(a); });
}

void embedding_mix(const std::string& function, const py::array& weights, const py::array& indices,
                   const py::array& table, const py::array& out) {
    const char* const name = function.c_str();
    const random::EmbeddingMix a = {name, view_of(weights, name, "weights"), view_of(indices, name, "indices"),
                                    view_of(table, name, "embeddings"), view_of(out, name, "out")};
    without_gil([&] { random::embedding_mix(a); });
}

// ---- plain calls of categorical ----

PyObject* key_type = nullptr;  // sorgum.random.Key, once it is there

// 64 bits of an int, which is not negative; for a key also those of a Key.
bool read_word(PyObject* given, std::uint64_t& word) {
    if (given == nullptr || Py_TYPE(given) != &PyLong_Type)
        return false;
    word = PyLong_AsUnsignedLongLong(given);
    if (PyErr_Occurred() == nullptr)
        return true;
    PyErr_Clear();
    return false;
}

bool read_key(PyObject* given, std::uint64_t& key) {
    static PyObject* const value = PyUnicode_InternFromString("value");
    if (given == nullptr || reinterpret_cast<PyObject*>(Py_TYPE(given)) != key_type)
        return read_word(given, key);
    const auto own = py::reinterpret_steal<py::object>(PyObject_GetAttr(given, value));
    return read_word(own.ptr(), key);
}

PyObject* answer_categorical(const void*, Way way, PyObject* const* args, index_t count, PyObject* names) {
    static const Parameters parameters(1, {"logits", "rng", "temperature", "streams", "position"});
    return answered(way, [&]() -> PyObject* {
        PyObject* values[Parameters::kMost];
        if (!parameters.sort(way, args, count, names, values))
            return nullptr;
        const auto [logits, rng, temperature, streams, position] =
            std::tuple(values[0], values[1], values[2], values[3], values[4]);
        Reader reader(way, "categorical");
        random::CategoricalArguments a = {};
        a.own_streams = !is_given(streams);
        if (!reader.array(logits, "logits", a.logits) || !read_key(rng, a.key) ||
            !reader.number(temperature, a.temperature) || !(a.own_streams || read_word(streams, a.stream)) ||
            !(position == nullptr || read_word(position, a.position)))
            return nullptr;
        index_t drawn[random::kMostDraws];
        bool taken = false;
        without_gil(a.logits, [&] { taken = random::categorical(a, drawn); });
        ArrayView result = random::result_of(a);
        py::object made = taken ? reader.new_array(result) : py::object();
        if (!made)
            return nullptr;
        std::copy_n(drawn, size_of(result), static_cast<index_t*>(result.data));
        return handed_out(std::move(made));
    });
}

}  // namespace

void register_random(py::module_& module) {
    module.def("set_key_type", [](const py::object& type) { key_type = Py_NewRef(type.ptr()); }, py::arg("type"));
    answer_plain_calls("sorgum.random.categorical", {answer_categorical, nullptr});
    module.def("derived_key", &random::derived_key, py::arg("key"), py::arg("data"), py::arg("tag"));
    module.def(
        "philox",
        [](const py::array& counter, const py::array& key, const py::array& out, index_t rounds) {
            random::philox(view_of(counter, "philox", "counter"), view_of(key, "philox", "key"),
                           view_of(out, "philox", "out"), rounds);
        },
        py::arg("counter"), py::arg("key"), py::arg("out"), py::arg("rounds"));
    module.def("check_places", &check_places, py::arg("function"), py::arg("shape"), py::arg("streams"),
               py::arg("position"), py::arg("index_offset"));
    module.def("check_draw", &check_draw, py::arg("function"), py::arg("shape"), py::arg("temperature"),
               py::arg("streams"), py::arg("position"), py::arg("index_offset"));
    module.def("noise", &noise, py::arg("law"), py::arg("wide"), py::arg("key"), py::arg("streams"),
               py::arg("position"), py::arg("index_offset"), py::arg("shape"), py::arg("out"),
               py::arg("given") = py::none());
    module.def("draw", &draw, py::arg("function"), py::arg("logits"), py::arg("temperature"), py::arg("where"),
               py::arg("key"), py::arg("streams"), py::arg("position"), py::arg("index_offset"), py::arg("out"),
               py::arg("inverse"), py::arg("log_prob"), py::arg("filters") = py::none(), py::arg("given") = py::none());
    module.def("keep_filtered", &keep_filtered, py::arg("function"), py::arg("logits"), py::arg("temperature"),
               py::arg("where"), py::arg("filters"), py::arg("out"));
    module.def("penalise", &penalise, py::arg("function"), py::arg("logits"), py::arg("tokens"), py::arg("prompt"),
               py::arg("repetition"), py::arg("frequency"), py::arg("presence"));
    module.def("gamma", &gamma, py::arg("function"), py::arg("concentration"), py::arg("logarithm"), py::arg("key"),
               py::arg("streams"), py::arg("position"), py::arg("index_offset"), py::arg("out"));
    module.def("gumbel_top", &gumbel_top, py::arg("function"), py::arg("logits"), py::arg("temperature"),
               py::arg("where"), py::arg("most"), py::arg("key"), py::arg("streams"), py::arg("position"),
               py::arg("index_offset"), py::arg("out"), py::arg("filters") = py::none());
    module.def("gumbel_softmax", &gumbel_softmax, py::arg("function"), py::arg("logits"), py::arg("temperature"),
               py::arg("where"), py::arg("key"), py::arg("streams"), py::arg("position"), py::arg("index_offset"),
               py::arg("out"));
    module.def("gumbel_add", &gumbel_add, py::arg("function"), py::arg("logits"), py::arg("key"), py::arg("streams"),
               py::arg("position"), py::arg("index_offset"), py::arg("out"));
    module.def("noise_of_chosen", &noise_of_chosen, py::arg("function"), py::arg("key"), py::arg("streams"),
               py::arg("positions"), py::arg("indices"), py::arg("concentration"), py::arg("out"));
    module.def("embedding_mix", &embedding_mix, py::arg("function"), py::arg("weights"), py::arg("indices"),
               py::arg("embeddings"), py::arg("out"));
}

}  // namespace sorgum
