#include "tests/kit/allocations.hpp"

#include <cstdlib>
#include <new>

namespace stentor::kit {

std::size_t allocations = 0;

}  // namespace stentor::kit

// The other forms come here. Inlined, they would look to gcc like a new that is given to free.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
    ++stentor::kit::allocations;
    if (void* memory = std::malloc(bytes)) return memory;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
    std::free(memory);
}
