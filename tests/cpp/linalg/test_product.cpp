// The tile kernel against its definition in plain C++: the order of the sum, the ends, shapes that fill no tile.
#include "kernels/linalg/product.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "api/call/runtime.h"
#include "api/linalg/matrix.h"
#include "check.h"
#include "core/fp_env.h"
#include "dispatch/dispatch.h"
#include "dispatch/linalg.h"

namespace {

using namespace sorgum;
using namespace sorgum::linalg;

template <class T>
T chain(const T* x, const T* y, index_t begin, index_t end) {
    T sum = 0;
    for (index_t k = begin; k < end; ++k)
        sum = std::fma(x[k], y[k], sum);
    return sum;
}

template <class T>
std::vector<T> chunk_sums(const T* x, const T* y, index_t depth) {
    std::vector<T> sums;
    for (index_t k = 0; k < depth; k += kDepthChunk)
        sums.push_back(chain(x, y, k, std::min(depth, k + kDepthChunk)));
    return sums;
}

// The binary counter, as docs/numerics/linalg.md has it.
template <class T>
T by_counter(const std::vector<T>& chunks) {
    std::vector<std::vector<T>> levels(1);  // empty, or one sum
    for (T sum : chunks) {
        std::size_t level = 0;
        for (; !levels[level].empty(); ++level) {
            sum = levels[level].back() + sum;
            levels[level].clear();
            if (level + 1 == levels.size())
                levels.emplace_back();
        }
        levels[level].push_back(sum);
    }
    bool any = false;
    T total = 0;
    for (const auto& level : levels)
        if (!level.empty()) {
            total = any ? level.back() + total : level.back();
            any = true;
        }
    return total;
}

// Another order: halves of halves.
template <class T>
T by_halving(const T* chunks, std::size_t n) {
    return n == 1 ? chunks[0] : by_halving(chunks, n / 2) + by_halving(chunks + n / 2, n - n / 2);
}

template <class T>
std::vector<T> numbers(index_t n, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<T> x(static_cast<std::size_t>(n));
    for (T& value : x)
        value = static_cast<T>((static_cast<double>(random() >> 11) * 0x1p-53 - 0.5) * 4);
    return x;
}

template <class T>
Matrix matrix(std::vector<T>& x, index_t rows, index_t columns, bool by_columns) {
    const DType dtype = sizeof(T) == sizeof(double) ? DType::f64 : DType::f32;
    return {reinterpret_cast<char*>(x.data()), dtype, rows, columns, by_columns ? 1 : columns, by_columns ? rows : 1};
}

template <class T>
T at(const std::vector<T>& x, const Matrix& m, index_t i, index_t j) {
    return x[static_cast<std::size_t>(i * m.row_stride + j * m.column_stride)];
}

// What the kernel makes of x y with an end.
template <class T>
std::vector<T> product(const Matrix& x, const Matrix& y, End end, T scale, const std::vector<T>& base) {
    using P = Pair<T, T>;
    PackedRows<T> rows;
    PackedColumns<T> columns;
    rows.pack(x, 0, x.rows);
    columns.pack(y);
    std::vector<T> out(static_cast<std::size_t>(x.rows * y.columns)),
        sums(static_cast<std::size_t>(sums_for(x.columns)));
    Product<P> p = {};
    p.x = rows.data();
    p.x_pitch = rows.pitch();
    p.y = columns.panels(0);
    p.rows = x.rows;
    p.columns = y.columns;
    p.depth = x.columns;
    p.sums = sums.data();
    p.end = end;
    p.scale = scale;
    p.base = base.data();
    p.base_pitch = p.out_pitch = y.columns;
    p.out = out.data();
    linalg_product(kernels(), P())(p);
    return out;
}

template <class T>
T ended(End end, T scale, T s, T b) {
    switch (end) {
        case End::scaled:
            return scale * s;
        case End::added:
            return std::fma(scale, s, b);
        case End::added_rounded:
            return b + scale * s;
        default:
            return std::fma(b, scale * s, b);
    }
}

template <class T>
void check_shape(index_t rows, index_t columns, index_t depth, bool x_by_columns, bool y_by_columns) {
    std::vector<T> from_x = numbers<T>(rows * depth, 1), from_y = numbers<T>(depth * columns, 2);
    const std::vector<T> base = numbers<T>(rows * columns, 3);
    const Matrix x = matrix(from_x, rows, depth, x_by_columns), y = matrix(from_y, depth, columns, y_by_columns);
    for (const End end : {End::scaled, End::added, End::added_rounded, End::multiplied}) {
        const T scale = T(0.7);
        const std::vector<T> got = product(x, y, end, scale, base);
        bool same = true;
        for (index_t i = 0; i < rows; ++i)
            for (index_t j = 0; j < columns; ++j) {
                std::vector<T> row, column;
                for (index_t k = 0; k < depth; ++k) {
                    row.push_back(at(from_x, x, i, k));
                    column.push_back(at(from_y, y, k, j));
                }
                const T s = by_counter(chunk_sums(row.data(), column.data(), depth));
                const auto place = static_cast<std::size_t>(i * columns + j);
                const T expected = ended(end, scale, s, base[place]);
                same = same && std::memcmp(&expected, &got[place], sizeof(T)) == 0;
            }
        CHECK(same);
    }
}

template <class T>
void check_shapes() {
    for (const index_t depth : {0, 1, 3, 511, 512, 513, 1024, 1025, 3 * 512, 7 * 512 + 9, 9 * 512, 17 * 512 + 100})
        check_shape<T>(2, 17, depth, false, true);
    for (const index_t rows : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 16, 25})
        for (const index_t columns : {1, 15, 16, 17, 32, 33, 48})
            check_shape<T>(rows, columns, rows % 2 == 0 ? 600 : 20, rows % 3 == 0, columns % 2 == 0);
}

// What the tests of the order are worth: halving has other bits for most numbers of chunks that are no powers of two.
template <class T>
void check_that_halving_differs() {
    const index_t depth = 7 * kDepthChunk;
    std::vector<T> from_x = numbers<T>(20 * depth, 4), from_y = numbers<T>(20 * depth, 5);
    const Matrix x = matrix(from_x, 20, depth, false), y = matrix(from_y, depth, 20, true);
    const std::vector<T> got = product(x, y, End::scaled, T(1), {});
    int differ = 0;
    for (index_t i = 0; i < 20; ++i)
        for (index_t j = 0; j < 20; ++j) {
            const std::vector<T> chunks = chunk_sums(&from_x[static_cast<std::size_t>(i * depth)],
                                                     &from_y[static_cast<std::size_t>(j * depth)], depth);
            const T halved = by_halving(chunks.data(), chunks.size());
            differ += std::memcmp(&halved, &got[static_cast<std::size_t>(i * 20 + j)], sizeof(T)) != 0;
        }
    CHECK(differ > 100);
}

void check_all() {
    const FpGuard guard;
    check_shapes<float>();
    check_shapes<double>();
    check_that_halving_differs<float>();
    check_that_halving_differs<double>();
}

}  // namespace

int main() {
    for (const std::string& isa : runtime::available_isas()) {
        runtime::set_isa(isa);
        check_all();
    }
    return check::finish();
}
