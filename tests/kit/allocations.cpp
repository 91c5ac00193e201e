#include "tests/kit/allocations.hpp"

#include <malloc.h>

#include <cstdlib>
#include <new>

namespace stentor::kit {

std::size_t allocations = 0;
std::size_t bytes_in_use = 0;

namespace {

std::size_t bytes_of(void* memory) { return ::malloc_usable_size(memory) + sizeof(std::size_t); }

void release(void* memory) {
    if (memory != nullptr) bytes_in_use -= bytes_of(memory);
    std::free(memory);
}

}  // namespace

}  // namespace stentor::kit

// The other forms come here. Inlined, they would look to gcc like a new that is given to free.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
    ++stentor::kit::allocations;
    void* const memory = std::malloc(bytes);
    if (memory != nullptr) stentor::kit::bytes_in_use += stentor::kit::bytes_of(memory);
    return memory;
}
[[gnu::noinline]] void* operator new(std::size_t bytes) {
    if (void* const memory = ::operator new(bytes, std::nothrow)) return memory;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { stentor::kit::release(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
    stentor::kit::release(memory);
}
