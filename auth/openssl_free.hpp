#pragma once
// Owners of what OpenSSL makes: std::unique_ptr<BIO, OpensslFree<BIO_free_all>>. Any thread that
// owns the object.

namespace stentor::auth {

template <auto kFree>
struct OpensslFree {
    template <class T>
    void operator()(T* object) const noexcept {
        kFree(object);
    }
};

}  // namespace stentor::auth
