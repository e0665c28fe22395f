/**
 * What records and slots hold, for code that executes blocks: everything about ops but their table (ops.ts).
 *
 * A program whose code was translated in an earlier run starts without the table.
 *
 * @module
 */

/** Int32 words of a record. */
export const WORDS = 6;

/** What a jump is for, where the instruction set says so; it changes nothing but how a tier links code. */
export const JumpHint = {
  NONE: 0,
  /** A call: the return address is the instruction after the block. */
  CALL: 1,
  /** A return. */
  RETURN: 2,
} as const;

/** Operation of `amo32` and `amo64`, in `j`. */
export const Amo = {
  SWAP: 0,
  ADD: 1,
  XOR: 2,
  AND: 3,
  OR: 4,
  MIN: 5,
  MAX: 6,
  MINU: 7,
  MAXU: 8,
} as const;

/** Bits of `j` of floating-point ops. */
export const Fp = {
  /** Rounding mode: 0 nearest even, 1 to zero, 2 down, 3 up, 4 nearest away, 7 dynamic. */
  RM: 7,
  /** 32-bit operands and results are NaN-boxed in 64 bits. */
  BOXED: 8,
  /** Fused multiply-add: negate the product. */
  NEG_PRODUCT: 16,
  /** Fused multiply-add: negate the addend. */
  NEG_ADDEND: 32,
  /** A result that saturates sets the flag. */
  SATURATION: 64,
  /** Vectors: only lanes of the low half; the high half of the result is 0. */
  LOW: 128,
  /** Vectors: only the first lane; the rest of the result is 0. */
  FIRST: 256,
  /** `vfint`: a result that differs from the operand is inexact. */
  EXACT: 512,
  /** `fcmp`: any NaN is invalid. */
  SIGNALING: 2048,
  /** `vfnarrow32`: rounds to odd, whatever the mode. */
  ODD: 1024,
} as const;

/** Bits of `Slot.FP_RM` besides the rounding mode; while one is set, no executor takes a fast path. */
export const FpMode = {
  /** Subnormal operands and results are zeros. */
  FLUSH: 8,
} as const;

/** Bits of `Slot.FP_STYLE`: only softfloat looks at them, because they are about results that are no ordinary numbers. */
export const FpStyle = {
  /** The result of an operation on NaNs is one of them, signalling ones first, made quiet; else the default NaN. */
  PROPAGATE: 1,
  /** Tininess is detected before rounding. */
  TINY_BEFORE: 2,
  /** A NaN becomes 0 as an integer. */
  NAN_TO_ZERO: 4,
  /** binary16 has neither infinities nor NaNs. */
  ALTERNATIVE_HALF: 8,
} as const;

/** Why execution left translated code: `trap` records name the first group, faults are found by executors. */
export const Trap = {
  NONE: 0,
  /** System call. */
  SYSCALL: 1,
  /** Breakpoint instruction. */
  BREAKPOINT: 2,
  /** Undefined encoding, or one that is not allowed here. */
  ILLEGAL: 3,
  /** Backdoor instruction. */
  BACKDOOR: 4,
  /** Instruction fetch from memory that is not executable. */
  FETCH_FAULT: 5,
  /** Load from memory that is not readable. */
  LOAD_FAULT: 6,
  /** Store to memory that is not writable. */
  STORE_FAULT: 7,
  /** Atomic access to a misaligned address. */
  MISALIGNED: 8,
  /** Jump to a misaligned address. */
  MISALIGNED_FETCH: 9,
  /** System mode: a privileged instruction was executed, and has said where execution goes on. */
  RESYNC: 10,
  /** System mode: a privileged operation raised an exception, whose cause the hart knows. */
  EXCEPTION: 11,
} as const;

/** Number of slots. */
export const SLOT_COUNT = 8192;

/** Slots with a meaning for every ISA and executor; ISAs number theirs from 1 up. */
export const Slot = {
  /** Always 0; writes to it are not emitted. */
  ZERO: 0,
  /** First temporary. */
  TEMP: 7168,
  /** First temporary that is a pair; an even number. */
  TEMP_PAIR: 7680,
  /** Floating-point exception flags, accrued: NX 1, UF 2, OF 4, DZ 8, NV 16, subnormal operand 32, saturation 64. */
  FP_FLAGS: 8160,
  /** Dynamic rounding mode, as in `Fp.RM`; plus `FpMode.FLUSH`. */
  FP_RM: 8161,
  /** 1 while rounding is to nearest and NX is set already: host arithmetic shows all that can be seen. */
  FP_FAST: 8162,
  /** Reserved address of ldx/stx, -1 for none. */
  EXCLUSIVE_ADDRESS: 8163,
  /** Value that ldx loaded. */
  EXCLUSIVE_VALUE: 8164,
  /** System mode: 0 while floating point is on and its state known to be dirty. */
  FP_GATE: 8165,
  /** What IEEE 754 leaves open, as `FpStyle` bits. */
  FP_STYLE: 8166,
  /** Eight slots for the use of softfloat. */
  FP_SCRATCH: 8176,
} as const;
