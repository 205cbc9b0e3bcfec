#pragma once
// Whether a sanitizer watches this build.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STELE_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STELE_TEST_SANITIZED 1
#endif
#endif

namespace stele::test {

/// Sanitizers have memory and threads of their own beside those of the program, and make everything several times
/// slower.
#ifdef STELE_TEST_SANITIZED
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace stele::test
