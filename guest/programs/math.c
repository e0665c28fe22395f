/* The math library over many arguments: every result to the bit, the exception flags, the rounding modes. */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t random64(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/* A double of any magnitude within 2^-40 to 2^40. */
static double wide(void) {
  const uint64_t bits = (random64() & 0x800fffffffffffff) | (1023 - 40 + random64() % 81) << 52;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint64_t fold(uint64_t sum, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (value != value) bits = 0x7ff8000000000000; /* The sign of a NaN is nobody's business. */
  return (sum ^ bits) * 0x100000001b3;
}

#define SWEEP(function, argument)                                                        \
  do {                                                                                   \
    uint64_t sum = 0xcbf29ce484222325;                                                   \
    state = 0x9e3779b97f4a7c15;                                                          \
    for (int i = 0; i < 300; i++) {                                                      \
      const double x = (argument);                                                       \
      sum = fold(sum, function(x));                                                      \
    }                                                                                    \
    printf("%s(0x1.8p0) = %a, sweep %016llx\n", #function, function(1.5), (unsigned long long)sum); \
  } while (0)

#define SWEEP2(function)                                                                 \
  do {                                                                                   \
    uint64_t sum = 0xcbf29ce484222325;                                                   \
    state = 0x9e3779b97f4a7c15;                                                          \
    for (int i = 0; i < 300; i++) {                                                      \
      const double x = wide(), y = wide();                                               \
      sum = fold(sum, function(x, y));                                                   \
    }                                                                                    \
    printf("%s(1.5, 2.5) = %a, sweep %016llx\n", #function, function(1.5, 2.5), (unsigned long long)sum); \
  } while (0)

static void specials(void) {
  const double values[] = {0.0, -0.0, 1.0, INFINITY, -INFINITY, DBL_MIN / 2, DBL_MAX, -1.0};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    const double x = values[i];
    printf("%a: sqrt %d %a, exp %a, log %d, 1/x %a, floor %a, fmod %d, class %d %d %d\n", x, isnan(sqrt(x)) != 0,
           x >= 0 ? sqrt(x) : 0, exp(x), isnan(log(x)) != 0, 1 / x, floor(x), isnan(fmod(x, 3)) != 0, isnormal(x) != 0,
           isfinite(x) != 0, signbit(x) != 0);
  }
}

static void rounding(void) {
  static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  static const char *const names[] = {"nearest", "downward", "upward", "zero"};
  volatile double one = 1, three = 3, tiny = DBL_MIN;
  volatile float onef = 1, threef = 3;
  for (int i = 0; i < 4; i++) {
    fesetround(modes[i]);
    feclearexcept(FE_ALL_EXCEPT);
    /* Volatile: the compiler must not move the operations out of their rounding mode. */
    volatile double third = one / three, negative = -one / three, sum = one + 0x1p-60;
    volatile double small = tiny / three;
    volatile float thirdf = onef / threef;
    const long nearest = lrint(one * 2.5), other = lrint(one * -2.5);
    const int flags = fetestexcept(FE_ALL_EXCEPT);
    fesetround(FE_TONEAREST);
    printf("%s: %a %a %a %a %a %ld %ld flags %d%d%d\n", names[i], third, negative, sum, small, (double)thirdf, nearest,
           other, (flags & FE_INEXACT) != 0, (flags & FE_UNDERFLOW) != 0, (flags & FE_OVERFLOW) != 0);
  }
}

static void flags(void) {
  volatile double zero = 0, one = 1, huge = DBL_MAX, tiny = DBL_MIN, result;
  feclearexcept(FE_ALL_EXCEPT);
  result = one / zero;
  printf("1/0: %d", fetestexcept(FE_DIVBYZERO) != 0);
  result = zero / zero;
  printf(" 0/0: %d", fetestexcept(FE_INVALID) != 0);
  result = huge * huge;
  printf(" overflow: %d", fetestexcept(FE_OVERFLOW) != 0);
  result = tiny * tiny;
  printf(" underflow: %d", fetestexcept(FE_UNDERFLOW) != 0);
  feclearexcept(FE_ALL_EXCEPT);
  result = one + one;
  printf(" exact: %d", fetestexcept(FE_ALL_EXCEPT) == 0);
  printf(" %d\n", result == 2);
}

static void conversions(void) {
  volatile double values[] = {0.5, -0.5, 1.5, 2147483648.5, -9.3e18, 1e19, 4294967295.0, -1.9};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    const double x = values[i];
    printf("%a: %a %a %a %a", x, floor(x), ceil(x), trunc(x), round(x));
    if (fabs(x) < 9e18) printf(" %lld %lld %a", (long long)x, llround(x), (double)(float)x);
    printf("\n");
  }
  volatile int64_t wide_integer = INT64_C(0x7fffffffffffffff);
  volatile uint64_t unsigned_integer = UINT64_C(0xfffffffffffffbff);
  printf("%a %a %a %a\n", (double)wide_integer, (double)unsigned_integer, (double)(float)wide_integer,
         (double)(float)unsigned_integer);
}

int main(void) {
  SWEEP(sin, wide());
  SWEEP(cos, wide());
  SWEEP(tan, wide());
  SWEEP(asin, wide() / 0x1p41);
  SWEEP(acos, wide() / 0x1p41);
  SWEEP(atan, wide());
  SWEEP(sinh, fmod(wide(), 50));
  SWEEP(cosh, fmod(wide(), 50));
  SWEEP(tanh, wide());
  SWEEP(exp, fmod(wide(), 700));
  SWEEP(exp2, fmod(wide(), 1000));
  SWEEP(expm1, fmod(wide(), 700));
  SWEEP(log, fabs(wide()));
  SWEEP(log2, fabs(wide()));
  SWEEP(log10, fabs(wide()));
  SWEEP(log1p, fabs(wide()));
  SWEEP(sqrt, fabs(wide()));
  SWEEP(cbrt, wide());
  SWEEP(erf, fmod(wide(), 5));
  SWEEP(tgamma, fabs(fmod(wide(), 100)));
  SWEEP(lgamma, fabs(wide()));
  SWEEP(rint, wide());
  SWEEP2(pow);
  SWEEP2(atan2);
  SWEEP2(hypot);
  SWEEP2(fmod);
  SWEEP2(remainder);
  SWEEP2(fmin);
  SWEEP2(copysign);
  printf("fma: %a %a\n", fma(1.0 + 0x1p-30, 1.0 - 0x1p-30, -1.0), (double)fmaf(1.0f / 3, 3, -1));
  printf("float: %a %a %a %a\n", (double)sinf(0.7f), (double)expf(1.3f), (double)powf(2.5f, 1.7f),
         (double)sqrtf(2));
  printf("ldexp, frexp: %a %a\n", ldexp(0.75, -1070), frexp(0x1p-1070, &(int){0}));
  specials();
  rounding();
  flags();
  conversions();
  return 0;
}
