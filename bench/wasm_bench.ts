/**
 * The wasm tier on every kernel, in runs of two seconds and more: see lib/kernel_bench.ts.
 *
 * @module
 */
import { benchKernels } from "./lib/kernel_bench.ts";

await benchKernels({
  name: "wasm",
  options: ["--tier=auto"],
  deny: ["--deny-ffi"],
  nativeSeconds: 0.6,
  runs: 3,
});
