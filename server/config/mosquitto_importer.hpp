#pragma once
// How import_mosquitto() does it; nobody else includes this.
// Pure; one per import, not copied: it points at the lines it has taken.

#include "server/config/mosquitto_import.hpp"
#include "server/config/options.hpp"
#include "server/config/options_table.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::config {

/// "17"; nothing for what is no whole number.
[[nodiscard]] std::optional<std::uint64_t> whole_number(std::string_view text);

struct MosquittoListener {
    const MosquittoLine* where = nullptr;  // null: the one that needs no line
    std::string port = "1883";
    std::string host;
    bool is_unix = false;
    bool websockets = false;
    bool wants_certificates = false;  // require_certificate
    bool names_by_certificate = false;
    bool ipv4_only = false;
    ListenerOptions options;
    std::vector<std::string> set;   // keys of `options` that a line has given
    std::optional<bool> anonymous;  // with per_listener_settings
    bool is_left_out = false;       // it would be something else here, and maybe more open
};

/// A value and the line that gave it.
template <class T>
struct Given {
    T value;
    const MosquittoLine* where = nullptr;
};

/// One pass over the lines; each directive is a member function, found in directives().
class MosquittoImporter {
  public:
    explicit MosquittoImporter(std::string data_dir) : data_dir_{std::move(data_dir)} {
        listeners_.emplace_back();  // the default one, which `port` and `bind_address` are about
    }

    void take(const MosquittoLine& line);
    Imported finish();

  private:
    using Member = void (MosquittoImporter::*)(const MosquittoLine&);
    struct Directive {
        std::string_view name;
        Member member;
        std::string_view text;  // a key of ours, or why there is nothing to do
    };
    static const std::vector<Directive>& directives();
    [[nodiscard]] static const Directive* find(std::string_view name);

    // --- what a directive does ---
    void count(const MosquittoLine& line);
    void bytes(const MosquittoLine& line);
    void seconds(const MosquittoLine& line);
    void tls_file(const MosquittoLine& line);
    void needless(const MosquittoLine& line) {
        out_.notes.push_back(line.says(std::string{text_}));
    }
    void missing(const MosquittoLine& line) {
        out_.warnings.push_back(line.says(std::string{text_}));
    }
    void needless_if_true(const MosquittoLine& line);
    void needless_if_false(const MosquittoLine& line);

    void listener(const MosquittoLine& line);
    void port(const MosquittoLine& line);
    void bind_address(const MosquittoLine& line);
    void socket_domain(const MosquittoLine& line);
    void protocol(const MosquittoLine& line);
    void max_connections(const MosquittoLine& line);
    void require_certificate(const MosquittoLine& line);
    void use_identity_as_username(const MosquittoLine& line);
    void cafile(const MosquittoLine& line);
    void tls_version(const MosquittoLine& line);
    void persistence(const MosquittoLine& line);
    void persistence_location(const MosquittoLine& line);
    void persistent_client_expiration(const MosquittoLine& line);
    void queued_messages(const MosquittoLine& line);
    void queued_bytes(const MosquittoLine& line);
    void message_size_limit(const MosquittoLine& line);
    void per_listener_settings(const MosquittoLine& line);
    void allow_anonymous(const MosquittoLine& line);
    void password_file(const MosquittoLine& line);
    void acl_file(const MosquittoLine& line);
    void log_type(const MosquittoLine& line);
    void log_dest(const MosquittoLine& line);
    void bridge(const MosquittoLine& line);
    void plugin(const MosquittoLine& line);
    void leave_out(const MosquittoLine& line);

    // --- helpers ---
    void warn(const MosquittoLine& line, std::string what, std::string hint = {}) {
        out_.warnings.push_back(line.says(std::move(what), std::move(hint)));
    }
    [[nodiscard]] std::optional<bool> flag(const MosquittoLine& line);
    [[nodiscard]] std::optional<std::uint64_t> number(const MosquittoLine& line);
    void set(const MosquittoLine& line, std::string_view key, std::string text);
    void set_file(Given<std::string>& file, const MosquittoLine& line);
    MosquittoListener& current() { return listeners_.back(); }
    /// Nothing says where to listen: Mosquitto then serves this machine only.
    [[nodiscard]] bool is_local_only() const {
        return listeners_.size() == 1 && !default_is_given_;
    }
    [[nodiscard]] bool exists(std::size_t listener) const {
        return listener != 0 || default_is_given_ || listeners_.size() == 1;
    }
    [[nodiscard]] AnonymousPolicy anonymous_policy() const;
    void settle_access();
    [[nodiscard]] ListenUrl url_of(const MosquittoListener& listener) const;
    void settle_certificates(MosquittoListener& listener);
    [[nodiscard]] std::string global_sections() const;
    [[nodiscard]] std::string listener_section(MosquittoListener& listener);

    const std::string data_dir_;
    Imported out_;
    std::string_view text_;  // of the directive that is being read
    std::vector<MosquittoListener> listeners_;
    bool default_is_given_ = false;
    Options options_;
    std::vector<std::pair<const Key*, std::string>> set_;  // and the line it comes from
    bool keeps_ = false;                                   // persistence
    bool per_listener_ = false;
    std::optional<bool> anonymous_;  // without per_listener_settings
    const MosquittoLine* anonymous_from_ = nullptr;
    bool has_plugin_ = false;
    Given<std::string> password_file_{};
    Given<std::string> acl_file_{};
    bool in_bridge_ = false;
};

}  // namespace stentor::config
