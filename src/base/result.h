#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace weir {

/// What went wrong, for whoever can decide about it.
///
/// `code` is a stable snake_case word that programs compare (`too_few_readings`, `disk_full`); `message` is one sentence
/// for people: where, what was found, what is allowed, what happens next. Never holds a secret.
struct Error {
    std::string code;
    std::string message;

    /// The same error seen from further out: `context: message`.
    Error within(std::string_view context) && {
        message.insert(0, std::string(context) + ": ");
        return std::move(*this);
    }
    bool operator==(const Error&) const = default;
};

/// A value or an Error. `Result<void>` for operations that only succeed or fail.
/// g++ 12 has no usable <expected>; this is the part of it that weir needs.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }

    T& value() & { return std::get<0>(state_); }
    const T& value() const& { return std::get<0>(state_); }
    T&& value() && { return std::get<0>(std::move(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    Error& error() & { return std::get<1>(state_); }
    const Error& error() const& { return std::get<1>(state_); }
    Error&& error() && { return std::get<1>(std::move(state_)); }

    T value_or(T other) && { return ok() ? std::move(*this).value() : std::move(other); }

private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    bool ok() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return ok(); }
    Error& error() & { return *error_; }
    const Error& error() const& { return *error_; }
    Error&& error() && { return *std::move(error_); }

private:
    std::optional<Error> error_;
};

/// Success of a `Result<void>`: `return ok();`
inline Result<void> ok() { return {}; }

}  // namespace weir

#define WEIR_CONCAT_INNER(a, b) a##b
#define WEIR_CONCAT(a, b) WEIR_CONCAT_INNER(a, b)
#define WEIR_TRY_INNER(name, declaration, ...)                  \
    auto name = (__VA_ARGS__);                                  \
    if (!name.ok()) return std::move(name).error();             \
    declaration = std::move(name).value()

/// `WEIR_TRY(auto rows, read(position));` declares `rows`, or returns the error to the caller.
#define WEIR_TRY(declaration, ...) WEIR_TRY_INNER(WEIR_CONCAT(weir_try_, __LINE__), declaration, __VA_ARGS__)

/// `WEIR_CHECK_OK(flush());` goes on, or returns the error to the caller. For `Result<void>`.
#define WEIR_CHECK_OK(...)                                               \
    do {                                                                 \
        if (auto weir_result = (__VA_ARGS__); !weir_result.ok())         \
            return std::move(weir_result).error();                       \
    } while (false)
