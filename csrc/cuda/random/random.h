// Noise and Gumbel-max draws on a CUDA device: what csrc/api/random/random.h is for those of the CPU. Arrays of numbers
// per row are the host's, all else is the device's. Work is put on the stream.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/types.h"
#include "cuda/random/launch.h"

namespace sorgum::cuda {

// Who draws. Per row: int64 taken as 64 bits, and float64, contiguous.
struct Source {
    std::uint64_t key;
    std::optional<ArrayView> streams, positions;
    std::uint64_t position;  // of all rows, without `positions`
    index_t index_offset;
    std::optional<ArrayView> given;  // words of every row in the encoding of float32, on the device: for tests of noise
};

// Fills `out`, whose last axis makes rows: float32, float64, for "gumbel" bfloat16 too; for "bits" the encodings of
// words as long.
void noise(const std::string& law, bool wide, const Source& source, const std::vector<index_t>& shape,
           const ArrayView& out, const Place& place);

struct DrawArguments {
    ArrayView logits;                // float32, float16 or bfloat16; the categories lie along the last axis
    std::optional<ArrayView> where;  // bool, broadcast to the logits
    ArrayView out;                   // int64, contiguous: the rows' shape and, if `several`, `samples`
    index_t samples;
    bool several;
    std::optional<ArrayView> temperatures;
    double temperature;  // of all rows, without `temperatures`
    bool wait;
};
// Waits for the draws where that is asked, and then returns what DrawRows::invalid tells, else kAllValid.
std::uint64_t categorical(const DrawArguments& arguments, const Source& source, const Place& place);

}  // namespace sorgum::cuda
