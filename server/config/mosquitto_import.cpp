#include "server/config/mosquitto_import.hpp"

#include "server/config/mosquitto_importer.hpp"

#include <algorithm>

namespace stentor::config {

/// Never more open than it was.
AnonymousPolicy MosquittoImporter::anonymous_policy() const {
    const bool local = is_local_only();
    if (has_plugin_) return AnonymousPolicy::never;
    if (!per_listener_) {
        if (!anonymous_.value_or(local)) return AnonymousPolicy::never;
        return local ? AnonymousPolicy::loopback : AnonymousPolicy::always;
    }
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
        if (exists(i) && !listeners_[i].anonymous.value_or(local)) return AnonymousPolicy::never;
    }
    return local ? AnonymousPolicy::loopback : AnonymousPolicy::always;
}

void MosquittoImporter::settle_access() {
    options_.auth.anonymous = anonymous_policy();
    set_.emplace_back(find_key("auth.anonymous"),
                      anonymous_from_ == nullptr ? "its default" : anonymous_from_->where());
    const auto put = [this](std::string_view path, const Given<std::string>& file) {
        if (file.where != nullptr) set(*file.where, path, file.value);
    };
    put("auth.password_file", password_file_);
    put("auth.acl_file", acl_file_);
    if (acl_file_.where != nullptr) set(*acl_file_.where, "auth.acl_subscribe", "filter");
}

ListenUrl MosquittoImporter::url_of(const MosquittoListener& listener) const {
    ListenUrl url;
    if (listener.is_unix) {
        url.scheme = Scheme::unix_socket;
        url.path = listener.host;
        return url;
    }
    const bool tls = !listener.options.tls.certificate_file.empty();
    url.scheme = listener.websockets ? (tls ? Scheme::wss : Scheme::ws)
                                     : (tls ? Scheme::mqtts : Scheme::mqtt);
    url.path = listener.websockets ? "/mqtt" : "";
    url.host = listener.host;
    if (url.host.empty()) url.host = listener.ipv4_only ? "0.0.0.0" : "::";
    if (is_local_only()) url.host = "127.0.0.1";
    url.port = static_cast<std::uint16_t>(whole_number(listener.port).value_or(0));
    return url;
}

void MosquittoImporter::settle_certificates(MosquittoListener& listener) {
    TlsOptions& tls = listener.options.tls;
    const MosquittoLine* line = listener.where;
    if (!listener.wants_certificates) {
        // Mosquitto does not ask for one then, whatever cafile says.
        tls.client_ca_file.clear();
        tls.client_crl_file.clear();
        return;
    }
    tls.client_certificate = ClientCertificate::required;
    listener.set.emplace_back("listener.tls.client_certificate");
    if (!listener.names_by_certificate && line != nullptr) {
        warn(*line,
             "whoever shows a certificate is known by its common name here, and not asked for a "
             "password; with Mosquitto use_identity_as_username says so");
    }
}

std::string MosquittoImporter::global_sections() const {
    std::string out;
    for (const Section& section : sections()) {
        std::string keys_of_it;
        for (const auto& [key, where] : set_) {
            if (key->section() != section.path) continue;
            keys_of_it += std::string{key->name()} + " = " + format_value(*key, options_);
            keys_of_it += "  # " + where + '\n';
        }
        if (keys_of_it.empty()) continue;
        out += "\n[" + std::string{section.path} + "]\n" + keys_of_it;
    }
    return out;
}

std::string MosquittoImporter::listener_section(MosquittoListener& listener) {
    listener.options.url = url_of(listener);
    settle_certificates(listener);
    std::string out = "\n[[listener]]\n";
    const std::string where = listener.where == nullptr ? "its default" : listener.where->where();
    out += "url = \"" + to_string(listener.options.url) + "\"  # " + where + '\n';
    std::string tls;
    for (const Key& key : keys()) {
        const bool is_set =
            std::find(listener.set.begin(), listener.set.end(), key.path) != listener.set.end();
        const std::string value = is_set ? format_value(key, listener.options) : "";
        if (!is_set || value == "\"\"") continue;
        const bool of_tls = key.section() == "listener.tls";
        (of_tls ? tls : out) += std::string{key.name()} + " = " + value + '\n';
    }
    return tls.empty() ? out : out + "[listener.tls]\n" + tls;
}

Imported MosquittoImporter::finish() {
    settle_access();
    options_.node.data_dir = keeps_ ? data_dir_ : ":memory:";
    set_.emplace_back(find_key("node.data_dir"),
                      keeps_ ? "persistence true" : "persistence false, its default");
    std::string listeners;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
        if (exists(i) && !listeners_[i].is_left_out) listeners += listener_section(listeners_[i]);
    }
    out_.toml =
        "# Written by `stentor import`; behind each value the line that it comes from.\n"
        "# `stentor check -c FILE` says whether all of it can be used.\n" +
        global_sections() + listeners;
    return std::move(out_);
}

Imported import_mosquitto(const std::vector<MosquittoLine>& lines, const std::string& data_dir) {
    MosquittoImporter importer{data_dir};
    for (const MosquittoLine& line : lines) importer.take(line);
    return importer.finish();
}

}  // namespace stentor::config
