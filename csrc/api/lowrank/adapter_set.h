// Several adapters of one layer, packed once.
#pragma once

#include <memory>
#include <vector>

#include "api/lowrank/rows.h"

namespace sorgum::lowrank {

struct AdapterArguments {
    ArrayView a, b;
    double scale;
};

struct SetApplyArguments {
    ArrayView x, ids, out;  // ids: int64, one for each row; -1: no adapter
    std::optional<ArrayView> base;
};

class AdapterSet {
public:
    // Throws if the factors of an adapter do not fit each other, or the adapters one layer.
    AdapterSet(const std::vector<AdapterArguments>& given, bool wide);

    void apply(const SetApplyArguments& given) const;

    index_t inputs() const { return inputs_; }
    index_t outputs() const { return outputs_; }
    index_t count() const { return static_cast<index_t>(narrow_.size() + wide_.size()); }
    bool is_wide() const { return is_wide_; }

private:
    template <class T>
    const std::vector<PackedAdapter<T>>& packed() const;
    template <class T>
    void apply_as(const SetApplyArguments& given, const linalg::Matrix& x) const;

    bool is_wide_;
    index_t inputs_ = 0, outputs_ = 0;
    std::vector<PackedAdapter<float>> narrow_;
    std::vector<PackedAdapter<double>> wide_;
};

}  // namespace sorgum::lowrank
