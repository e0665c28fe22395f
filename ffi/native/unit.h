/*
 * What every translation starts with: types, total arithmetic, checks. Included as text, after layout.h.
 *
 * Nothing here has undefined behaviour: arithmetic is unsigned, shift counts are masked, memory goes through memcpy.
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

typedef u32 trapdoor_run(u8 *arena, u32 pc);

/* The one symbol of a translation. */
struct trapdoor_unit {
  u32 abi, layout, count;
  trapdoor_run *run;
  const u32 *entries;
};

#define unlikely(x) __builtin_expect(!!(x), 0)
#define IN static inline __attribute__((always_inline, unused))
#define FAR_EXIT 0xffffffffu

/* Value that the compiler knows nothing of, there and in this order: so float operations neither move nor vanish. */
#if defined(__x86_64__)
#define PIN(x) __asm__ volatile("" : "+x"(x))
#elif defined(__aarch64__)
#define PIN(x) __asm__ volatile("" : "+w"(x))
#else
#define PIN(x) __asm__ volatile("" : "+m"(x))
#endif
#define KEEP(x) __asm__ volatile("" : : "r"(x))

IN u64 sx(u32 x) { return (u64)(i64)(i32)x; }
IN u64 ror64(u64 x, u64 n) { return x >> (n & 63) | x << (-n & 63); }
IN u32 ror32(u32 x, u64 n) { return x >> (n & 31) | x << (-n & 31); }
IN u64 sar64(u64 x, u64 n) { return (u64)((i64)x >> (n & 63)); }
IN u32 sar32(u32 x, u64 n) { return (u32)((i32)x >> (n & 31)); }
IN u64 clz64(u64 x) { return x ? (u64)__builtin_clzll(x) : 64; }
IN u64 ctz64(u64 x) { return x ? (u64)__builtin_ctzll(x) : 64; }
IN u64 clz32(u32 x) { return x ? (u64)__builtin_clz(x) : 32; }
IN u64 ctz32(u32 x) { return x ? (u64)__builtin_ctz(x) : 32; }
IN u64 mulhu(u64 a, u64 b) { return (u64)((u128)a * b >> 64); }
IN u64 mulhs(u64 a, u64 b) { return (u64)((u128)((i128)(i64)a * (i64)b) >> 64); }
IN u64 mulhsu(u64 a, u64 b) { return (u64)((u128)((i128)(i64)a * (i128)b) >> 64); }
IN u64 divu64(u64 a, u64 b) { return b ? a / b : -(u64)1; }
IN u64 remu64(u64 a, u64 b) { return b ? a % b : a; }
IN u64 divs64(u64 a, u64 b) {
  if (b + 1 <= 1) return b ? -a : -(u64)1;
  return (u64)((i64)a / (i64)b);
}
IN u64 rems64(u64 a, u64 b) {
  if (b + 1 <= 1) return b ? 0 : a;
  return (u64)((i64)a % (i64)b);
}
IN u32 divu32(u32 a, u32 b) { return b ? a / b : -(u32)1; }
IN u32 remu32(u32 a, u32 b) { return b ? a % b : a; }
IN u32 divs32(u32 a, u32 b) {
  if (b + 1 <= 1) return b ? -a : -(u32)1;
  return (u32)((i32)a / (i32)b);
}
IN u32 rems32(u32 a, u32 b) {
  if (b + 1 <= 1) return b ? 0 : a;
  return (u32)((i32)a % (i32)b);
}

/* The slots, guest memory and the page table: of one pointer, which leaves more registers to the guest's. */
#define s ((u64 *)(void *)arena)
#define g (arena + GUEST_OFFSET)
#define p (arena + PAGES_OFFSET)
#define ACCESS(name, type) \
  IN type ld##name(const u8 *memory, u64 a) { \
    type v; \
    __builtin_memcpy(&v, memory + a, sizeof v); \
    return v; \
  } \
  IN void st##name(u8 *memory, u64 a, type v) { __builtin_memcpy(memory + a, &v, sizeof v); }
ACCESS(8, u8)
ACCESS(16, u16)
ACCESS(32, u32)
ACCESS(64, u64)
ACCESS(D, double)
/* Not the fast path of an access of 2^k bytes: misaligned, beyond guest memory, or a page without the right. */
#define PAGE_OF(a, k) (ror64(a, k) >> (PAGE_SHIFT - (k)))
#define BAD(a, k, right) \
  unlikely(PAGE_OF(a, k) > 0x7fffffffu >> PAGE_SHIFT || (p[PAGE_OF(a, k)] & (right)) != (right))
/* The same for several accesses: one address is aligned, and the pages of two others, less than 4 KiB apart. */
#define BAD2(a, k, low, high, rights) \
  unlikely(PAGE_OF(a, k) > 0x7fffffffu >> PAGE_SHIFT || \
    (p[(u32)(low) >> PAGE_SHIFT] & p[(u32)(high) >> PAGE_SHIFT] & (rights)) != (rights))

/* Floats as bits and back. */
IN u64 bits64(double x) { u64 v; __builtin_memcpy(&v, &x, 8); return v; }
IN double dbl(u64 x) { double v; __builtin_memcpy(&v, &x, 8); return v; }
IN u32 bits32(float x) { u32 v; __builtin_memcpy(&v, &x, 4); return v; }
IN float flt(u64 x) { float v; u32 w = (u32)x; __builtin_memcpy(&v, &w, 4); return v; }
#define BOX 0xffffffff00000000u
#define UNBOXED(x) unlikely((x) < BOX)

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

/* Of a square root's operand; a NaN must not raise anything here. */
#define NEGATIVE(x) unlikely(!__builtin_isgreaterequal(x, 0))

/* One-hot class, RISC-V's numbering: -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf, sNaN, qNaN. */
IN u64 class64(u64 x) {
  u64 e = x >> 52 & 0x7ff, m = x << 12;
  u32 kind;
  if (e == 0x7ff && m) return x >> 51 & 1 ? 512 : 256;
  kind = e == 0x7ff ? 3 : e ? 2 : m ? 1 : 0;
  return x >> 63 ? 8u >> kind : 16u << kind;
}
IN u64 class32(u32 x) {
  u32 e = x >> 23 & 0xff, m = x << 9, kind;
  if (e == 0xff && m) return x >> 22 & 1 ? 512 : 256;
  kind = e == 0xff ? 3 : e ? 2 : m ? 1 : 0;
  return x >> 31 ? 8u >> kind : 16u << kind;
}
