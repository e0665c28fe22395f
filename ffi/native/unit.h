/*
 * What every translation starts with: total arithmetic, checks. Included as text, after layout.h and platform.h.
 *
 * Nothing here has undefined behaviour: arithmetic is unsigned, shift counts are masked, memory goes through memcpy.
 */
typedef u32 trapdoor_run(u8 *arena, u32 pc);

/* The one symbol of a translation. */
struct trapdoor_unit {
  u32 abi, layout, count;
  /* Flags that its operations raise by the processor, as the guest's register has them; 0 if it has none. Without 16 what
   * is invalid leaves at once: as the interpreter executes it then, it has not happened. */
  u32 floats;
  trapdoor_run *run;
  const u32 *entries;
};

#define FAR_EXIT 0xffffffffu
/* A backdoor call: its guest address and length are the words of the cell at EXIT_PC_SLOT. */
#define CALL_EXIT 0xfffffffeu
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

#define ONES32 ((V64)(F32){1, 1, 1, 1})
#define ONES64 ((V64)(F64){1, 1})
IN V64 choose(V64 mask, V64 a, V64 b) { return (a & mask) | (b & ~mask); }
#define LANES(bits, n) \
  IN V##bits abs##bits(V##bits a) { \
    V##bits m = (V##bits)((S##bits)a >> (bits - 1)); \
    return (a ^ m) - m; \
  } \
  IN V##bits shiftU##bits(V##bits a, V64 counts) { \
    for (int i = 0; i < n; i++) { \
      int k = (i8)((V##bits)counts)[i]; \
      a[i] = k >= bits || k <= -bits ? 0 : k >= 0 ? (u##bits)(a[i] << k) : (u##bits)(a[i] >> -k); \
    } \
    return a; \
  } \
  IN V##bits shiftS##bits(V##bits a, V64 counts) { \
    for (int i = 0; i < n; i++) { \
      int k = (i8)((V##bits)counts)[i]; \
      int right = -k >= bits ? bits - 1 : -k; \
      a[i] = k >= bits ? 0 : k >= 0 ? (u##bits)(a[i] << k) : (u##bits)((i##bits)a[i] >> right); \
    } \
    return a; \
  }
LANES(8, 16)
LANES(16, 8)
LANES(32, 4)
LANES(64, 2)
/* (a + b + 1) / 2 is what either has less half of what only one has. */
IN V8 average8(V8 a, V8 b) { return (a | b) - ((a ^ b) >> 1); }
IN V16 average16(V16 a, V16 b) { return (a | b) - ((a ^ b) >> 1); }
IN V8 ones8(V8 a) {
  a -= (a >> 1) & 0x55;
  a = (a & 0x33) + ((a >> 2) & 0x33);
  return (a + (a >> 4)) & 15;
}
IN V8 zeros8(V8 a) {
  a |= a >> 1;
  a |= a >> 2;
  a |= a >> 4;
  return ones8(~a);
}
IN V16 zeros16(V16 a) {
  a |= a >> 1;
  a |= a >> 2;
  a |= a >> 4;
  a |= a >> 8;
  a = (V16)ones8((V8)~a);
  return (a & 255) + (a >> 8);
}
IN V32 zeros32(V32 a) {
  a |= a >> 1;
  a |= a >> 2;
  a |= a >> 4;
  a |= a >> 8;
  a |= a >> 16;
  a = (V32)ones8((V8)~a);
  a += a >> 16;
  return (a + (a >> 8)) & 63;
}
IN V8 lookup(V8 a, V8 b) {
  V8 r;
  for (int i = 0; i < 16; i++) r[i] = b[i] < 16 ? a[b[i] & 15] : 0;
  return r;
}
/* NaNs; and numbers that may have been tiny before rounding, of which hosts think differently. */
#define SIZE32 ((V32){0} + 0x7fffffffu)
#define SIZE64 ((V64){0} + 0x7fffffffffffffffu)
IN u64 odd32(F32 a) { return any((V64)(a != a)); }
IN u64 odd64(F64 a) { return any((V64)(a != a)); }
IN u64 tiny32(F32 a) { return any((V64)(a != a) | (V64)(((V32)a & SIZE32) == (V32){0} + 0x00800000u)); }
IN u64 tiny64(F64 a) { return any((V64)(a != a) | (V64)(((V64)a & SIZE64) == (V64){0} + 0x0010000000000000u)); }
/* Operands of square roots; a NaN must not raise anything here. */
IN int negative32(F32 a) {
  for (int i = 0; i < 4; i++) if (!__builtin_isgreaterequal(a[i], 0)) return 1;
  return 0;
}
IN int negative64(F64 a) {
  for (int i = 0; i < 2; i++) if (!__builtin_isgreaterequal(a[i], 0)) return 1;
  return 0;
}
IN F32 root32(F32 a) {
  for (int i = 0; i < 4; i++) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
IN F64 root64(F64 a) {
  for (int i = 0; i < 2; i++) a[i] = __builtin_sqrt(a[i]);
  return a;
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
ACCESS(V, V64)
/* Not the fast path of an access of 2^k bytes: misaligned, beyond guest memory, or a page without the right. */
#define PAGE_OF(a, k) (ror64(a, k) >> (PAGE_SHIFT - (k)))
#define BAD(a, k, right) \
  unlikely(PAGE_OF(a, k) > 0x7fffffffu >> PAGE_SHIFT || (p[PAGE_OF(a, k)] & (right)) != (right))

/*
 * A run of pages that accesses of one kind were made to: an access from `start` on, by less than `length`, is in it. And
 * another, as many loops access two by turns, such as the stack and static data.
 */
struct extent {
  u64 start, length, start2, length2;
};
#define EXTENTS ((struct extent *)(void *)(arena + EXTENTS_OFFSET))
/* Most pages that an extent reaches down and up. */
#define MAX_REACH 4096
/* An extent moves once in this many misses: accesses here and there by turns shall not move it all the time. */
#define MOVE_AFTER 8
/* What is looked for: number of the extent, bytes that are accessed (at most EXTENT_SLACK), the right. */
#define HOW(number, span, right) ((number) << 16 | (span) << 4 | (right))

/* Whether some of the bytes may not be accessed; moves the extent if it is missed often. */
static u32 reach(u8 *arena, u64 at, u32 how) REACH;
static u32 reach(u8 *arena, u64 at, u32 how) {
  struct extent *extent = &EXTENTS[how >> 16];
  u32 right = how & 15, first, last, end, *misses;
  u64 length;
  if (at >> 31) return 1;
  first = (u32)at >> PAGE_SHIFT;
  last = ((u32)at + (how >> 4 & 0xfff) - 1) >> PAGE_SHIFT;
  if (!(p[first] & p[last] & right)) return 1;
  misses = (u32 *)(void *)(arena + MISSES_OFFSET);
  if (extent->length && ++*misses % MOVE_AFTER) return 0;
  end = first > MAX_REACH ? first - MAX_REACH : 0;
  while (first > end && p[first - 1] & right) first--;
  end = last + MAX_REACH;
  while (last < end && p[last + 1] & right) last++;
  length = (u64)(last + 1 - first) << PAGE_SHIFT;
  extent->start2 = extent->start;
  extent->length2 = extent->length;
  extent->start = (u64)first << PAGE_SHIFT;
  extent->length = length - EXTENT_SLACK;
  return 0;
}
/* Not the fast path of accesses of `span` bytes from an address on. */
#define OUT(at, number, span, right) \
  (unlikely((at) - EXTENTS[number].start >= EXTENTS[number].length) && \
   unlikely((at) - EXTENTS[number].start2 >= EXTENTS[number].length2) && \
   unlikely(LOOK(at, number, HOW(number, span, right))))

/* System mode: an entry of the TLB, whose tag is the virtual address of a page (see mmu/softmmu.ts). */
struct page {
  u64 tag;
  u32 addend, unused;
};
/* The context's tables, and the entry for an address in one of them. */
#define TLB (arena + 4 * (u64)((const u32 *)(const void *)arena)[TLB_WORD])
#define ENTRY(table, a) \
  ((const struct page *)(const void *)((table) + ((a) >> (PAGE_SHIFT - 4) & (TLB_ENTRIES - 1) << 4)))
/* Whether an entry is not for `span` bytes from an address on. */
#define MISSED(entry, a, span) unlikely((entry)->tag != (((a) + (span) - 1) & ~(u64)0xfff))
/* The same where the address must be a multiple of their number: a tag has no low bits. */
#define MISSED_WHOLE(entry, a, size) unlikely((entry)->tag != ((a) & (~(u64)0xfff | ((size) - 1))))

/* Floats as bits and back. */
IN u64 bits64(double x) { u64 v; __builtin_memcpy(&v, &x, 8); return v; }
IN double dbl(u64 x) { double v; __builtin_memcpy(&v, &x, 8); return v; }
IN u32 bits32(float x) { u32 v; __builtin_memcpy(&v, &x, 4); return v; }
IN float flt(u64 x) { float v; u32 w = (u32)x; __builtin_memcpy(&v, &w, 4); return v; }
#define BOX 0xffffffff00000000u
#define UNBOXED(x) unlikely((x) < BOX)

/* The guest's NaN, where the processor has another one. */
#define CANONICAL(x) do if ((x) != (x)) (x) = dbl(0x7ff8000000000000u); while (0)

/* By the processor, once, there and in this order (see platform.h). */
FLOATS2(fadd, "add", +)
FLOATS2(fsub, "sub", -)
FLOATS2(fmul, "mul", *)
FLOATS2(fdiv, "div", /)
FUSED(fma, "fmadd", , )
FUSED(fmaNA, "fmsub", , -)
FUSED(fmaNP, "fnmadd", -, )
FUSED(fmaNPA, "fnmsub", -, -)

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
