// What the harnesses share: choices read from libFuzzer's bytes, arrays of exactly the size they need, so that ASan
// sees what lies beyond, and the comparison of the instruction sets.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/types.h"
#include "dispatch/dispatch.h"

namespace fuzz {

using sorgum::ArrayView;
using sorgum::DType;
using sorgum::index_t;
using sorgum::Isa;

using Output = std::vector<unsigned char>;

// The first bytes choose, the rest are elements; both are endless: bytes beyond the last are those from the first on.
class Bytes {
public:
    Bytes(const unsigned char* data, std::size_t size) : data_(data), size_(size) {}

    unsigned choose(unsigned count) { return static_cast<unsigned>(integer(count > 256 ? 2 : 1) % count); }
    bool flag() { return choose(2) != 0; }
    std::uint64_t integer(int bytes) {
        std::uint64_t value = 0;
        for (int i = 0; i < bytes; ++i)
            value = value << 8 | data_[at_++ % size_];
        return value;
    }
    void fill(void* to, std::size_t count) {
        unsigned char* const bytes = static_cast<unsigned char*>(to);
        for (std::size_t i = 0; i < count; ++i)
            bytes[i] = data_[at_++ % size_];
    }

private:
    const unsigned char* data_;
    std::size_t size_, at_ = 0;
};

inline index_t size_of(DType dtype) {
    const bool half = dtype == DType::f16 || dtype == DType::bf16;
    return dtype == DType::boolean ? 1 : half ? 2 : dtype == DType::f32 || dtype == DType::i32 ? 4 : 8;
}

// An array in memory of its own, `shift` elements behind what the allocator aligns; across: in Fortran's order.
class Array {
public:
    Array(DType dtype, const std::vector<index_t>& shape, index_t shift = 0, bool across = false) {
        view_.dtype = dtype;
        view_.writable = true;
        view_.ndim = static_cast<int>(shape.size());
        index_t bytes = size_of(dtype);
        const int n = view_.ndim;
        for (int i = 0; i < n; ++i) {
            const int d = across ? i : n - 1 - i;
            view_.shape[d] = shape[static_cast<std::size_t>(d)];
            view_.strides[d] = bytes;
            bytes *= view_.shape[d];
        }
        offset_ = static_cast<std::size_t>(shift * size_of(dtype));
        size_ = static_cast<std::size_t>(bytes);
        memory_.reset(new unsigned char[offset_ + size_]);
        std::memset(memory_.get(), 0x55, offset_ + size_);
        view_.data = memory_.get() + offset_;
    }
    const ArrayView& view() const { return view_; }
    std::size_t size() const { return size_; }
    template <class T>
    T* data() const {
        return static_cast<T*>(view_.data);
    }
    void append_to(Output& output) const {
        output.insert(output.end(), data<unsigned char>(), data<unsigned char>() + size_);
    }

private:
    ArrayView view_;
    std::size_t offset_, size_;
    std::unique_ptr<unsigned char[]> memory_;
};

inline Output contents(const Array& array) {
    Output output;
    array.append_to(output);
    return output;
}

// Elements of any encoding; or, `moderate`, from -128 to 128, so that not one alone dominates; or such ones with a few
// that do.
template <class T>
void fill_elements(Bytes& bytes, const Array& array, unsigned kind) {
    T* const x = array.data<T>();
    const index_t n = static_cast<index_t>(array.size() / sizeof(T));
    if (kind == 0)
        return bytes.fill(x, array.size());
    for (index_t i = 0; i < n; ++i)
        x[i] = static_cast<T>(static_cast<std::int16_t>(bytes.integer(2))) / 256;
    if (kind == 2)
        for (index_t i = static_cast<index_t>(bytes.integer(2)) % (n + 1); i < n; i += 1 + n / 3)
            x[i] = 1000;
}

// Temperatures that keep results normal, push them below, and go to the ends of the format.
inline double choose_temperature(Bytes& bytes) {
    constexpr double choices[] = {1.0, 1.0, 0.7, 37.5, 1e-3, 1e30, 1e-30, 0x1p-40};
    return choices[bytes.choose(8)];
}

// Appends the numbers of an array. All NaN are one: which one a row of NaN and infinities leaves is not promised.
template <class T>
void append_numbers(const Array& array, Output& output) {
    const T* const x = array.data<T>();
    for (std::size_t i = 0; i < array.size() / sizeof(T); ++i) {
        const T number = x[i] != x[i] ? T(12345) : x[i];
        const auto* const bytes = reinterpret_cast<const unsigned char*>(&number);
        output.insert(output.end(), bytes, bytes + sizeof(T));
    }
}

// Does `work`, which may append to the output; the text of its refusal is appended, too.
template <class Work>
void append_refusal(Output& output, Work&& work) {
    std::string text;
    try {
        work();
    } catch (const sorgum::TypeError& error) {
        text = error.what();
    } catch (const sorgum::ValueError& error) {
        text = error.what();
    }
    output.insert(output.end(), text.begin(), text.end());
}

// What `work` returns, or the text of its refusal.
template <class Work>
Output output_of(Work&& work) {
    Output output;
    append_refusal(output, [&] { output = work(); });
    return output;
}

// Runs `work` on every instruction set and ends the process where the outputs differ. An error is an output too.
template <class Work>
void compare(const char* what, Work&& work) {
    Output expected;
    for (const Isa isa : sorgum::available_isas()) {
        sorgum::set_isa(isa);
        const Output got = output_of(work);
        if (isa == Isa::scalar)
            expected = got;
        if (got == expected)
            continue;
        std::size_t at = 0;
        while (at < got.size() && at < expected.size() && got[at] == expected[at])
            ++at;
        std::fprintf(stderr, "%s: %s differs from scalar at byte %zu of %zu\n", what, sorgum::isa_name(isa), at,
                     expected.size());
        std::abort();
    }
}

}  // namespace fuzz
