/**
 * The kernels and how each is compiled.
 *
 * @module
 */

import { fromFileUrl } from "./paths.ts";

/** What a kernel's inner loop computes with. */
export type KernelClass = "integer" | "doubles";

/** One program under `bench/kernels`. */
export interface Kernel {
  /** Its file name without `.c`, and the first word of what it prints. */
  name: string;
  /** Which geometric mean it belongs to, besides the overall one. */
  class: KernelClass;
  /** Whether the compiler may fuse a * b + c (as it does for riscv64 by default). */
  contract: boolean;
}

const kernel = (name: string, kind: KernelClass, contract = false): Kernel => ({
  name,
  class: kind,
  contract,
});

/** All kernels that count; `hello` is the start-up program beside them. */
export const kernels: readonly Kernel[] = [
  kernel("coremark", "integer"),
  kernel("dhrystone", "integer"),
  kernel("sha256", "integer"),
  kernel("crc32", "integer"),
  kernel("qsort", "integer"),
  kernel("matrix_int", "integer"),
  kernel("chase", "integer"),
  kernel("fib", "integer"),
  kernel("calls", "integer"),
  kernel("bytecode", "integer"),
  kernel("strings", "integer"),
  kernel("sieve", "integer"),
  // Its values are small integers: exact with and without contraction.
  kernel("matrix_double", "doubles", true),
  kernel("nbody", "doubles"),
  kernel("mandelbrot", "doubles"),
];

/**
 * Flags for both sides. A vector unit (x86-64 and AArch64 have one, RV64GC doesn't) and the C
 * library's hand-written string code would compare something else than the emulators, so loops
 * are neither vectorised nor replaced by calls of memset and the like.
 */
export const kernelFlags: readonly string[] = [
  "-std=gnu11",
  "-O2",
  "-fno-tree-vectorize",
  "-fno-tree-loop-distribute-patterns",
  "-fno-math-errno",
];

/** The flags for one kernel. Checksums agree only if rounding does: no contraction by default. */
export function flagsOf(kernel: Kernel): string[] {
  return [...kernelFlags, kernel.contract ? "-ffp-contract=fast" : "-ffp-contract=off"];
}

/** The path of a kernel's source. */
export function sourceOf(name: string): string {
  return fromFileUrl(new URL(`../kernels/${name}.c`, import.meta.url));
}

/** Picks kernels by name; throws an `Error` that lists the known ones for an unknown name. */
export function pickKernels(names?: readonly string[]): Kernel[] {
  if (names === undefined) return [...kernels];
  return names.map((name) => {
    const found = kernels.find((k) => k.name === name);
    if (found === undefined) {
      const known = kernels.map((k) => k.name).join(", ");
      throw new Error(`Unknown kernel '${name}'; there are ${known}`);
    }
    return found;
  });
}
