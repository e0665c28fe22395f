/**
 * Marsaglia's xorshift32, with the same sequence in every run.
 *
 * @module
 */

/** A generator of pseudo-random 32-bit numbers. */
export function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** A generator of pseudo-random integers below a limit. */
export function xorshiftBelow(seed: number): (limit: number) => number {
  const next = xorshift(seed);
  return (limit) => next() % limit;
}
