#include "dispatch/dispatch.h"

#include <atomic>
#include <cstdlib>

#include "core/error.h"
#include "dispatch/counting.h"

namespace sorgum {

namespace {

bool compiled(Isa wanted) {
    bool found = false;
#define SORGUM_UNIT(isa, family) found = found || wanted == Isa::isa;
#include "isa/units.inc"
#undef SORGUM_UNIT
    return found;
}

// Addresses only.
KernelTable tables_of([[maybe_unused]] Isa wanted) {
    KernelTable tables = {};
#define SORGUM_UNIT(isa, family)                      \
    if (wanted == Isa::isa) {                         \
        tables.family##_table = &isa::family##_table; \
    }
#include "isa/units.inc"
#undef SORGUM_UNIT
    return tables;
}

struct Entry {
    Isa isa;
    bool available;
    KernelTable tables;
};

struct Entries {
    Entry by_isa[kIsaCount];
    Entries() {
        const CpuFacts facts = read_cpu_facts();
        for (int i = 0; i < kIsaCount; ++i) {
            const Isa isa = static_cast<Isa>(i);
            by_isa[i] = {isa, compiled(isa) && supports(facts, isa), tables_of(isa)};
        }
    }
};

const Entries& entries() {
    static const Entries all;
    return all;
}

std::atomic<const Entry*> active{nullptr};

std::string available_names() {
    std::string text;
    for (const Isa isa : available_isas()) {
        text += std::string(text.empty() ? "'" : ", '") + isa_name(isa) + "'";
    }
    return text;
}

const Entry& available_entry(Isa isa, const char* subject) {
    const Entry& entry = entries().by_isa[static_cast<int>(isa)];
    if (!entry.available) {
        throw MachineError(std::string(subject) + " must be supported by this machine and build (" + available_names() +
                           "), got '" + isa_name(isa) + "'");
    }
    return entry;
}

const Entry& first_choice() {
    const char* const text = std::getenv("SORGUM_ISA");
    if (text == nullptr || *text == '\0') {
        return entries().by_isa[static_cast<int>(available_isas().back())];
    }
    Isa isa;
    if (!parse_isa(text, &isa)) {
        throw MachineError("SORGUM_ISA: must be one of " + isa_choices() + ", got '" + text + "'");
    }
    return available_entry(isa, "SORGUM_ISA:");
}

const Entry& active_entry() {
    const Entry* current = active.load(std::memory_order_acquire);
    if (current == nullptr) {
        const Entry* const first = &first_choice();
        // Another thread may have been quicker; its choice, or what set_isa() made of it, stands.
        if (active.compare_exchange_strong(current, first, std::memory_order_acq_rel)) {
            current = first;
        }
    }
    return *current;
}

}  // namespace

void initialise_dispatch() { active_entry(); }

const KernelTable& kernels() { return active_entry().tables; }

Isa active_isa() { return active_entry().isa; }

std::vector<Isa> available_isas() {
    std::vector<Isa> isas;
    for (const Entry& entry : entries().by_isa) {
        if (entry.available) {
            isas.push_back(entry.isa);
        }
    }
    return isas;
}

void set_isa(Isa isa) { active.store(&available_entry(isa, "set_isa: name"), std::memory_order_release); }

void count_kernel_calls() {
    static Entry counting;
    counting = entries().by_isa[static_cast<int>(active_isa())];
    counting.tables = counting_tables(counting.tables);
    active.store(&counting, std::memory_order_release);
}

std::vector<std::string> families() {
    return {
#define SORGUM_FAMILY(family) #family,
#include "isa/families.inc"
#undef SORGUM_FAMILY
    };
}

std::vector<std::string> kernel_names() {
    return {
#define SORGUM_KERNEL(family, name, type, suffix) #family "." #name "." #suffix,
#include "isa/kernels.inc"
#undef SORGUM_KERNEL
    };
}

}  // namespace sorgum
