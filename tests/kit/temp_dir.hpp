#pragma once
// A directory of a test's own, removed with everything in it at the end.
// Any thread; one object is used by one thread at a time.

#include <filesystem>
#include <string>
#include <string_view>

namespace stentor::kit {

class TempDir {
  public:
    /// Creates it below the system's temporary directory, readable by us only. Throws when it
    /// cannot.
    TempDir();
    /// Removes it; what cannot be removed stays.
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }

    /// Writes a file in it and returns its path. Throws when it cannot.
    std::string write(std::string_view name, std::string_view content) const;

  private:
    std::filesystem::path path_;
};

}  // namespace stentor::kit
