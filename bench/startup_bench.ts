/**
 * Start-up: a static riscv64 hello in Trapdoor, as modules and as a bundle, and in qemu-riscv64, next to `deno run` of an empty
 * file (what any program in Deno costs) and the same hello built natively. Elapsed times of whole
 * processes.
 *
 * @module
 */

import { bundle } from "../cli/bundle.ts";
import { buildHello, emptyModule } from "./lib/build.ts";
import { execute } from "./lib/measure.ts";
import { findTools, findTrapdoor, skip } from "./lib/tools.ts";

const tools = await findTools();
const trapdoor = await findTrapdoor();
const group = { group: "start-up", n: 20, warmup: 2 };

const hello = (name: string, command: readonly string[]) =>
  Deno.bench({ ...group, name }, async () => {
    const { stdout } = await execute(command);
    if (stdout !== "hello\n") throw new Error(`${name} printed ${JSON.stringify(stdout)}`);
  });

const empty = [Deno.execPath(), "run", await emptyModule()];
Deno.bench({ ...group, name: "deno run, empty file", baseline: true }, async () => {
  await execute(empty);
});
if (tools.hostCompiler.found) hello("hello: native", [await buildHello(tools, "host")]);
else skip("hello: native", tools.hostCompiler.reason);
if (!tools.guestCompiler.found) skip("hello in emulators", tools.guestCompiler.reason);
else {
  const guest = await buildHello(tools, "riscv64");
  if (tools.qemu.found) hello("hello: qemu-riscv64", [tools.qemu.path, guest]);
  else skip("hello: qemu-riscv64", tools.qemu.reason);
  if (trapdoor.missing === undefined) hello("hello: trapdoor", [...trapdoor.command, guest]);
  else skip("hello: trapdoor", trapdoor.missing);
  const dist = await Deno.makeTempDir({ prefix: "trapdoor-bundle-" });
  await bundle(dist);
  addEventListener("unload", () => Deno.removeSync(dist, { recursive: true }));
  hello("hello: trapdoor, bundled", [Deno.execPath(), "run", "-A", `${dist}/mod.js`, guest]);
}
