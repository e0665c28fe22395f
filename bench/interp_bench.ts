/**
 * The interpreter on kernels of different character: see lib/kernel_bench.ts.
 *
 * @module
 */
import { benchKernels } from "./lib/kernel_bench.ts";

await benchKernels({
  name: "interp",
  options: ["--tier=interp"],
  kernels: ["coremark", "sha256", "strings", "calls", "nbody"],
  // An interpreter takes some thirty times as long.
  nativeSeconds: 0.01,
  runs: 5,
});
