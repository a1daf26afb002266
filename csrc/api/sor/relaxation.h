// A matrix that is relaxed again and again: checked and copied once.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/sor/csr.h"
#include "api/sor/system.h"

namespace sorgum::sor {

enum class Direction { forward, backward, symmetric };
enum class Half { lower, upper };

struct SweepArguments {
    ArrayView x, b;
    double omega;
    Direction direction;
    index_t iterations;
    std::optional<ArrayView> lower, upper;  // of x
    std::optional<ArrayView> norms;         // float64, one per iteration
    std::optional<ArrayView> rows;          // int64: those that are relaxed, in this order; without norms
    index_t together = 1;                   // rows that one of these numbers stands for
};

Order order_of(const std::string& name);
Direction direction_of(const std::string& name);
Half half_of(const std::string& name);

// Calls may run at the same time; one that changes the matrix does so for the calls that begin later.
class Relaxation {
public:
    Relaxation(const CsrArrays& a, Order order);

    DType value_type() const { return value_type_; }
    index_t rows() const { return structure_->rows; }
    Order order() const { return order_; }
    index_t memory() const;  // bytes

    void sweep(const SweepArguments& a) const;

    // ||b - A x||, and b - A x where `out`, float64, is given.
    double residual(const ArrayView& x, const ArrayView& b, const std::optional<ArrayView>& out) const;

    // out = (D / omega + L)^-1 b, or with U; out may be b.
    void half_solve(const ArrayView& b, double omega, Half half, const ArrayView& out) const;

    // out = M^-1 r with M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + U); out may be r.
    void precondition(const ArrayView& r, double omega, const ArrayView& out) const;

    // The matrix has other values in its places, and no shift; or it is A + c I, whatever it was before.
    void update_values(const ArrayView& data);
    void shift(double c);

    // The largest sum of |a_ij| in a row, and the mean over rows of the sum of |a_ij| / |a_ii| over j != i; of A + c I.
    struct Magnitude {
        double largest_row, off_diagonal;
    };
    Magnitude magnitude() const;

    void diagonal(const ArrayView& out) const;  // of A + c I
    void colors(const ArrayView& out) const;    // int32; all 0 in natural order

    template <class T>
    System<T> system() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        return std::get<System<T>>(system_);
    }

    // Calls body with a number of the type of the values.
    template <class Body>
    auto with_type(Body&& body) const {
        return value_type_ == DType::f32 ? body(float()) : body(double());
    }

private:
    template <class T>
    void replace(System<T> by) {
        const std::lock_guard<std::mutex> lock(mutex_);
        system_ = std::move(by);
    }

    Order order_;
    DType value_type_;
    std::shared_ptr<const Structure> structure_;
    mutable std::mutex mutex_;
    std::variant<System<float>, System<double>> system_;
};

}  // namespace sorgum::sor
