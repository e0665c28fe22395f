/**
 * The kernels and how each is compiled.
 *
 * @module
 */

import { fromFileUrl } from "./paths.ts";
import type { Architecture } from "./tools.ts";

/** What a kernel's inner loop computes with. */
export type KernelClass = "integer" | "doubles" | "vectors";

/** One program under `bench/kernels`. */
export interface Kernel {
  /** The first word of what it prints, and its file name without `.c` unless `source` says it. */
  name: string;
  /** Its file name without `.c`, if one source is several kernels. */
  source?: string;
  /** Which geometric mean it belongs to, besides the overall one. */
  class: KernelClass;
  /** Whether the compiler may fuse a * b + c (as it does for both guests by default). */
  contract: boolean;
  /** Macros of its own, such as `-DREAL=float`. */
  defines?: readonly string[];
}

const kernel = (name: string, kind: KernelClass, contract = false): Kernel => ({
  name,
  class: kind,
  contract,
});

/** All kernels of every guest; `hello` is the start-up program beside them. */
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

/** Kernels whose loops are vectors, for guests that have a vector unit; built with `-O3`. */
export const vectorKernels: readonly Kernel[] = [
  kernel("memcpy", "vectors"),
  kernel("strlen", "vectors"),
  { ...kernel("sha256_vector", "vectors"), source: "sha256" },
  {
    ...kernel("matrix_vector_float", "vectors", true),
    source: "matrix_vector",
    defines: ["-DREAL=float"],
  },
  {
    ...kernel("matrix_vector_double", "vectors", true),
    source: "matrix_vector",
    defines: ["-DREAL=double"],
  },
];

/** All kernels that count for a guest. */
export function kernelsOf(arch: Architecture): readonly Kernel[] {
  return arch === "riscv64" ? kernels : [...kernels, ...vectorKernels];
}

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

const vectorFlags: readonly string[] = ["-std=gnu11", "-O3", "-fno-math-errno"];

/** The flags for one kernel. Checksums agree only if rounding does: no contraction by default. */
export function flagsOf(kernel: Kernel): string[] {
  const flags = [...(kernel.class === "vectors" ? vectorFlags : kernelFlags)];
  if (kernel.source !== undefined) flags.push(`-DBENCH_NAME="${kernel.name}"`);
  return [
    ...flags,
    ...kernel.defines ?? [],
    kernel.contract ? "-ffp-contract=fast" : "-ffp-contract=off",
  ];
}

/** The path of the source of this name. */
export function sourceOf(name: string): string {
  return fromFileUrl(new URL(`../kernels/${name}.c`, import.meta.url));
}

/**
 * Picks kernels of a guest by name; throws an `Error` that lists the known ones for an unknown
 * name.
 */
export function pickKernels(names?: readonly string[], arch: Architecture = "riscv64"): Kernel[] {
  const all = kernelsOf(arch);
  if (names === undefined) return [...all];
  return names.map((name) => {
    const found = all.find((k) => k.name === name);
    if (found === undefined) {
      const known = all.map((k) => k.name).join(", ");
      throw new Error(`Unknown kernel '${name}'; there are ${known}`);
    }
    return found;
  });
}
