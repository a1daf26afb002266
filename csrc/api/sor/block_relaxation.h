// A matrix whose rows are relaxed some at a time: exactly, by what their dense block on the diagonal says.
#pragma once

#include <memory>
#include <mutex>
#include <variant>

#include "api/sor/point_blocks.h"
#include "api/sor/relaxation.h"

namespace sorgum::sor {

// The methods are those of Relaxation, and so is what may be called at the same time.
class BlockRelaxation {
public:
    BlockRelaxation(const CsrArrays& a, Order order, index_t size);

    DType value_type() const { return value_type_; }
    index_t rows() const { return pattern_.rows; }
    index_t size() const { return pattern_.size; }
    index_t memory() const;

    // `rows`, where they are given, are numbers of blocks.
    void sweep(const SweepArguments& a) const;
    double residual(const ArrayView& x, const ArrayView& b, const std::optional<ArrayView>& out) const;
    void precondition(const ArrayView& r, double omega, const ArrayView& out) const;
    void update_values(const ArrayView& data);
    void shift(double c);
    Relaxation::Magnitude magnitude() const;
    void diagonal(const ArrayView& out) const;
    void colors(const ArrayView& out) const;

private:
    // What it consists of never changes.
    template <class T>
    struct State {
        AlignedArray<T> data;  // as the matrix had it
        PointBlocks<T> blocks;
        std::unique_ptr<const Relaxation> scaled;
    };
    template <class T>
    using Shared = std::shared_ptr<const State<T>>;

    template <class T>
    Shared<T> made(const char* function, const T* data, T shift) const;
    template <class T>
    Shared<T> state() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        return std::get<Shared<T>>(state_);
    }
    template <class T>
    void replace(Shared<T> by) {
        const std::lock_guard<std::mutex> lock(mutex_);
        state_ = std::move(by);
    }
    template <class Body>
    auto with_type(Body&& body) const {
        return value_type_ == DType::f32 ? body(float()) : body(double());
    }

    DType value_type_;
    Order order_;
    index_t entries_;
    OwnIndices indices_;
    BlockPattern pattern_;
    mutable std::mutex mutex_;
    std::variant<Shared<float>, Shared<double>> state_;
};

}  // namespace sorgum::sor
