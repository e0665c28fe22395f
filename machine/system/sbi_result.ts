/**
 * Results of calls of the SBI.
 *
 * Source: RISC-V Supervisor Binary Interface Specification, version 2.0, chapter 3.
 *
 * @module
 */

/** Error codes. */
export const Err = {
  SUCCESS: 0,
  FAILED: -1,
  NOT_SUPPORTED: -2,
  INVALID_PARAM: -3,
  INVALID_ADDRESS: -5,
  ALREADY_AVAILABLE: -6,
  ALREADY_STARTED: -7,
  ALREADY_STOPPED: -8,
} as const;

/** What a call returns in a0 and a1. */
export type Result = { error: number; value: bigint };

/** Success. */
export const ok = (value: bigint | number = 0): Result => ({
  error: Err.SUCCESS,
  value: BigInt(value),
});

/** An error of {@linkcode Err}. */
export const fail = (error: number): Result => ({ error, value: 0n });
