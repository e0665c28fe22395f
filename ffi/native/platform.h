/*
 * What differs between compilers, processors and systems, and the types that all have. Included as text, after layout.h;
 * a translation has defined UNIT. Tested on Linux x86-64 with gcc and clang; the rest is written from the manuals.
 */
typedef __UINT8_TYPE__ u8;
typedef __UINT16_TYPE__ u16;
typedef __UINT32_TYPE__ u32;
typedef __UINT64_TYPE__ u64;
typedef __INT8_TYPE__ i8;
typedef __INT16_TYPE__ i16;
typedef __INT32_TYPE__ i32;
typedef __INT64_TYPE__ i64;
typedef unsigned __int128 u128;
typedef __int128 i128;

/* Never, for the compiler: by default it takes a tenth for unlikely, and exits are many. */
#define unlikely(x) __builtin_expect_with_probability(!!(x), 0, 1.0)
#define IN static inline __attribute__((always_inline, unused))

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Vectors, by lanes: unsigned, signed and floating. Their operators wrap, and comparisons give all ones or 0. */
#define VECTOR(name, type) typedef type name __attribute__((vector_size(16)))
VECTOR(V8, u8);
VECTOR(V16, u16);
VECTOR(V32, u32);
VECTOR(V64, u64);
VECTOR(S8, i8);
VECTOR(S16, i16);
VECTOR(S32, i32);
VECTOR(S64, i64);
VECTOR(F32, float);
VECTOR(F64, double);
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (V8){__VA_ARGS__})
#endif
#if defined(__SSE4_1__)
VECTOR(W64, long long);
IN u64 any(V64 a) { return !__builtin_ia32_ptestz128((W64)a, (W64)a); }
#else
IN u64 any(V64 a) { return (a[0] | a[1]) != 0; }
#endif
/* Compilers make single instructions of loops over lanes only for some vectors. */
#if defined(__FMA__)
IN F32 fused32(F32 a, F32 b, F32 c) { return __builtin_ia32_vfmaddps(a, b, c); }
IN F64 fused64(F64 a, F64 b, F64 c) { return __builtin_ia32_vfmaddpd(a, b, c); }
#else
IN F32 fused32(F32 a, F32 b, F32 c) {
  for (int i = 0; i < 4; i++) a[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return a;
}
IN F64 fused64(F64 a, F64 b, F64 c) {
  for (int i = 0; i < 2; i++) a[i] = __builtin_fma(a[i], b[i], c[i]);
  return a;
}
#endif

/* ---- calls from the middle of a translation ---- */

/* Attributes of `reach` in unit.h. */
#if defined(__x86_64__)
#define REACH \
  __asm__("trapdoor_reach") __attribute__((used, noinline, cold, sysv_abi, target("general-regs-only")))
#else
#define REACH __attribute__((unused, noinline, cold))
#endif
/* Calls `reach`; no register changes on the way, so that this costs what is accessed in the extent nothing. */
#if defined(__x86_64__)
__asm__(
  ".text\n"
  "trapdoor_look:\n"
  "push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11\n"
  "mov 96(%rsp), %rdi; mov 88(%rsp), %rsi; mov 80(%rsp), %rdx\n"
  "call trapdoor_reach\n"
  "neg %eax\n"
  "pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax\n"
  "ret\n");
#define LOOK(at, number, how) __extension__({ \
  u32 bad; \
  __asm__ volatile( \
    "push %[a]; push %[b]; push %[c]; call trapdoor_look; lea 24(%%rsp), %%rsp" \
    : "=@ccc"(bad), "+m"(EXTENTS[number]) \
    : [a] "r"(arena), [b] "r"((u64)(at)), [c] "i"(how)); \
  bad; })
#else
#define LOOK(at, number, how) reach(arena, at, how)
#endif

/* ---- floating point ---- */

/* Value that the compiler knows nothing of, there and in this order: so float operations neither move nor vanish. */
#if defined(__x86_64__)
#define PIN(x) __asm__ volatile("" : "+x"(x))
#elif defined(__aarch64__)
#define PIN(x) __asm__ volatile("" : "+w"(x))
#else
#define PIN(x) __asm__ volatile("" : "+m"(x))
#endif

/*
 * Results that are the guest's, with the flags that the processor raised: any but a NaN. Where tininess is detected
 * before rounding (AArch64), results near or below the smallest normal number are left to softfloat, too.
 */
#if defined(__x86_64__)
#define ODD64(x) unlikely((x) != (x))
#define ODD32(x) unlikely((x) != (x))
#define ODD_SUM64 ODD64
#define ODD_SUM32 ODD32
#else
#define ODD64(x) unlikely(!(__builtin_fabs(x) > __DBL_MIN__))
#define ODD32(x) unlikely(!(__builtin_fabsf(x) > __FLT_MIN__))
#define ODD_SUM64(x) unlikely(!(__builtin_fabs(x) > __DBL_MIN__ || (x) == 0))
#define ODD_SUM32(x) unlikely(!(__builtin_fabsf(x) > __FLT_MIN__ || (x) == 0))
#endif

/*
 * Arithmetic that happens there and in this order, once: nothing moves it over an exit, folds it or leaves it out. One
 * instruction where there are some with three operands.
 */
#if defined(__AVX__) && defined(__x86_64__)
#define FLOATS2(name, instruction, sign) \
  IN double name##64(double a, double b) { \
    double v; \
    __asm__ volatile("v" instruction "sd %2, %1, %0" : "=x"(v) : "x"(a), "xm"(b)); \
    return v; \
  } \
  IN float name##32(float a, float b) { \
    float v; \
    __asm__ volatile("v" instruction "ss %2, %1, %0" : "=x"(v) : "x"(a), "xm"(b)); \
    return v; \
  }
#else
#define FLOATS2(name, instruction, sign) \
  IN double name##64(double a, double b) { PIN(a); a = a sign b; PIN(a); return a; } \
  IN float name##32(float a, float b) { PIN(a); a = a sign b; PIN(a); return a; }
#endif
#if defined(__FMA__) && defined(__x86_64__)
#define FUSED(name, instruction, product, addend) \
  IN double name##64(double a, double b, double c) { \
    __asm__ volatile("v" instruction "213sd %2, %1, %0" : "+x"(a) : "x"(b), "xm"(c)); \
    return a; \
  } \
  IN float name##32(float a, float b, float c) { \
    __asm__ volatile("v" instruction "213ss %2, %1, %0" : "+x"(a) : "x"(b), "xm"(c)); \
    return a; \
  }
#else
#define FUSED(name, instruction, product, addend) \
  IN double name##64(double a, double b, double c) { \
    PIN(a); a = __builtin_fma(product a, b, addend c); PIN(a); return a; \
  } \
  IN float name##32(float a, float b, float c) { \
    PIN(a); a = __builtin_fmaf(product a, b, addend c); PIN(a); return a; \
  }
#endif

/* Exceptions that the processor has raised since a stay began: NX 1, UF 2, OF 4, DZ 8, NV 16. */
#if defined(__x86_64__)
IN u64 raised_in(u32 status) {
  /* IE, DE, ZE, OE, UE, PE from bit 0. Mostly there was nothing but PE. */
  if (__builtin_expect((status & 0x3d) == 0x20, 1)) return 1;
  return (status >> 5 & 1) | (status >> 3 & 2) | (status >> 1 & 4) | (status << 1 & 8) | (status << 4 & 16);
}
IN u64 read_raised(void) {
  u32 status;
  __asm__ volatile("stmxcsr %0" : "=m"(status) : : "memory");
  return raised_in(status);
}
IN void clear_raised(void) {
  u32 status;
  __asm__ volatile("stmxcsr %0" : "=m"(status) : : "memory");
  status &= ~0x3fu;
  __asm__ volatile("ldmxcsr %0" : : "m"(status) : "memory");
}
#elif defined(__aarch64__)
IN u64 read_raised(void) {
  u64 status;
  __asm__ volatile("mrs %0, fpsr" : "=r"(status) : : "memory");
  /* IOC, DZC, OFC, UFC, IXC from bit 0. No underflow: what could be tiny is left to softfloat (ODD64). */
  return (status >> 4 & 1) | (status & 4) | (status << 2 & 8) | (status << 4 & 16);
}
IN void clear_raised(void) {
  __asm__ volatile("msr fpsr, %0" : : "r"((u64)0) : "memory");
}
#endif

/* ---- what only the helper needs ---- */

#if !defined(UNIT)
#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif
#if !defined(__x86_64__)
#include <fenv.h>
#endif

#if defined(_WIN32)
static void *library_open(const char *path) { return (void *)LoadLibraryA(path); }
static void *library_symbol(void *library, const char *name) {
  return (void *)GetProcAddress((HMODULE)library, name);
}
static void library_close(void *library) { FreeLibrary((HMODULE)library); }
static const char *library_error(void) { return "LoadLibrary failed"; }
#else
static void *library_open(const char *path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
static void *library_symbol(void *library, const char *name) { return dlsym(library, name); }
static void library_close(void *library) { dlclose(library); }
static const char *library_error(void) {
  const char *text = dlerror();
  return text ? text : "unknown error";
}
#endif

#if defined(__x86_64__)
typedef u32 environment;
IN void enter_float(environment *saved, u32 mode) {
  /* MXCSR: all exceptions masked, no flags; rounding control is nearest, down, up, to zero. */
  static const u8 control[4] = {0, 3, 1, 2};
  u32 mine = 0x1f80 | (u32)control[mode & 3] << 13;
  __asm__ volatile("stmxcsr %0" : "=m"(*saved));
  __asm__ volatile("ldmxcsr %0" : : "m"(mine) : "memory");
}
IN u32 leave_float(const environment *saved) {
  u32 now;
  __asm__ volatile("stmxcsr %0" : "=m"(now) : : "memory");
  __asm__ volatile("ldmxcsr %0" : : "m"(*saved));
  return (u32)raised_in(now);
}
#else
typedef fenv_t environment;
IN void enter_float(environment *saved, u32 mode) {
  static const int modes[4] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  feholdexcept(saved);
  fesetround(modes[mode & 3]);
}
IN u32 leave_float(const environment *saved) {
  int now = fetestexcept(FE_ALL_EXCEPT);
  fesetenv(saved);
  /* No underflow: what could be tiny is left to softfloat (ODD64 in unit.h). */
  return (now & FE_INEXACT ? 1u : 0) | (now & FE_OVERFLOW ? 4u : 0) |
         (now & FE_DIVBYZERO ? 8u : 0) | (now & FE_INVALID ? 16u : 0);
}
#endif

/* Features of the processor that translations may use. */
static u32 features(void) {
#if defined(__x86_64__)
  u32 found = 0;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("fma")) found |= FEATURE_FMA;
  if (__builtin_cpu_supports("bmi")) found |= FEATURE_BMI;
  if (__builtin_cpu_supports("bmi2")) found |= FEATURE_BMI2;
  if (__builtin_cpu_supports("popcnt")) found |= FEATURE_POPCNT;
  return found;
#else
  return 0;
#endif
}
#endif
