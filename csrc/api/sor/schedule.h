// How several threads sweep in natural order, with the bits that one has.
//
// Rows are cut into runs, where a row depends on none shortly before it: at the lines or planes of a grid. A thread
// takes a run and goes through it piece by piece, each as soon as the pieces of other runs that it depends on are done:
// those of rows before it, in the order of the sweep, that have an entry in one of its columns or it in theirs. Runs
// are taken in the order of the sweep, so that whoever waits waits for one that is under way.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "api/sor/structure.h"

namespace sorgum::sor {

// A piece may be swept when this run has done this piece.
struct Need {
    index_t run, piece;
};

struct Needs {
    std::vector<index_t> first;  // of each piece
    std::vector<Need> all;
};

struct Schedule {
    std::vector<index_t> first_piece;  // of each run, and the number of pieces; empty where threads are no help
    std::vector<index_t> first_row;    // of each piece, and the number of rows
    Needs forward, backward;

    index_t runs() const { return first_piece.empty() ? 0 : static_cast<index_t>(first_piece.size()) - 1; }
};

Schedule schedule_of(const Structure& structure);

// One that is made when it is first asked for.
class LazySchedule {
public:
    const Schedule& of(const Structure& structure) {
        std::call_once(once_, [&] { schedule_ = schedule_of(structure); });
        return schedule_;
    }

private:
    std::once_flag once_;
    Schedule schedule_;
};

}  // namespace sorgum::sor
