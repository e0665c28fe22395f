import { assert, assertEquals } from "@std/assert";
import { SystemMachine } from "../machine/system/machine.ts";
import { TIER } from "./configuration.ts";
import { xorshiftBelow } from "./xorshift.ts";

const CSRS = [
  ...[0x100, 0x104, 0x105, 0x106, 0x10a, 0x140, 0x141, 0x142, 0x143, 0x144, 0x14d, 0x15d, 0x180],
  ...[0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x306, 0x30a, 0x310, 0x31a, 0x320, 0x340, 0x341],
  ...[0x342, 0x343, 0x344, 0x3a0, 0x3a1, 0x3a2, 0x3b0, 0x3b1, 0x3b7, 0xb00, 0xb02, 0xc00, 0xc01],
  ...[0xc02, 0xf14, 0x001, 0x002, 0x003, 0x5c0],
];
/** Instructions that matter to the machine, as words. */
const SPECIAL = [
  ...[0x30200073, 0x10200073, 0x10500073, 0x12000073, 0x00000073, 0x00100073, 0x0000100f],
  ...[0x0040a00f, 0x7bd02013, 0x1005202f, 0x18b5262f, 0x00b5302f, 0x0],
];

/** A page of code that a fuzzer would write: privileged, near RAM and devices, and plain noise. */
function code(next: (limit: number) => number, words: number): Uint8Array<ArrayBuffer> {
  const out = new Uint32Array(words);
  const reg = () => next(32);
  for (let i = 0; i < words; i++) {
    switch (next(8)) {
      case 0: // A CSR instruction.
        out[i] = CSRS[next(CSRS.length)] << 20 | reg() << 15 | (1 + next(7)) << 12 | reg() << 7 |
          0x73;
        break;
      case 1:
        out[i] = SPECIAL[next(SPECIAL.length)];
        break;
      case 2: // lui with an address of RAM or a device.
        out[i] = [0x80000, 0x80001, 0x2000, 0xc000, 0x10000, 0x10001, 0x100, 0x101, 0x4000][
              next(9)
            ] << 12 | reg() << 7 | 0x37;
        break;
      case 3: // Loads and stores.
        out[i] = next(4096) << 20 | reg() << 15 | next(8) << 12 | reg() << 7 |
          (next(2) === 0 ? 0x03 : 0x23);
        break;
      case 4: // Arithmetic.
        out[i] = next(2 ** 31) << 12 | reg() << 7 | [0x13, 0x33, 0x1b, 0x3b][next(4)];
        break;
      case 5: // Jumps and branches, mostly near.
        out[i] = next(2) === 0
          ? next(64) << 21 | reg() << 7 | 0x6f
          : next(16) << 8 | reg() << 15 | reg() << 20 | next(8) << 12 | 0x63;
        break;
      default:
        out[i] = next(2 ** 31) * 2 + next(2);
    }
  }
  return new Uint8Array(out.buffer);
}

for (const xlen of [64, 32] as const) {
  Deno.test(`SystemMachine with ${xlen} bits neither throws nor hangs when code is random`, async () => {
    const LIMIT = 20_000;
    let executed = 0, calls = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const next = xorshiftBelow(seed * 7919);
      const program = code(next, 4096);
      // Traps go on in the middle of it all.
      new DataView(program.buffer).setUint32(0, 0x80000537, true); // lui a0, 0x80000
      new DataView(program.buffer).setUint32(4, next(2048) << 21 | 0x593 | 0xa << 15, true);
      new DataView(program.buffer).setUint32(8, 0x30559073, true); // csrw mtvec, a1
      await using machine = await SystemMachine.create({
        // The built-in SBI for some: S-mode then.
        ...(seed % 3 === 0 ? {} : { bios: "none" as const }),
        kernel: program,
        tier: TIER,
        xlen,
        memory: 1 << 23,
        harts: 1 + seed % 2,
        icount: true,
        stdout: "null",
        report: () => {},
        backdoor: { call: () => void calls++ },
      });
      const { reason, instructions } = await machine.run(LIMIT);
      assert(["limit", "poweroff", "deadlock", "stopped"].includes(reason), reason);
      executed += instructions;
      assertEquals(machine.result === undefined, reason === "limit");
    }
    assert(executed > 10_000, `${executed} instructions`);
  });
}
