#pragma once
// Named values as a line for people (`name=value name="two words"`) or as a JSON object.
// Values. One thread at a time.

#include "base/bytes.hpp"

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::store {

class Fields {
  public:
    template <std::integral Number>
    Fields& add(std::string_view name, Number value) {
        return add_raw(name, std::to_string(value));
    }
    Fields& add(std::string_view name, bool value) {
        return add_raw(name, value ? "true" : "false");
    }
    Fields& add(std::string_view name, std::string_view text);
    Fields& add(std::string_view name, const char* text) {
        return add(name, std::string_view{text});
    }
    /// Objects in an array.
    Fields& add(std::string_view name, const std::vector<Fields>& items);

    [[nodiscard]] std::string text() const;
    [[nodiscard]] std::string json() const;
    /// A line per value, names in a column; lists follow, a line per item.
    [[nodiscard]] std::string block() const;

  private:
    struct Entry {
        std::string name;
        std::string value;  // as JSON has it
        std::vector<Fields> items;
        bool is_list = false;
    };
    Fields& add_raw(std::string_view name, std::string value);

    std::vector<Entry> entries_;
};

/// At most `bytes_max` bytes of a payload, what is not printable ASCII as a dot; "..." if cut.
[[nodiscard]] std::string excerpt(ByteView payload, std::size_t bytes_max);

}  // namespace stentor::store
